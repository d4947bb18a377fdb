package main

import (
	"strings"

	"github.com/peerbrain/peerbrain/client"
)

// Black and white of the 256 colours, which no theme of a terminal changes.
const blackOnWhite = "\x1b[38;5;16;48;5;231m"

// drawQR draws a code and its margin with half blocks, two modules above each other in
// one character. Where there are colours it brings its own, and looks the same on dark
// and light terminals. Where there are none, the light modules are what is drawn, for
// light text on a dark ground, or the dark ones if ground says that it is light.
func (c *console) drawQR(q client.QR) string {
	ink := func(x, y int) bool { return q.Dark(x, y) }
	before, after := blackOnWhite, "\x1b[0m"
	if !c.colours {
		before, after = "", ""
		if !c.lightGround() {
			ink = func(x, y int) bool { return !q.Dark(x, y) }
		}
	}
	var b strings.Builder
	for y := -client.QRMargin; y < q.Size()+client.QRMargin; y += 2 {
		b.WriteString(before)
		for x := -client.QRMargin; x < q.Size()+client.QRMargin; x++ {
			b.WriteString(halves[ink(x, y)][ink(x, y+1)])
		}
		b.WriteString(after + "\n")
	}
	return b.String()
}

// halves is the character with ink in its upper and in its lower half.
var halves = map[bool]map[bool]string{
	false: {false: " ", true: "▄"},
	true:  {false: "▀", true: "█"},
}

// lightGround reports whether the terminal says that its ground is light, in the way
// of rxvt that others have taken over: COLORFGBG is "0;15" or "0;default;15".
func (c *console) lightGround() bool {
	colours := c.env("COLORFGBG")
	ground := colours[strings.LastIndex(colours, ";")+1:]
	return ground == "7" || ground == "15"
}
