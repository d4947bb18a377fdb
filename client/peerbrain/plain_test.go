package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPlain(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"words", "Grüße, friends 👩‍👩‍👧", "Grüße, friends 👩‍👩‍👧"},
		{"lines", "a\n\tb\r\nc", "a\n\tb\nc"},
		{"arabic and persian", "سلام می\u200cخواهم", "سلام می\u200cخواهم"},
		{"an escape sequence", "\x1b[2Jgone", "␛[2Jgone"},
		{"a title", "\x1b]0;x\a", "␛]0;x␇"},
		{"an overwritten line", "safe\rfake", "safe␍fake"},
		{"backspaces", "ab\b\bcd\x7f", "ab␈␈cd␡"},
		{"a control of the second set", "\u009b2J", "<U+009B>2J"},
		{"turned words", "a\u202eb\u2066c\u200f", "a<U+202E>b<U+2066>c<U+200F>"},
		{"other line breaks", "a\u2028b\u0085c", "a<U+2028>b<U+0085>c"},
		{"invisible letters", "a\u200bb\ufeffc\U000e0041", "a<U+200B>b<U+FEFF>c<U+E0041>"},
		{"no UTF-8", "a\xffb", "a<U+FFFD>b"},
	} {
		if got := plain(test.text); got != test.want {
			t.Errorf("%s: plain(%q) is %q, want %q", test.name, test.text, got, test.want)
		}
	}
}

func TestPlainLeavesNothingHarmful(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		for _, r := range plain(text) {
			if r != '\n' && r != '\t' && harmful(r) {
				t.Fatalf("plain(%q) holds %U", text, r)
			}
		}
		if strings.ContainsAny(oneLine(text), "\n\r\t") {
			t.Fatalf("oneLine(%q) has several lines", text)
		}
	})
}

// TestEscapeHarmful shows that --json keeps every character, and lets none
// through that a terminal acts upon.
func TestEscapeHarmful(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("\x1b\u009b\u202e\u2028\ufeff\x7f\U000e0041a\"\\")), 0, 20, -1)).Draw(t, "text")
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		line := escapeHarmful(raw)
		for _, r := range string(line) {
			if harmful(r) {
				t.Fatalf("%q holds %U", line, r)
			}
		}
		var back string
		if err := json.Unmarshal(line, &back); err != nil || back != strings.ToValidUTF8(text, string(utf8.RuneError)) {
			t.Fatalf("%q came back as %q, %v", text, back, err)
		}
	})
}
