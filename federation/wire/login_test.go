package wire

import "testing"

func challengeRules() []rule[Challenge] {
	return []rule[Challenge]{
		{"as it should be", func(*Challenge) {}, ""},
		{"for recovery", func(c *Challenge) { c.Purpose = PurposeRecovery }, ""},
		{"no purpose", func(c *Challenge) { c.Purpose = "" }, Invalid},
		{"another purpose", func(c *Challenge) { c.Purpose = "Login" }, Invalid},
		{"bad handle", func(c *Challenge) { c.Handle = "alice\x00" }, Invalid},
		{"bad node", func(c *Challenge) { c.Node = "node" }, Invalid},
		{"negative time", func(c *Challenge) { c.Expires = -1 }, Invalid},
		{"the last time", func(c *Challenge) { c.Expires = MaxTime }, ""},
		{"after the last time", func(c *Challenge) { c.Expires = MaxTime + 1 }, Invalid},
		{"version 2", func(c *Challenge) { c.Version = 2 }, Update},
	}
}

func TestChallenge(t *testing.T) {
	for _, c := range challengeRules() {
		ch := challenge()
		c.spoil(ch)
		_, err := OpenChallenge(raw(LabelLogin, EncodeCBOR(ch), loginKey.seed), loginKey.Public())
		wantKind(t, c.name, err, c.want)
	}
	ch := challenge()
	ch.Purpose = PurposeRecovery
	s := must(ch.SignRecovery(codeKey))
	_, err := OpenChallenge(s, codeKey.Public())
	wantKind(t, "by the recovery code", err, "")
	_, err = OpenChallenge(s, loginKey.Public())
	wantKind(t, "by the recovery code, with the password's key", err, Tampered)
}

// Every part of the salt counts, the address most of all.
func TestLoginSalt(t *testing.T) {
	a := Address{"alice", "node.example"}
	seen := map[Hash]string{}
	for name, salt := range map[string]Hash{
		"alice":           LoginSalt(a, DefaultArgon2, seedOf("salt")),
		"bob":             LoginSalt(Address{"bob", "node.example"}, DefaultArgon2, seedOf("salt")),
		"elsewhere":       LoginSalt(Address{"alice", "other.example"}, DefaultArgon2, seedOf("salt")),
		"moved border":    LoginSalt(Address{"alicen", "ode.example"}, DefaultArgon2, seedOf("salt")),
		"other random":    LoginSalt(a, DefaultArgon2, seedOf("salt 2")),
		"other memory":    LoginSalt(a, Argon2{128 << 10, 3, 1}, seedOf("salt")),
		"other passes":    LoginSalt(a, Argon2{64 << 10, 4, 1}, seedOf("salt")),
		"other threads":   LoginSalt(a, Argon2{64 << 10, 3, 2}, seedOf("salt")),
		"swapped numbers": LoginSalt(a, Argon2{64 << 10, 1, 3}, seedOf("salt")),
	} {
		if other, ok := seen[salt]; ok {
			t.Errorf("%s and %s have one salt", name, other)
		}
		seen[salt] = name
	}
}
