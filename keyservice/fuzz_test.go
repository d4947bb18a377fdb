package keyservice

import (
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzParseChain cuts bytes into a chain of three. What is accepted gives the
// same statements back, belongs to the first of them, and grows by the last.
func FuzzParseChain(f *testing.F) {
	o := newOwner(f)
	o.rotate()
	o.rotate()
	f.Add([]byte(o.chain[0]), []byte(o.chain[1]), []byte(o.chain[2]))
	f.Add([]byte(o.chain[0]), []byte(o.chain[2]), []byte(o.chain[1]))
	f.Add([]byte(o.chain[0]), []byte{}, []byte{})
	f.Add([]byte(o.chain[1]), []byte(o.chain[0][:64]), []byte{})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var statements []wire.Signed
		for _, s := range [][]byte{a, b, c} {
			if len(s) > 0 {
				statements = append(statements, s)
			}
		}
		chain, err := ParseChain(statements)
		if err != nil {
			return
		}
		same := func(a, b wire.Signed) bool { return slices.Equal(a, b) }
		if !slices.EqualFunc(chain.Statements(), statements, same) || chain.Account() != wire.AccountID(statements[0].Hash(wire.LabelKeyStatement)) {
			t.Errorf("%x became %x of %s", statements, chain.Statements(), chain.Account())
		}
		if n := len(statements) - 1; n > 0 {
			longer, err := must(ParseChain(statements[:n])).Append(statements[n])
			if err != nil || longer.NewestHash() != chain.NewestHash() || chain.Extends(longer) != nil {
				t.Errorf("%x does not grow: %v", statements, err)
			}
		}
	})
}
