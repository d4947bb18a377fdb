package story_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// shortest is how many bytes a secret must have, and each of its spellings: what
// is shorter is found where it never was.
const shortest = 8

// A search looks for many secrets at once, in texts as big as a process: it
// reads them once, whatever the number of secrets.
type search struct {
	pairs   [1 << 16]bool // whether a spelling begins with these two bytes
	needles map[[shortest]byte][]needle
	longest int // bytes of a spelling
}

type needle struct {
	what     int // index of the secret
	spelling []byte
}

func newSearch(t testing.TB, secrets [][]byte) *search {
	t.Helper()
	s := &search{needles: make(map[[shortest]byte][]needle)}
	for what, secret := range secrets {
		if len(secret) < shortest {
			t.Fatalf("secret %d has %d bytes, too few to look for", what, len(secret))
		}
		for _, spelling := range spell(secret) {
			s.pairs[uint16(spelling[0])|uint16(spelling[1])<<8] = true
			head := [shortest]byte(spelling)
			s.needles[head] = append(s.needles[head], needle{what, spelling})
			s.longest = max(s.longest, len(spelling))
		}
	}
	return s
}

// in returns which secrets text holds, as they are or in one of the usual
// spellings of bytes.
func (s *search) in(text []byte) (found []int) {
	for i := 0; i+shortest <= len(text); i++ {
		if !s.pairs[uint16(text[i])|uint16(text[i+1])<<8] {
			continue
		}
		for _, n := range s.needles[[shortest]byte(text[i:])] {
			if bytes.HasPrefix(text[i:], n.spelling) {
				found = append(found, n.what)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// spell writes secret in hexadecimal, base32 and base64, wherever it stands in
// a longer text: the characters at its edges, which depend on what is beside
// it, are left out.
func spell(secret []byte) [][]byte {
	spellings := [][]byte{secret, []byte(hex.EncodeToString(secret)), bytes.ToUpper([]byte(hex.EncodeToString(secret)))}
	within := func(encode func([]byte) string, group, bits int) {
		for before := range group {
			text := encode(append(make([]byte, before), secret...))
			from := (before*8 + bits - 1) / bits
			to := (before + len(secret)) * 8 / bits
			spellings = append(spellings, []byte(text[from:to]))
		}
	}
	within(base64.RawStdEncoding.EncodeToString, 3, 6)
	within(base64.RawURLEncoding.EncodeToString, 3, 6)
	within(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString, 5, 5)
	within(func(b []byte) string {
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	}, 5, 5)
	return spellings
}

// TestSearch shows that a secret is found however it is written.
func TestSearch(t *testing.T) {
	secret := []byte("canary one: tulips?>")
	s := newSearch(t, [][]byte{[]byte("another secret"), secret})
	for before := range 6 {
		for after := range 4 {
			text := bytes.Join([][]byte{bytes.Repeat([]byte("x"), before), secret, bytes.Repeat([]byte("y"), after)}, nil)
			for name, written := range map[string]string{
				"as it is": string(text), "hex": hex.EncodeToString(text), "HEX": strings.ToUpper(hex.EncodeToString(text)),
				"base64": base64.StdEncoding.EncodeToString(text), "base64url": base64.RawURLEncoding.EncodeToString(text),
				"base32": base32.StdEncoding.EncodeToString(text), "lower base32": strings.ToLower(base32.StdEncoding.EncodeToString(text)),
			} {
				for _, around := range []string{written, "{" + written + "}", written + written} {
					if got := s.in([]byte(around)); !slices.Equal(got, []int{1}) {
						t.Errorf("%s with %d before and %d after: got %d, want the second alone", name, before, after, got)
					}
				}
				if got := s.in([]byte(written[:len(written)/2])); len(got) != 0 {
					t.Errorf("%s: found %d in one half", name, got)
				}
			}
		}
	}
	if got := s.in([]byte("another secret, canary one: tulips?>")); len(got) != 2 {
		t.Errorf("got %d of two secrets", len(got))
	}
}
