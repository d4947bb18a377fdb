package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzPlain: a text of somebody else is shown without anything that a terminal
// acts upon; in JSON the same characters come back.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"Grüße", "\x1b]0;x\a", "a\u202eb", "a\r\nb\u2028", "\xff", "می\u200cخواهم", "\U000e0041\u009b2J"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		shown := plain(s)
		for _, r := range shown {
			if r != '\n' && r != '\t' && harmful(r) {
				t.Errorf("plain(%q) holds %U", s, r)
			}
		}
		if strings.ContainsAny(shown, "\x1b\r\u009b\u202e\u2066\u2028\ufeff") {
			t.Errorf("plain(%q) is %q", s, shown)
		}
		if plain(shown) != shown || strings.ContainsAny(oneLine(s), "\n\r\t") {
			t.Errorf("plain(%q) is %q, on one line %q", s, shown, oneLine(s))
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var was, is string
		if json.Unmarshal(raw, &was) != nil || json.Unmarshal(escapeHarmful(raw), &is) != nil || was != is {
			t.Errorf("%q is written %q", s, escapeHarmful(raw))
		}
	})
}

// FuzzNearAddress: what is proposed is an address, and proposed for itself.
func FuzzNearAddress(f *testing.F) {
	for _, s := range []string{"@Ada@Node.Example", "https://node.example/@ada", "ada@127.0.0.1:8081", "mailto:a.da-b@node.example.", "ada", "a@b@c.d", "ada@node.example:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := nearAddress(s)
		if !ok {
			return
		}
		if parsed, err := wire.ParseAddress(a.String()); err != nil || parsed != a {
			t.Errorf("%q: %q is proposed: %v", s, a, err)
		}
		if again, ok := nearAddress(a.String()); !ok || again != a {
			t.Errorf("%q: for %s, %s is proposed", s, a, again)
		}
	})
}

// FuzzPasswordFile: a password loses one line break at most, and nothing else.
func FuzzPasswordFile(f *testing.F) {
	for _, s := range []string{"secret words\n", "secret words\r\n", "a\n\n", " a ", "", "\xff\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := passwordFrom(bytes.NewReader(file))
		if err != nil {
			if len(file) <= maxPasswordFile {
				t.Errorf("%q: %v", file, err)
			}
			return
		}
		if rest, ok := bytes.CutPrefix(file, got); !ok || !strings.Contains("\r\n", string(rest)) {
			t.Errorf("%q became %q", file, got)
		}
	})
}
