package client

import (
	"context"
	"errors"
	"io/fs"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A Person is somebody whose session is open on this device. Its methods may be
// called by several goroutines and run one after the other.
//
// Errors are of a kind of package wire, or the context's. Unavailable means that
// nothing is known about what was asked for: the same call again finds out, and
// does nothing twice.
type Person struct {
	c       *Client
	turn    chan struct{} // holds one token while nobody works
	session session
	chain   *keyservice.Chain // the person's own
	vault   vaultState
	cache   *cache
	peers   map[wire.AccountID]*peer

	logs        map[wire.NodeName]*logPin // use pins
	asked       map[question]int64        // when nodes were asked in vain
	logsChanged bool
	notes       []string
	drafts      []Sent // use Sent

	// What is known for the length of one operation.
	current  bool                                 // the own stream was asked for
	apart    bool                                 // ends do not go with an epoch
	records  map[wire.AccountID]wire.FriendRecord // of the node, as told last
	problems map[wire.AccountID]error             // of friends, found during this call
	epochs   map[epochID]*epochEntry              // verified during this call
	tried    map[epochID]error                    // wraps asked for during this call
	followed map[wire.AccountID]bool              // friends whose keys were asked for again during this call
	arrived  map[wire.EntryID]bool                // entries seen in the own stream
	sent     map[wire.Hash]bool                   // own statements that the node has taken
	paid     map[epochMember]bool                 // wraps that the node has taken
}

func newPerson(c *Client, s session, chain *keyservice.Chain) *Person {
	p := &Person{c: c, turn: make(chan struct{}, 1), session: s, chain: chain, peers: make(map[wire.AccountID]*peer)}
	p.turn <- struct{}{}
	return p
}

func (p *Person) me() wire.AccountID { return p.session.Account }

// do runs one operation at a time, and keeps what it has verified even when it fails.
func (p *Person) do(ctx context.Context, operation func() error) (err error) {
	select {
	case <-ctx.Done():
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.session.ended {
		return ErrNoSession
	}
	p.cache = p.loadCache()
	p.current, p.apart, p.records, p.problems = false, false, nil, make(map[wire.AccountID]error)
	p.epochs, p.tried = make(map[epochID]*epochEntry), make(map[epochID]error)
	p.followed = make(map[wire.AccountID]bool)
	p.arrived, p.sent, p.paid = make(map[wire.EntryID]bool), make(map[wire.Hash]bool), make(map[epochMember]bool)
	err = operation()
	if p.session.ended {
		return err
	}
	if failed := errors.Join(p.saveCache(), p.saveLogs()); err == nil {
		err = failed
	}
	return err
}

// loadSealed reads a file that is sealed under the cache key; nil if there is
// none, or none that opens: all of them can be fetched again.
func (p *Person) loadSealed(name string) []byte {
	sealed, err := p.c.device.Load(name)
	if err != nil {
		return nil
	}
	b, err := seal.OpenCache(p.session.CacheKey, name, sealed)
	if err != nil {
		return nil
	}
	return b
}

func (p *Person) saveSealed(name string, b []byte) error {
	sealed, err := seal.SealCache(p.session.CacheKey, name, b)
	if err != nil {
		return err
	}
	return p.c.save(name, sealed)
}

// save names the device in errors.
func (c *Client) save(name string, b []byte) error {
	if err := c.device.Save(name, b); err != nil {
		return deviceError(err)
	}
	return nil
}

// drop removes a file, if there is one.
func (c *Client) drop(name string) error {
	if err := c.device.Delete(name); err != nil {
		return deviceError(err)
	}
	return nil
}

// load returns nil when there is nothing.
func (c *Client) load(name string) ([]byte, error) {
	b, err := c.device.Load(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, deviceError(err)
	}
	return b, nil
}

// ErrStorage says that the device does not keep what it was given, or give back what it
// kept: it is full, damaged, or not allowed to this program.
var ErrStorage = errors.New("this device cannot keep its files")

// A storageError is a failure of the device. It keeps its cause.
type storageError struct{ cause error }

func deviceError(err error) error            { return &storageError{err} }
func (e *storageError) Error() string        { return ErrStorage.Error() + ": " + e.cause.Error() }
func (e *storageError) Unwrap() error        { return e.cause }
func (e *storageError) Is(target error) bool { return target == ErrStorage }
