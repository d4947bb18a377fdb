package seal

import (
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var alice = wire.Address{Handle: "alice", Node: "node.example"}

func TestDerivePassword(t *testing.T) {
	random := wire.Nonce(bytesOf("random"))
	login, slot, err := DerivePassword([]byte("correct horse"), alice, wire.DefaultArgon2, random)
	if err != nil {
		t.Fatal(err)
	}
	salt := wire.LoginSalt(alice, wire.DefaultArgon2, random)
	key := argon2.IDKey([]byte("correct horse"), salt[:], 3, 64<<10, 1, 32)
	wantBytes(t, "login seed", login.Seed(), hkdf1(key, "peerbrain/v1/key/login-seed"))
	wantBytes(t, "slot key", slot.Bytes(), hkdf1(key, "peerbrain/v1/key/password-slot"))
}

// TestDerivePasswordInputs changes each input in turn.
func TestDerivePasswordInputs(t *testing.T) {
	type input struct {
		password string
		address  wire.Address
		argon2   wire.Argon2
		random   wire.Nonce
	}
	seen := map[string]string{}
	for name, change := range map[string]func(*input){
		"nothing":  func(*input) {},
		"password": func(i *input) { i.password += " " },
		"handle":   func(i *input) { i.address.Handle = "alicf" },
		"node":     func(i *input) { i.address.Node = "node2.example" },
		"time":     func(i *input) { i.argon2.Time++ },
		"random":   func(i *input) { i.random[31] ^= 1 },
	} {
		i := input{"correct horse", alice, wire.DefaultArgon2, wire.Nonce(bytesOf("random"))}
		change(&i)
		login, slot, err := DerivePassword([]byte(i.password), i.address, i.argon2, i.random)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, b := range [][]byte{login.Seed(), slot.Bytes()} {
			if other, ok := seen[string(b)]; ok {
				t.Errorf("%s and %s: the same key", name, other)
			}
			seen[string(b)] = name
		}
	}
}

func TestDerivePasswordRefuses(t *testing.T) {
	d := wire.DefaultArgon2
	for name, c := range map[string]struct {
		password string
		address  wire.Address
		argon2   wire.Argon2
	}{
		"too little memory": {"p", alice, wire.Argon2{Memory: d.Memory - 1, Time: d.Time, Threads: 1}},
		"too few passes":    {"p", alice, wire.Argon2{Memory: d.Memory, Time: d.Time - 1, Threads: 1}},
		"too much memory":   {"p", alice, wire.Argon2{Memory: 1<<20 + 1, Time: d.Time, Threads: 1}},
		"too many passes":   {"p", alice, wire.Argon2{Memory: d.Memory, Time: 17, Threads: 1}},
		"no thread":         {"p", alice, wire.Argon2{Memory: d.Memory, Time: d.Time}},
		"257 threads":       {"p", alice, wire.Argon2{Memory: d.Memory, Time: d.Time, Threads: 257}},
		"all zero":          {"p", alice, wire.Argon2{}},
		"no password":       {"", alice, d},
		"no address":        {"p", wire.Address{}, d},
		"a second spelling": {"p", wire.Address{Handle: "Alice", Node: "node.example"}, d},
	} {
		login, slot, err := DerivePassword([]byte(c.password), c.address, c.argon2, wire.Nonce{})
		if err == nil || !login.IsZero() || !slot.IsZero() {
			t.Errorf("%s: got keys", name)
			continue
		}
		wantKind(t, wire.Invalid, err)
	}
}
