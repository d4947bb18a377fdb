package node

import (
	"math"
	"unicode/utf8"
)

// What is sealed looks like bytes drawn at random: for each set of byte values, the
// share of bytes that are in it is near the share of the set in all 256. By Chernoff's
// bound, n random bytes have a share of q or more in a set of share p < q with a
// probability of at most exp(-n*D(q,p)), D(q,p) = q*ln(q/p) + (1-q)*ln((1-q)/(1-p)).
//
// legible looks at 257 sets: the printable bytes, and each value alone. At the bound
// of 40 in the exponent, random bytes are called legible once in 10^15 fields.
// That n random bytes are valid UTF-8 is less likely than 0.6^n, 1 in 10^23 for the
// shortest sealed field, of 104 bytes (TestLegible).
//
// It cannot see what is compressed, or encrypted under a key that somebody here has.
const legibleBound = 40

// legible says why bytes are not sealed, or "" if they look it.
func legible(b []byte) string {
	var count [256]int
	printable, most := 0, 0
	for _, c := range b {
		count[c]++
		if isPrintable(c) {
			printable++
		}
		most = max(most, count[c])
	}
	switch {
	case utf8.Valid(b):
		return "it is a text"
	case surprise(printable, len(b), printableShare) > legibleBound:
		return "most of it can be printed"
	case surprise(most, len(b), 1./256) > legibleBound:
		return "one byte stands in it too often"
	}
	return ""
}

const printableShare = 98. / 256

// isPrintable accepts what texts in ASCII are made of.
func isPrintable(c byte) bool { return c >= ' ' && c <= '~' || c == '\t' || c == '\n' || c == '\r' }

// surprise is the exponent of Chernoff's bound for count bytes of n in a set of share p.
func surprise(count, n int, p float64) float64 {
	q := float64(count) / float64(n)
	if q <= p {
		return 0
	}
	d := q * math.Log(q/p)
	if q < 1 {
		d += (1 - q) * math.Log((1-q)/(1-p))
	}
	return float64(n) * d
}
