package keyservice

import "testing"

// A chain of one statement, as most are: what a node pays for a first contact.
func BenchmarkParseChain(b *testing.B) {
	b.ReportAllocs()
	o := newOwner(b)
	for b.Loop() {
		must(ParseChain(o.chain))
	}
}

func BenchmarkOpenEntry(b *testing.B) {
	b.ReportAllocs()
	o := newOwner(b)
	c := must(ParseChain(o.chain))
	s := statements["entry"].sign(o, o.account, 0, o.identities[0])
	for b.Loop() {
		if err := statements["entry"].open(c, s); err != nil {
			b.Fatal(err)
		}
	}
}
