package keyservice

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Ledger keeps key statements and wraps for a Service. Its methods may be
// called by many goroutines at once.
type Ledger interface {
	// Statements returns the chain of an account as it was saved, or NotExist.
	Statements(ctx context.Context, account wire.AccountID) ([]wire.Signed, error)
	// SaveStatements keeps statements of an account under their numbers, the
	// first under from. Saving the same again is no error; where another
	// statement is already there, nothing is overwritten and the error is a
	// Conflict.
	SaveStatements(ctx context.Context, account wire.AccountID, from int, statements []wire.Signed) error
	// Wrap returns the wrap of one reader under a commitment, or NotExist.
	Wrap(ctx context.Context, w WrapName) (wire.Wrap, error)
}

// A WrapName is where a wrap lies.
type WrapName struct {
	Author     wire.AccountID
	Audience   wire.AudienceID
	Commitment wire.Commitment
	Reader     wire.AccountID
}

// cached is how many statements the chains that are remembered have together:
// about 8 KiB each, and one of everybody while nobody changes keys.
const cached = 4096

// A Service looks up verified chains and hands wraps to their readers. Use New.
type Service struct {
	ledger Ledger

	mu     sync.Mutex
	chains *simplelru.LRU[wire.AccountID, *Chain]
	held   int    // statements in chains
	forgot uint64 // how often something was: what was read before does not count
}

// New returns a Service over what ledger keeps. Whoever else adds statements to
// it calls Forget.
func New(ledger Ledger) *Service {
	s := &Service{ledger: ledger}
	var err error
	s.chains, err = simplelru.NewLRU(cached, func(_ wire.AccountID, gone *Chain) { s.held -= len(gone.statements) })
	if err != nil {
		panic("keyservice: " + err.Error()) // the size is constant
	}
	return s
}

// Forget lets the chain of an account be read again when it is asked for.
func (s *Service) Forget(account wire.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot++
	s.chains.Remove(account)
}

// ForgetAll is Forget for all accounts.
func (s *Service) ForgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot++
	s.chains.Purge()
}

// known returns the chain that is remembered, or nil, and a number for remember.
func (s *Service) known(account wire.AccountID) (*Chain, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.chains.Get(account)
	return c, s.forgot
}

// remember keeps a chain, unless something was forgotten since known.
func (s *Service) remember(c *Chain, forgot uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgot != forgot {
		return
	}
	s.chains.Remove(c.account)
	s.chains.Add(c.account, c)
	for s.held += len(c.statements); s.held > cached; {
		s.chains.RemoveOldest()
	}
}

// Chain returns the verified chain of an account, or NotExist.
func (s *Service) Chain(ctx context.Context, account wire.AccountID) (*Chain, error) {
	c, forgot := s.known(account)
	if c != nil {
		return c, nil
	}
	statements, err := s.ledger.Statements(ctx, account)
	if err != nil {
		return nil, err
	}
	if c, err = ParseChain(statements); err != nil {
		return nil, err
	}
	if c.account != account {
		return nil, wire.Errorf(wire.Tampered, "key statements", "the ledger holds another person's keys for %s", account)
	}
	s.remember(c, forgot)
	return c, nil
}

// Register verifies a chain and keeps it. A chain that is there already has to
// be the beginning of the new one; an older answer than what is there is
// Tampered, as is a fork. Registering the same again is no error.
func (s *Service) Register(ctx context.Context, statements []wire.Signed) (*Chain, error) {
	c, err := ParseChain(statements)
	if err != nil {
		return nil, err
	}
	_, forgot := s.known(c.account)
	from := 0
	old, err := s.Chain(ctx, c.account)
	switch {
	case errors.Is(err, wire.NotExist):
	case err != nil:
		return nil, err
	default:
		if err := c.Extends(old); err != nil {
			return nil, err
		}
		from = len(old.statements)
	}
	if from < len(c.statements) {
		if err := s.ledger.SaveStatements(ctx, c.account, from, c.statements[from:]); err != nil {
			return nil, err
		}
		s.remember(c, forgot)
	}
	return c, nil
}

// Wrap returns the wrap of reader under a commitment. There is no way to ask for
// somebody else's: reader is who asks, or a person of the node that asks.
// Whether reader may have it at all is decided by the caller.
func (s *Service) Wrap(ctx context.Context, reader, author wire.AccountID, audience wire.AudienceID, c wire.Commitment) (wire.Wrap, error) {
	w, err := s.ledger.Wrap(ctx, WrapName{author, audience, c, reader})
	if err != nil {
		return wire.Wrap{}, err
	}
	if w.Reader != reader {
		return wire.Wrap{}, wire.Errorf(wire.Tampered, "wrap", "the ledger holds another reader's wrap")
	}
	return w, nil
}

// CheckEpoch verifies the body of an epoch entry that its author hands in. It
// has to be signed under the newest keys, and the vault head in it has to be
// one that the author's node has: newest is the counter of the newest one.
func CheckEpoch(c *Chain, h *wire.EntryHeader, body []byte, prevEpoch, newest uint64) (*wire.EpochBody, *wire.VaultHead, error) {
	if h.KeySeq != c.Newest().Seq {
		return nil, nil, wire.Errorf(wire.Conflict, "entry", "it is signed under key statement %d, the newest is %d", h.KeySeq, c.Newest().Seq)
	}
	b, head, err := c.OpenEpoch(h, body, prevEpoch)
	if err != nil {
		return nil, nil, err
	}
	if head.Counter > newest {
		return nil, nil, wire.Errorf(wire.Conflict, "epoch", "it names version %d of the vault, the node has version %d", head.Counter, newest)
	}
	return b, head, nil
}
