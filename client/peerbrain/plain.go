package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes a text that somebody else wrote safe to print: what could move
// the cursor, hide or reorder words, or answer in the reader's name is shown
// instead of done. Line breaks and tabs stay.
func plain(s string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case r == '\n' || r == '\t' || !harmful(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune(0x2400 + r) // the pictures of control characters
		case r == 0x7f:
			b.WriteRune(0x2421)
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}

// oneLine is plain for a message that has to stay on its line.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(plain(s))
}

// harmful tells the characters that a terminal acts upon or that make text
// look like something else: controls of both sets, marks that turn the
// direction of writing, separators of lines, invisible fillers and tags.
// Joiners stay, because scripts and emoji are written with them.
func harmful(r rune) bool {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == utf8.RuneError:
		return true
	case r == 0x200c, r == 0x200d: // joiners
		return false
	case r == 0x2028, r == 0x2029:
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// escapeHarmful rewrites the harmful characters of a JSON text as \u escapes,
// which mean the same; JSON itself demands that of some of them only.
func escapeHarmful(json []byte) []byte {
	out := make([]byte, 0, len(json))
	for len(json) > 0 {
		r, size := utf8.DecodeRune(json)
		switch {
		case r == '\n' || !harmful(r):
			out = append(out, json[:size]...)
		case r > 0xffff:
			hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			out = fmt.Appendf(out, "\\u%04x\\u%04x", hi, lo)
		default:
			out = fmt.Appendf(out, "\\u%04x", r)
		}
		json = json[size:]
	}
	return out
}
