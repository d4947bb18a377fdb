package wire

import (
	"bytes"
	"testing"
)

func vaultHeadRules() []rule[VaultHead] {
	return []rule[VaultHead]{
		{"the first", func(*VaultHead) {}, ""},
		{"a later one", func(v *VaultHead) { v.Counter, v.Prev = 2, seedOf("prev") }, ""},
		{"no account", func(v *VaultHead) { v.Account = AccountID{} }, Invalid},
		{"counter 0", func(v *VaultHead) { v.Counter = 0 }, Invalid},
		{"counter 0 with a previous", func(v *VaultHead) { v.Counter, v.Prev = 0, seedOf("prev") }, Invalid},
		{"the first with a previous", func(v *VaultHead) { v.Prev = seedOf("prev") }, Invalid},
		{"a later one without", func(v *VaultHead) { v.Counter = 2 }, Invalid},
		{"counter at the limit", func(v *VaultHead) { v.Counter, v.Prev = MaxInteger, seedOf("prev") }, ""},
		{"counter above the limit", func(v *VaultHead) { v.Counter, v.Prev = MaxInteger+1, seedOf("prev") }, Invalid},
		{"key seq above the limit", func(v *VaultHead) { v.KeySeq = MaxInteger + 1 }, Invalid},
		{"negative time", func(v *VaultHead) { v.Created = -1 }, Invalid},
		{"version 2", func(v *VaultHead) { v.Version = 2 }, Update},
	}
}

func TestVaultHeadRules(t *testing.T) {
	for _, c := range vaultHeadRules() {
		v := vaultHead()
		c.spoil(v)
		_, err := OpenVaultHead(raw(LabelVaultHead, EncodeCBOR(v), aliceKey.seed), aliceKey.Public())
		wantKind(t, c.name, err, c.want)
	}
}

func vaultFollowsRules() []rule[VaultHead] {
	return []rule[VaultHead]{
		{"the next", func(*VaultHead) {}, ""},
		{"under newer keys", func(v *VaultHead) { v.KeySeq = 2 }, ""},
		{"under older keys", func(v *VaultHead) { v.KeySeq = 0 }, Tampered},
		{"another person's", func(v *VaultHead) { v.Account = bob }, Conflict},
		{"the same counter", func(v *VaultHead) { v.Counter = 1 }, Conflict},
		{"a gap", func(v *VaultHead) { v.Counter = 3 }, Conflict},
		{"another previous", func(v *VaultHead) { v.Prev[0] ^= 1 }, Conflict},
	}
}

func TestVaultHeadFollows(t *testing.T) {
	first := vaultHead()
	first.KeySeq = 1
	hash := must(first.Sign(aliceKey)).Hash(LabelVaultHead)
	for _, c := range vaultFollowsRules() {
		v := vaultHead()
		v.Counter, v.Prev, v.KeySeq = 2, hash, 1
		c.spoil(v)
		wantKind(t, c.name, v.Follows(first, hash), c.want)
	}
}

func slotsRules() []rule[Slots] {
	return []rule[Slots]{
		{"as they should be", func(*Slots) {}, ""},
		{"no password slot", func(s *Slots) { s.PasswordSlot = nil }, Invalid},
		{"a long password slot", func(s *Slots) { s.PasswordSlot = filled(257, 1) }, Invalid},
		{"a short recovery slot", func(s *Slots) { s.RecoverySlot = filled(SelfKeySize-1, 1) }, Invalid},
		{"no recovery slot", func(s *Slots) { s.RecoverySlot = nil }, Invalid},
		{"login key of low order", func(s *Slots) { s.Login = LoginKey{1} }, Invalid},
		{"recovery login key of low order", func(s *Slots) { s.RecoveryLogin = LoginKey{} }, Invalid},
		{"one key for both ways", func(s *Slots) { s.RecoveryLogin = s.Login }, Invalid},
		{"weak argon2", func(s *Slots) { s.Argon2.Memory-- }, Invalid},
		{"few passes", func(s *Slots) { s.Argon2.Time = 2 }, Invalid},
		{"no thread", func(s *Slots) { s.Argon2.Threads = 0 }, Invalid},
		{"the strongest argon2", func(s *Slots) { s.Argon2 = Argon2{1 << 20, 16, 4} }, ""},
		{"absurd memory", func(s *Slots) { s.Argon2.Memory = 1<<20 + 1 }, Invalid},
		{"absurd passes", func(s *Slots) { s.Argon2.Time = 17 }, Invalid},
		{"absurd threads", func(s *Slots) { s.Argon2.Threads = 5 }, Invalid},
		{"version 2", func(s *Slots) { s.Version = 2 }, Update},
		{"suite 0", func(s *Slots) { s.Suite = 0 }, Update},
	}
}

func TestSlots(t *testing.T) {
	for _, c := range slotsRules() {
		s := slots()
		c.spoil(s)
		got, err := DecodeSlots(EncodeCBOR(s))
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", c.name, got, err)
		}
		_, err = s.Encode()
		wantKind(t, "encoding "+c.name, err, c.want)
	}
	_, err := DecodeSlots(make([]byte, MaxSlots+1))
	wantKind(t, "too large", err, TooLarge)
}

func TestArgon2(t *testing.T) {
	for _, c := range []struct {
		memory, time, threads uint32
		ok                    bool
	}{
		{64 << 10, 3, 1, true}, {1 << 20, 16, 4, true}, {128 << 10, 4, 2, true},
		{64<<10 - 1, 3, 1, false}, {64 << 10, 2, 1, false}, {64 << 10, 3, 0, false}, {0, 0, 0, false},
		{1<<20 + 1, 3, 1, false}, {64 << 10, 17, 1, false}, {64 << 10, 3, 5, false}, {1<<32 - 1, 3, 1, false}, {64 << 10, 1<<32 - 1, 1, false},
	} {
		err := Argon2{c.memory, c.time, c.threads}.Check()
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestVaultRecord(t *testing.T) {
	good := func() VaultRecord {
		return VaultRecord{must(vaultHead().Sign(aliceKey)), must(slots().Encode()), []byte("sealed vault")}
	}
	h, s, err := OpenVaultRecord(good(), aliceKey.Public())
	if err != nil || h.Counter != 1 || s.Argon2 != DefaultArgon2 {
		t.Fatalf("got %v, %v, %v", h, s, err)
	}
	signed := func(v VaultRecord) Signed { // the same head for other contents
		h := vaultHead()
		h.VaultHash, h.SlotsHash = VaultHash(v.Vault), SlotsHash(v.Slots)
		return must(h.Sign(aliceKey))
	}
	for _, c := range []rule[VaultRecord]{
		{"another vault", func(r *VaultRecord) { r.Vault[0] ^= 1 }, Tampered},
		{"other slots", func(r *VaultRecord) { r.Slots[len(r.Slots)-1] ^= 1 }, Tampered},
		{"slots for the vault", func(r *VaultRecord) { r.Vault, r.Slots = r.Slots, r.Vault }, Tampered},
		{"no vault", func(r *VaultRecord) { r.Vault = nil; r.Head = signed(*r) }, Invalid},
		{"signed slots that are none", func(r *VaultRecord) { r.Slots = []byte{0xa0}; r.Head = signed(*r) }, Invalid},
		{"a vault over the limit", func(r *VaultRecord) { r.Vault = make([]byte, MaxVault+1); r.Head = signed(*r) }, TooLarge},
		{"the largest vault", func(r *VaultRecord) { r.Vault = make([]byte, MaxVault); r.Head = signed(*r) }, ""},
		{"another person's head", func(r *VaultRecord) { r.Head = must(vaultHead().Sign(bobKey)) }, Tampered},
	} {
		r := good()
		r.Vault = bytes.Clone(r.Vault)
		c.spoil(&r)
		h, s, err := OpenVaultRecord(r, aliceKey.Public())
		wantKind(t, c.name, err, c.want)
		if err != nil && (h != nil || s != nil) {
			t.Errorf("%s: something came with the error", c.name)
		}
	}
	if VaultHash([]byte("x")) == SlotsHash([]byte("x")) {
		t.Error("vault and slots hash alike")
	}
}

func headQueryRules() []rule[HeadQuery] {
	return []rule[HeadQuery]{
		{"as it should be", func(*HeadQuery) {}, ""},
		{"no account", func(q *HeadQuery) { q.Account = AccountID{} }, Invalid},
		{"bad node", func(q *HeadQuery) { q.Node = "Node.example" }, Invalid},
		{"negative time", func(q *HeadQuery) { q.Created = -1 }, Invalid},
		{"version 2", func(q *HeadQuery) { q.Version = 2 }, Update},
	}
}

func TestHeadQuery(t *testing.T) {
	for _, c := range headQueryRules() {
		q := headQuery()
		c.spoil(q)
		_, err := OpenHeadQuery(raw(LabelHeadQuery, EncodeCBOR(q), aliceKey.seed), aliceKey.Public())
		wantKind(t, c.name, err, c.want)
	}
}
