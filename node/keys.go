package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// ledger keeps what package keyservice works on, in one of the two stores.
type ledger struct{ s store.Store }

func statementsKey(a wire.AccountID) string { return "key/" + a.String() + "/" }

// Statements implements keyservice.Ledger.
func (l ledger) Statements(ctx context.Context, account wire.AccountID) ([]wire.Signed, error) {
	var all []wire.Signed
	for rec, err := range l.s.Scan(ctx, store.Prefix(statementsKey(account))) {
		if err != nil {
			return nil, err
		}
		var r statementRecord
		if err := decodeRecord(rec, &r); err != nil {
			return nil, err
		}
		all = append(all, r.Statement)
	}
	if all == nil {
		return nil, wire.Errorf(wire.NotExist, "account", "no such account")
	}
	return all, nil
}

// SaveStatements implements keyservice.Ledger.
func (l ledger) SaveStatements(ctx context.Context, account wire.AccountID, from int, statements []wire.Signed) error {
	changes := make([]store.Change, len(statements))
	for i, s := range statements {
		rec := statementRecord{recordVersion, s}
		changes[i] = putIf(statementsKey(account)+hex16(uint64(from+i)), &rec, store.IfAbsent())
	}
	for len(changes) > 0 {
		err := l.s.Apply(ctx, changes...)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		// The first that is there already may be the same, from an earlier attempt.
		var r statementRecord
		if _, err := read(ctx, l.s, changes[0].Key, &r); err != nil {
			return err
		}
		if r.Statement.Hash(wire.LabelKeyStatement) != statements[len(statements)-len(changes)].Hash(wire.LabelKeyStatement) {
			return wire.Errorf(wire.Conflict, "key statements", "another statement was first")
		}
		changes = changes[1:]
	}
	return nil
}

// An ownLedger is the ledger of people here. A statement that follows another one comes
// with a version of the vault, whose record commits both. It is put where the others
// lie after that, and until then it stands in that record alone.
type ownLedger struct{ ledger }

// Statements implements keyservice.Ledger. The vault is read first: the next version of
// it is written when the statement lies with the others.
func (l ownLedger) Statements(ctx context.Context, account wire.AccountID) ([]wire.Signed, error) {
	var vault vaultRecord
	rec, err := l.s.Get(ctx, vaultKey(account))
	switch {
	case err == nil:
		if decodeRecord(rec, &vault) != nil {
			vault.Statement = nil // it opens for nobody; the keys are no worse for that
		}
	case !errors.Is(err, store.ErrNotExist) && !errors.Is(err, store.ErrDamaged):
		return nil, err
	}
	all, err := l.ledger.Statements(ctx, account)
	if err == nil && vault.commits(all[len(all)-1]) {
		all = append(all, vault.Statement)
	}
	return all, err
}

// commits reports whether r commits a statement that follows newest.
func (r *vaultRecord) commits(newest wire.Signed) bool {
	return len(r.Statement) > 0 && r.Statement.Hash(wire.LabelKeyStatement) != newest.Hash(wire.LabelKeyStatement)
}

// Wrap implements keyservice.Ledger.
func (l ledger) Wrap(ctx context.Context, w keyservice.WrapName) (wire.Wrap, error) {
	var r wrapRecord
	if _, err := read(ctx, l.s, wrapKey(w), &r); err != nil {
		return wire.Wrap{}, err
	}
	return wire.Wrap{Reader: w.Reader, Key: r.Key, Sealed: r.Sealed}, nil
}

// chain returns the keys of the person themselves.
func (p *Person) chain(ctx context.Context) (*keyservice.Chain, error) {
	c, err := p.node.ownKeys.Chain(ctx, p.account)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", p.account, err)
	}
	return c, nil
}

// Keys returns the chain of key statements of anybody, here or elsewhere. Kinds
// of errors: NotExist, Unavailable when another node does not answer and was
// never asked before, Throttled when it says so, Update for keys of a later
// release, Tampered when its answer contradicts an earlier one.
func (p *Person) Keys(ctx context.Context, r wire.KeysRequest) (wire.KeysReply, error) {
	if _, err := wire.ParseAddress(r.Address.String()); err != nil {
		return wire.KeysReply{}, err
	}
	n := p.node
	known, err := n.keys(ctx, r.Address, r.Account, keysFresh)
	if err != nil {
		return wire.KeysReply{}, err
	}
	return n.keysReply(ctx, known)
}

// keysReply returns keys with their proof: of people here, as of now.
func (n *Node) keysReply(ctx context.Context, known *knownChain) (wire.KeysReply, error) {
	proof := known.proof
	if known.chain.Address().Node == n.name {
		var err error
		if proof, err = n.prove(ctx, known.chain); err != nil {
			return wire.KeysReply{}, err
		}
	}
	return wire.KeysReply{Statements: known.chain.Statements(), Proof: proof, AsOf: known.asOf.UnixMilli(), Tombstone: known.tombstone}, nil
}

const (
	keysFresh   = time.Minute     // the answer of another node is not asked for again so soon
	keysTimeout = 5 * time.Second // for its answer
)

// knownChain is a chain, and when the home of its owner was last heard. Of people
// elsewhere, it has what their home gave as proof that it is in its log: for who reads it.
type knownChain struct {
	chain     *keyservice.Chain
	asOf      time.Time
	proof     wire.Bytes
	tombstone wire.Signed // verified, of somebody who has deleted their account
}

// keys returns the chain of whoever is found at address; where account is set,
// it has to be theirs. Somebody who has deleted their account is found only by who says
// whom they mean: to verify what is left of them. Of people elsewhere, what is younger than fresh is not
// asked for again, and when their home does not answer, what is there counts.
func (n *Node) keys(ctx context.Context, address wire.Address, account *wire.AccountID, fresh time.Duration) (*knownChain, error) {
	var known *knownChain
	var err error
	if address.Node == n.name {
		known, err = n.localKeys(ctx, address)
	} else {
		known, err = n.remoteKeys(ctx, address, fresh)
	}
	if err != nil {
		return nil, err
	}
	if account == nil && len(known.tombstone) > 0 {
		return nil, noSuchPerson(address)
	}
	if account != nil && known.chain.Account() != *account {
		return nil, wire.Errorf(wire.Tampered, "account", "%s is another account", address)
	}
	return known, nil
}

func noSuchPerson(a wire.Address) error {
	return wire.Errorf(wire.NotExist, "address", "nobody is registered as %s", a)
}

func (n *Node) localKeys(ctx context.Context, address wire.Address) (*knownChain, error) {
	r, err := n.holder(ctx, address.Handle)
	if errors.Is(err, wire.NotExist) {
		return nil, noSuchPerson(address)
	}
	if err != nil {
		return nil, err
	}
	chain, err := n.ownKeys.Chain(ctx, r.Account)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", address, err)
	}
	return &knownChain{chain: chain, asOf: n.now(), tombstone: r.Tombstone}, nil
}

func addressKey(a wire.Address) string { return "address/" + string(a.Node) + "/" + string(a.Handle) }

func (n *Node) remoteKeys(ctx context.Context, address wire.Address, fresh time.Duration) (*knownChain, error) {
	known, err := n.copiedKeys(ctx, address)
	if err != nil && !errors.Is(err, wire.NotExist) {
		return nil, err
	}
	if known == nil && n.blocks(address.Node) {
		return nil, blocked(address.Node)
	}
	if known != nil && (n.now().Sub(known.asOf) < fresh || n.blocks(address.Node)) {
		return known, nil
	}
	asked, err := n.lookups.join(ctx, n.spawn, address, func() (*knownChain, error) {
		ctx, cancel := context.WithTimeout(n.ctx, keysTimeout)
		defer cancel()
		return n.askKeys(ctx, address, known)
	})
	if err != nil && known != nil && temporary(err) {
		return known, nil
	}
	return asked, err
}

// copiedKeys returns what is known of an address elsewhere, or NotExist.
func (n *Node) copiedKeys(ctx context.Context, address wire.Address) (*knownChain, error) {
	var r addressRecord
	if _, err := read(ctx, n.copies, addressKey(address), &r); err != nil {
		return nil, err
	}
	chain, err := n.copyKeys.Chain(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	return &knownChain{chain, time.UnixMilli(r.AsOf), r.Proof, r.Tombstone}, nil
}

// aboutAnswer is the field of errors about an answer that is nobody's keys, or somebody
// else's.
const aboutAnswer = "key statements"

// askKeys asks the home of an address, and keeps the answer if it continues what
// is known.
func (n *Node) askKeys(ctx context.Context, address wire.Address, known *knownChain) (*knownChain, error) {
	request := wire.KeysRequest{Address: address}
	if known != nil {
		account := known.chain.Account()
		request.Account = &account
	}
	reply, err := n.peers.To(address.Node).Keys(ctx, request)
	if err != nil {
		return nil, aboutKeys(address.Node, err)
	}
	chain, err := keyservice.ParseChain(reply.Statements)
	if errors.Is(err, wire.Update) {
		return nil, err // it is this node that is too old
	}
	if err != nil {
		return nil, wire.Errorf(wire.Tampered, aboutAnswer, "the answer of %q: %v", address.Node, err)
	}
	if chain.Address() != address {
		return nil, wire.Errorf(wire.Tampered, aboutAnswer, "%q answers with the keys of %s", address.Node, chain.Address())
	}
	if known != nil {
		if err := chain.Extends(known.chain); err != nil {
			return nil, err
		}
	}
	if len(reply.Proof) > wire.MaxLogProof {
		return nil, wire.Errorf(wire.Tampered, aboutAnswer, "the proof of %q has more than %d bytes", address.Node, wire.MaxLogProof)
	}
	if chain, err = n.copyKeys.Register(ctx, chain.Statements()); err != nil {
		return nil, err
	}
	if len(reply.Tombstone) > 0 {
		if _, err := chain.OpenTombstone(reply.Tombstone); err != nil {
			return nil, wire.Errorf(wire.Tampered, aboutAnswer, "the tombstone that %q shows: %v", address.Node, err)
		}
	} else if known != nil {
		reply.Tombstone = known.tombstone // an account that is deleted does not come back
	}
	fresh := &knownChain{chain, n.now(), reply.Proof, reply.Tombstone}
	rec := addressRecord{recordVersion, chain.Account(), fresh.asOf.UnixMilli(), reply.Proof, reply.Tombstone}
	return fresh, n.copies.Apply(ctx, put(addressKey(address), &rec))
}

// aboutKeys keeps of what another node says what can be said of keys. The rest
// would be mistaken for this node's own words about the request.
func aboutKeys(node wire.NodeName, err error) error {
	switch wire.KindOf(err) {
	case wire.NotExist, wire.Invalid, wire.Throttled, wire.Unavailable, wire.Tampered, wire.Internal:
		return err
	}
	return wire.Errorf(wire.Unavailable, "node", "%q gave an answer that is none about keys: %v", node, err)
}

// saidWhen returns after what time, by the error, something may be tried again; 0 if it
// does not say.
func saidWhen(err error) time.Duration {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// temporary reports whether what failed may succeed later, unchanged.
func temporary(err error) bool {
	switch wire.KindOf(err) {
	case wire.Unavailable, wire.Throttled, wire.Unauthenticated, wire.Internal, wire.Conflict, wire.Clock:
		return true
	}
	return false
}

// Keys of people elsewhere are asked for again when something does not verify under
// those that are known, and else when these are as old as that.
const (
	keysBelieved = time.Hour     // of who says something about a friendship
	keysOfHome   = math.MaxInt64 // of an author whose home hands over the entries, which took them under the newest keys that it knows
)

// openSigned opens a statement of somebody by keys that are believed.
func openSigned[T any](ctx context.Context, n *Node, from wire.Address, account wire.AccountID, open func(*keyservice.Chain) (T, error)) (T, *keyservice.Chain, error) {
	return openBy(ctx, n, from, account, keysBelieved, open)
}

// openBy opens a statement of somebody by keys that are younger than fresh. When it
// does not verify under the keys that are known of somebody elsewhere, they may have
// newer ones: their home is asked once more.
func openBy[T any](ctx context.Context, n *Node, from wire.Address, account wire.AccountID, fresh time.Duration, open func(*keyservice.Chain) (T, error)) (T, *keyservice.Chain, error) {
	var none T
	known, err := n.keys(ctx, from, &account, fresh)
	if err != nil {
		return none, nil, err
	}
	v, err := open(known.chain)
	if errors.Is(err, wire.Tampered) && from.Node != n.name && n.now().Sub(known.asOf) > time.Second {
		again, newer := n.keys(ctx, from, &account, time.Second)
		if newer != nil {
			return none, nil, newer
		}
		known = again
		v, err = open(known.chain)
	}
	return v, known.chain, err
}
