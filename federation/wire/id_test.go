package wire

import (
	"bytes"
	"encoding"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	ids := []struct {
		name  string
		value encoding.TextMarshaler
		into  encoding.TextUnmarshaler
	}{
		{"hash", Hash(seedOf("id")), new(Hash)},
		{"account", AccountID(seedOf("id")), new(AccountID)},
		{"entry", EntryID(seedOf("id")), new(EntryID)},
		{"audience", AudienceID(seedOf("id")), new(AudienceID)},
		{"commitment", Commitment(seedOf("id")), new(Commitment)},
		{"nonce", Nonce(seedOf("id")), new(Nonce)},
	}
	for _, id := range ids {
		text := must(id.value.MarshalText())
		if len(text) != 52 {
			t.Errorf("%s: %q has %d characters", id.name, text, len(text))
		}
		if err := id.into.UnmarshalText(text); err != nil {
			t.Errorf("%s: %v", id.name, err)
		}
		if again := must(id.into.(encoding.TextMarshaler).MarshalText()); !bytes.Equal(again, text) {
			t.Errorf("%s: %q came back as %q", id.name, text, again)
		}
		for _, s := range otherSpellings(string(text)) {
			wantKind(t, id.name+" "+s, id.into.UnmarshalText([]byte(s)), Invalid)
		}
	}
}

// otherSpellings of an id mean the same to a lax decoder, or nothing.
func otherSpellings(s string) []string {
	last := map[byte]string{'a': "bcdefghijklmnop", 'q': "rstuvwxyz234567"}[s[51]] // the 4 bits that 52 characters have too many
	all := []string{
		"", s[:51], s + "a", s + "====", strings.ToUpper(s), s[:51] + strings.ToUpper(s[51:]), " " + s[1:], s[:51] + "\n", s[:51] + "=",
		s[:26] + "\r\n" + s[28:], s + "\n", s[:51] + "1", s[:51] + "0", s[:51] + "8", s[:51] + "\x00", s[:50] + "é", strings.Repeat("\n", 52),
	}
	for _, c := range last {
		all = append(all, s[:51]+string(c))
	}
	return all
}

func TestParseIDs(t *testing.T) {
	s := AccountID(seedOf("id")).String()
	account, err1 := ParseAccountID(s)
	entry, err2 := ParseEntryID(s)
	audience, err3 := ParseAudienceID(s)
	commitment, err4 := ParseCommitment(s)
	for _, err := range []error{err1, err2, err3, err4} {
		wantKind(t, s, err, "")
	}
	for _, got := range []string{account.String(), entry.String(), audience.String(), commitment.String()} {
		if got != s {
			t.Errorf("got %q, want %q", got, s)
		}
	}
	var zero AccountID
	if !zero.IsZero() || account.IsZero() || entry.IsZero() || audience.IsZero() || Hash(account).IsZero() {
		t.Error("IsZero is wrong")
	}
	if got, want := zero.String(), strings.Repeat("a", 52); got != want {
		t.Errorf("zero is %q", got)
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"", true}, {"AA", true}, {"AAA", true}, {"AAAA", true}, {"-_-_", true},
		{"A", false}, {"AB", false}, {"AAB", false}, {"AA==", false}, {"AAA=", false}, {"+/+/", false},
		{"AA\n", false}, {"AA\r", false}, {"A\nA", false}, {"AA\r\n", false}, {"\n", false}, {" AA", false}, {"AA AA", false}, {"AA\x00", false}, {"éé", false},
	} {
		var b Bytes
		err := b.UnmarshalText([]byte(c.text))
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.text, err)
		}
		if err == nil && string(must(b.MarshalText())) != c.text {
			t.Errorf("%q came back as %q", c.text, must(b.MarshalText()))
		}
	}
}
