package client

import (
	_ "embed"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// commonPasswords are what people choose most, and what is guessed first: a line each,
// in small letters, of 8 bytes or more. Whoever has a node's database tries these on
// everybody in it (docs/security.md, Not promised).
//
//go:embed common.txt
var commonPasswords string

// maxTail is how many characters behind a common password make no other of it.
const maxTail = 4

// CheckNew refuses a password that nobody should choose: a common one, whatever the case
// of its letters, also with a few digits, dots or exclamation marks behind. Those who
// have one already log in with it.
func (p Password) CheckNew() error {
	word := strings.ToLower(string(p.bytes()))
	for tail := 0; ; tail++ {
		if isCommon(word) {
			return wire.Errorf(wire.Invalid, "password", "it is one of those that are guessed first")
		}
		shorter := strings.TrimRight(word, "0123456789.!")
		if shorter == word || tail == maxTail {
			return nil
		}
		word = word[:len(word)-1]
	}
}

func isCommon(word string) bool {
	return len(word) >= MinPassword && !strings.Contains(word, "\n") && strings.Contains("\n"+commonPasswords, "\n"+word+"\n")
}
