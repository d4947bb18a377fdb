package story_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// number is the safety number of two people of the scene, computed as docs/protocol.md
// describes it and with none of the client's code.
func (s *liesScene) number(one, other string) string {
	a, b := s.ids[one], s.ids[other]
	if bytes.Compare(a[:], b[:]) > 0 {
		one, other = other, one
	}
	return s.half(one) + s.half(other)
}

func (s *liesScene) half(who string) (digits string) {
	k, account, err := wire.OpenFirstKeyStatement(s.keys[who].Statements[0])
	if err != nil {
		s.t.Fatal(err)
	}
	hash := func(label string, parts ...[]byte) []byte {
		h := sha256.New()
		h.Write([]byte("peerbrain/v1/hash/" + label + "\x00"))
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	fingerprint := hash("fingerprint", account[:], k.Identity[:], k.Encryption[:])
	h := fingerprint
	for range 8192 {
		h = hash("safety-number", h, fingerprint)
	}
	for i := range 6 {
		group := new(big.Int).SetBytes(h[5*i : 5*i+5])
		digits += fmt.Sprintf("%05d", group.Mod(group, big.NewInt(100000)))
	}
	return digits
}
