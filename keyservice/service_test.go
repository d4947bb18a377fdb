package keyservice

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// memory is a Ledger that counts what it is asked for, and fails on demand.
type memory struct {
	mu     sync.Mutex
	chains map[wire.AccountID][]wire.Signed
	wraps  map[WrapName]wire.Wrap
	asked  int
	fail   error
}

func newMemory() *memory {
	return &memory{chains: map[wire.AccountID][]wire.Signed{}, wraps: map[WrapName]wire.Wrap{}}
}

func (m *memory) Statements(_ context.Context, account wire.AccountID) ([]wire.Signed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.fail != nil {
		return nil, m.fail
	}
	if m.chains[account] == nil {
		return nil, wire.NotExist
	}
	return m.chains[account], nil
}

func (m *memory) SaveStatements(_ context.Context, account wire.AccountID, from int, statements []wire.Signed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if len(m.chains[account]) != from {
		return wire.Conflict
	}
	m.chains[account] = append(m.chains[account], statements...)
	return nil
}

func (m *memory) Wrap(_ context.Context, w WrapName) (wire.Wrap, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one, ok := m.wraps[w]; ok {
		return one, nil
	}
	return wire.Wrap{}, wire.NotExist
}

func TestService(t *testing.T) {
	m, o := newMemory(), newOwner(t)
	s := New(m)
	_, err := s.Chain(t.Context(), o.account)
	kind(t, err, wire.NotExist)
	for range 2 {
		if c, err := s.Register(t.Context(), o.chain); err != nil || c.Account() != o.account {
			t.Fatal(err)
		}
	}
	short := o.chain
	o.rotate()
	o.rotate()
	if _, err := s.Register(t.Context(), o.chain); err != nil {
		t.Fatal(err)
	}
	_, err = s.Register(t.Context(), short)
	kind(t, err, wire.Tampered)
	fork := newOwner(t)
	*fork = owner{t: t, identities: o.identities[:1], recovery: o.recovery, newest: *must(ParseChain(short)).Newest(), chain: short, account: o.account}
	fork.rotate()
	for range 2 {
		_, err = s.Register(t.Context(), fork.chain)
		kind(t, err, wire.Tampered)
		fork.rotate()
	}
	_, err = s.Register(t.Context(), nil)
	kind(t, err, wire.Invalid)

	again := New(m) // has verified nothing yet
	for range 3 {
		c, err := again.Chain(t.Context(), o.account)
		if err != nil || c.Newest().Seq != 2 {
			t.Fatal(err)
		}
	}
	asked := m.asked
	if _, err := again.Chain(t.Context(), o.account); err != nil || m.asked != asked {
		t.Errorf("the ledger was asked again, or %v", err)
	}
}

// TestChainsAreBounded: what is remembered has a number of statements, however they
// are spread, and whoever was asked for last stays.
func TestChainsAreBounded(t *testing.T) {
	s, long := New(newMemory()), newOwner(t)
	for range 4 {
		long.rotate()
	}
	one, five := must(ParseChain(long.chain[:1])), must(ParseChain(long.chain))
	for i := range uint16(2 * cached) {
		c := *one
		if i%2 == 1 {
			c = *five
		}
		c.account = wire.AccountID{byte(i >> 8), byte(i)}
		for range 2 { // two that were read at once
			s.remember(&c, 0)
		}
		sum := 0
		for _, c := range s.chains.Values() {
			sum += len(c.statements)
		}
		if known, _ := s.known(c.account); sum != s.held || sum > cached || known != &c {
			t.Fatalf("%d statements count as %d, at most %d may be remembered", sum, s.held, cached)
		}
	}
}

// What a ledger holds is believed no more than what anybody else says.
func TestServiceWithABadLedger(t *testing.T) {
	m, o, other := newMemory(), newOwner(t), newOwner(t)
	m.chains[o.account] = other.chain
	_, err := New(m).Chain(t.Context(), o.account)
	kind(t, err, wire.Tampered)
	m.chains[o.account] = []wire.Signed{o.chain[0][:100]}
	if _, err = New(m).Chain(t.Context(), o.account); err == nil {
		t.Error("a broken chain was returned")
	}
	broken := errors.New("disk is gone")
	m.fail = broken
	s := New(m)
	if _, err = s.Register(t.Context(), o.chain); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	m.fail = nil
	delete(m.chains, o.account)
	_, err = s.Chain(t.Context(), o.account)
	kind(t, err, wire.NotExist) // what could not be saved is not remembered
}

func TestServiceWrap(t *testing.T) {
	m := newMemory()
	s := New(m)
	name := WrapName{seed(), seed(), seed(), seed()}
	m.wraps[name] = wire.Wrap{Reader: name.Reader, Sealed: []byte("x")}
	w, err := s.Wrap(t.Context(), name.Reader, name.Author, name.Audience, name.Commitment)
	if err != nil || string(w.Sealed) != "x" {
		t.Fatal(err)
	}
	_, err = s.Wrap(t.Context(), seed(), name.Author, name.Audience, name.Commitment)
	kind(t, err, wire.NotExist)
	m.wraps[name] = wire.Wrap{Reader: seed()}
	_, err = s.Wrap(t.Context(), name.Reader, name.Author, name.Audience, name.Commitment)
	kind(t, err, wire.Tampered)
}
