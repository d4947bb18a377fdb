package wire

import "encoding/hex"

func vaultHeadVectors() *vectorFile {
	f := &vectorFile{About: "Vault heads, what may follow them, vault records (the vault stands as filler) and head queries."}
	m := maker{kind: "vault-head", label: LabelVaultHead, key: aliceKey.seed}
	head := vaultHead()
	f.Accepted, f.Refused = append(f.Accepted, m.good("the first", head)), m.forms(head)
	for _, c := range []rule[VaultHead]{
		{"counter 0", func(v *VaultHead) { v.Counter = 0 }, Invalid}, {"the first with a previous", func(v *VaultHead) { v.Prev = seedOf("x") }, Invalid}, {"a later one without", func(v *VaultHead) { v.Counter = 2 }, Invalid},
	} {
		v := vaultHead()
		c.spoil(v)
		f.Refused = append(f.Refused, m.bad(c.name, "the check of the head that the name says", c.want, EncodeCBOR(v)))
	}
	first := must(head.Sign(aliceKey))
	next := maker{"next-vault-head", LabelVaultHead, aliceKey.seed, map[string]string{"previous": "the first"}}
	for _, c := range []rule[VaultHead]{
		{"the second", func(*VaultHead) {}, ""}, {"a gap", func(v *VaultHead) { v.Counter = 3 }, Conflict}, {"another previous", func(v *VaultHead) { v.Prev[0] ^= 1 }, Conflict}, {"another account", func(v *VaultHead) { v.Account = bob }, Conflict},
	} {
		v := vaultHead()
		v.Counter, v.Prev, v.Created = 2, first.Hash(LabelVaultHead), t0+1
		c.spoil(v)
		if c.want == "" {
			f.Accepted = append(f.Accepted, next.good(c.name, v))
		} else {
			f.Refused = append(f.Refused, next.bad(c.name, "the rule of the chain that the name says", c.want, EncodeCBOR(v)))
		}
	}
	record := func(slots, vault []byte) maker {
		return maker{"vault-record", LabelVaultHead, aliceKey.seed, map[string]string{"slots": hex.EncodeToString(slots), "vault": hex.EncodeToString(vault)}}
	}
	enc := must(slots().Encode())
	f.Accepted = append(f.Accepted, record(enc, []byte("sealed vault")).good("a record", head))
	f.Refused = append(f.Refused, record(enc, []byte("Sealed vault")).bad("another vault", "its hash is not in the head", Tampered, EncodeCBOR(head)))
	f.Refused = append(f.Refused, record(append(enc, 0), []byte("sealed vault")).bad("other slots", "their hash is not in the head", Tampered, EncodeCBOR(head)))
	q := maker{kind: "head-query", label: LabelHeadQuery, key: aliceKey.seed}
	f.Accepted = append(f.Accepted, q.good("a query", headQuery()))
	f.Refused = append(f.Refused, q.forms(headQuery())...)
	return f
}

func slotsVectors() *vectorFile {
	f := &vectorFile{About: "Slots: hashed by the vault head, not signed. What is sealed stands as filler; public_key is of no use here."}
	m := maker{kind: "slots", key: loginKey.seed}
	f.Accepted, f.Refused = append(f.Accepted, m.good("slots", slots())), m.forms(slots())
	for _, c := range []rule[Slots]{
		{"weak memory", func(s *Slots) { s.Argon2.Memory = 32 << 10 }, Invalid}, {"few passes", func(s *Slots) { s.Argon2.Time = 2 }, Invalid}, {"absurd memory", func(s *Slots) { s.Argon2.Memory = 1<<20 + 1 }, Invalid},
		{"no thread", func(s *Slots) { s.Argon2.Threads = 0 }, Invalid}, {"one log-in key twice", func(s *Slots) { s.RecoveryLogin = s.Login }, Invalid}, {"log-in key of low order", func(s *Slots) { s.Login = LoginKey{1} }, Invalid},
		{"short recovery slot", func(s *Slots) { s.RecoverySlot = s.RecoverySlot[1:] }, Invalid}, {"long password slot", func(s *Slots) { s.PasswordSlot = filled(257, 1) }, Invalid},
	} {
		s := slots()
		c.spoil(s)
		f.Refused = append(f.Refused, m.bad(c.name, "the check of the slots that the name says", c.want, EncodeCBOR(s)))
	}
	return f
}
