package wire

import "testing"

// TestSessionToken: the token of a session begins as its account's id does, and is
// otherwise what was drawn.
func TestSessionToken(t *testing.T) {
	var account AccountID
	var random [32]byte
	for i := range random {
		account[i], random[i] = byte(i), byte(200-i)
	}
	token := NewSessionToken(account, random)
	got := token.bytes()
	if ShelfOf(account) != token.Shelf() || [8]byte(got[:8]) != [8]byte(account[:8]) || [24]byte(got[8:]) != [24]byte(random[8:]) {
		t.Errorf("got %x of the account %x and %x", got, account[:8], random)
	}
	parsed, err := ParseToken(token.Reveal())
	if err != nil || parsed.Shelf() != token.Shelf() || parsed.Hash(LabelToken) != token.Hash(LabelToken) {
		t.Errorf("it is read as another, %v", err)
	}
	if (Token{}).Shelf() != (TokenShelf{}) {
		t.Error("no token begins with something")
	}
}
