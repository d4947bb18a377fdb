package keyservice

import (
	"bytes"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Chain is one person's key statements, all verified. It is never modified
// and may be used by many goroutines at once. ParseChain is the only way in.
type Chain struct {
	account    wire.AccountID
	statements []wire.Signed
	opened     []*wire.KeyStatement
	hashes     []wire.Hash
}

// ParseChain verifies statements, a whole chain of 1 to wire.MaxKeyChain from
// the first to the newest, and keeps a copy of them. Kinds of errors: Invalid
// and Update for what is malformed or of a later release, TooLarge for too long
// a chain, Tampered where a statement does not follow the one before it.
func ParseChain(statements []wire.Signed) (*Chain, error) {
	if len(statements) == 0 {
		return nil, wire.Errorf(wire.Invalid, "key statements", "a chain has at least one statement")
	}
	if len(statements) > wire.MaxKeyChain {
		return nil, wire.Errorf(wire.TooLarge, "key statements", "a chain has at most %d statements", wire.MaxKeyChain)
	}
	first, account, err := wire.OpenFirstKeyStatement(statements[0])
	if err != nil {
		return nil, err
	}
	c := &Chain{
		account:    account,
		statements: []wire.Signed{bytes.Clone(statements[0])},
		opened:     []*wire.KeyStatement{first},
		hashes:     []wire.Hash{wire.Hash(account)},
	}
	for _, s := range statements[1:] {
		if err := c.add(s); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Chain) add(s wire.Signed) error {
	k, err := wire.OpenNextKeyStatement(s, c.account, c.Newest(), c.NewestHash())
	if err != nil {
		return err
	}
	c.statements = append(c.statements, bytes.Clone(s))
	c.opened = append(c.opened, k)
	c.hashes = append(c.hashes, s.Hash(wire.LabelKeyStatement))
	return nil
}

// Append returns the chain with one more statement; c stays as it is. Kinds of errors as
// of ParseChain, and Conflict where the statement follows an earlier one than the newest.
func (c *Chain) Append(s wire.Signed) (*Chain, error) {
	if len(c.statements) == wire.MaxKeyChain {
		return nil, wire.Errorf(wire.TooLarge, "key statements", "a chain has at most %d statements", wire.MaxKeyChain)
	}
	longer := &Chain{c.account, slices.Clone(c.statements), slices.Clone(c.opened), slices.Clone(c.hashes)}
	if err := longer.add(s); err != nil {
		if n, forks := c.forked(s); forks {
			return nil, wire.Errorf(wire.Conflict, "key statement", "another statement %d was first", n)
		}
		return nil, err
	}
	return longer, nil
}

// forked returns the number that a statement has which follows another one than the newest.
func (c *Chain) forked(s wire.Signed) (n uint64, ok bool) {
	for i, before := range c.opened[:len(c.opened)-1] {
		if k, err := wire.OpenNextKeyStatement(s, c.account, before, c.hashes[i]); err == nil {
			return k.Seq, true
		}
	}
	return 0, false
}

// Account returns whose chain it is: the hash of the first statement.
func (c *Chain) Account() wire.AccountID { return c.account }

// Address returns where the newest statement says the person is found.
func (c *Chain) Address() wire.Address { return c.Newest().Address() }

// Newest returns the newest statement, which is not to be modified.
func (c *Chain) Newest() *wire.KeyStatement { return c.opened[len(c.opened)-1] }

// NewestHash returns the hash of the newest statement: what a wrap names.
func (c *Chain) NewestHash() wire.Hash { return c.hashes[len(c.hashes)-1] }

// At returns the statement number seq, counted from 0, and its hash. NotExist
// when the chain is not that long.
func (c *Chain) At(seq uint64) (*wire.KeyStatement, wire.Hash, error) {
	if seq >= uint64(len(c.opened)) {
		return nil, wire.Hash{}, wire.Errorf(wire.NotExist, "key statement", "statement %d of %s is not known", seq, c.Address())
	}
	return c.opened[seq], c.hashes[seq], nil
}

// Statements returns the chain as it travels, first to newest. The slice is the
// caller's, the bytes in it are not to be modified.
func (c *Chain) Statements() []wire.Signed { return slices.Clone(c.statements) }

// Extends reports, as a Tampered error, that c is not older with zero or more
// statements behind it: it is another person's, rolled back or forked.
func (c *Chain) Extends(older *Chain) error {
	switch {
	case c.account != older.account:
		return wire.Errorf(wire.Tampered, "key statements", "the keys of %s are those of another account now", older.Address())
	case len(c.hashes) < len(older.hashes):
		return wire.Errorf(wire.Tampered, "key statements", "the keys of %s were rolled back from statement %d to %d",
			older.Address(), len(older.hashes)-1, len(c.hashes)-1)
	case !slices.Equal(c.hashes[:len(older.hashes)], older.hashes):
		return wire.Errorf(wire.Tampered, "key statements", "the keys of %s fork", older.Address())
	}
	return nil
}
