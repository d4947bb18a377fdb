package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	// DefaultSessionLifetime is how long a session lasts that nobody ends.
	DefaultSessionLifetime = 180 * 24 * time.Hour

	sessionCacheSize = 10_000
	sessionCacheTime = 5 * time.Second

	sweepBatch = 500 // records that one sweep looks at
)

// A session is what the node keeps of a log-in under
//
//	sess/<first 8 bytes of the account>/<hash of the token>
//
// where those of one account lie together. The token begins with the same 8 bytes; of
// the other 24 nothing is kept. A session is open while its record is there, has not
// expired, and the account's vault admits it (sessions.go).
type session struct {
	Version uint64         `cbor:"1,keyasint"`
	Account wire.AccountID `cbor:"2,keyasint"`
	Handle  wire.Handle    `cbor:"3,keyasint"`
	Device  string         `cbor:"4,keyasint"`
	Created int64          `cbor:"5,keyasint"` // ms since 1970
	Expires int64          `cbor:"6,keyasint"` // ms since 1970
	Era     uint64         `cbor:"7,keyasint,omitempty"`

	hash wire.Hash // of the token; in the record's key
}

const sessionPrefix = "sess/"

// shelfPrefix is where the sessions of an account are, and of few others, if any.
func shelfPrefix(s wire.TokenShelf) string {
	return sessionPrefix + hex16(binary.BigEndian.Uint64(s[:])) + "/"
}

func sessionKey(s wire.TokenShelf, h wire.Hash) string {
	var room [80]byte
	b := hex.AppendEncode(append(room[:0], sessionPrefix...), s[:])
	return string(wire.AppendID(append(b, '/'), h))
}

func (s *session) key() string { return sessionKey(wire.ShelfOf(s.Account), s.hash) }

// parseSessionKey returns where the sessions of an account are, and the hash of one.
func parseSessionKey(key string) (shelf wire.TokenShelf, hash wire.Hash, err error) {
	first, last, ok := strings.Cut(strings.TrimPrefix(key, sessionPrefix), "/")
	number, fits := parseHex16(first)
	if err = hash.UnmarshalText([]byte(last)); !(ok && fits) {
		err = wire.Errorf(wire.Invalid, "session", "%q is no key of one", key)
	}
	binary.BigEndian.PutUint64(shelf[:], number)
	return shelf, hash, err
}

// Authenticate returns the person whom token belongs to, or
// wire.Unauthenticated without a reason.
func (n *Node) Authenticate(ctx context.Context, token wire.Token) (*Person, error) {
	s, err := n.session(ctx, token.Shelf(), token.Hash(wire.LabelToken))
	if err != nil {
		return nil, err
	}
	p := n.As(s.Account, s.Handle)
	p.session = s
	return p, nil
}

func (n *Node) session(ctx context.Context, shelf wire.TokenShelf, hash wire.Hash) (*session, error) {
	now := n.now()
	cached, known, changes := n.door.cache.get(hash)
	s := cached.session
	if !known || !now.Before(cached.until) {
		s = &session{hash: hash}
		_, err := read(ctx, n.own, sessionKey(shelf, hash), s)
		if errors.Is(err, wire.NotExist) {
			return nil, unauthenticated()
		}
		if err != nil {
			return nil, fmt.Errorf("look up session: %w", err)
		}
		if err := n.admits(ctx, s); err != nil {
			return nil, err
		}
		n.door.cache.remember(hash, cachedSession{s, now.Add(sessionCacheTime)}, changes)
	}
	if s.Expires <= now.UnixMilli() {
		return nil, unauthenticated()
	}
	return s, nil
}

// Session tells who the person is and since when. It is empty for a person who
// was not authenticated by a token.
func (p *Person) Session() wire.SessionReply {
	if p.session == nil {
		return wire.SessionReply{}
	}
	s := p.session
	return wire.SessionReply{Handle: s.Handle, Account: s.Account, Device: s.Device, Created: s.Created, Expires: s.Expires}
}

// EndSession ends the session that authenticated the person. The device stays
// known: its next log-in still has a budget of its own.
func (p *Person) EndSession(ctx context.Context) error {
	if p.session == nil {
		return unauthenticated()
	}
	return p.node.endSession(ctx, p.session)
}

func (n *Node) endSession(ctx context.Context, s *session) error {
	err := n.own.Apply(ctx, store.Change{Key: s.key()})
	n.door.cache.forget(s.hash)
	n.live.ended(s.hash)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// openSession spends the challenge and, in the same Apply and after it, writes
// the session: of many answers to one challenge, one gets in. Between the two it ends
// the second factor of who recovers. The device is the key of one that is known, or empty.
func (n *Node) openSession(ctx context.Context, c *wire.Challenge, who candidate, req wire.LoginRequest, device string) (wire.LoginReply, error) {
	now, account := n.now(), who.account
	reply := wire.LoginReply{
		Account: account, Token: wire.NewSessionToken(account, random32()),
		Expires: now.Add(n.door.lifetime).UnixMilli(),
	}
	hash := reply.Token.Hash(wire.LabelToken)
	// The hash tells whose answer spent the challenge, should the store make
	// these changes twice (see store.Store.Apply).
	changes := append(make([]store.Change, 0, 4), store.Change{Key: spentKey(c), Value: []byte(hash.String()), If: store.IfAbsent()})
	if c.Purpose == wire.PurposeRecovery {
		changes = append(changes, endFactors(account))
	}
	known := device != ""
	if known {
		reply.DeviceToken = *req.DeviceToken
	} else {
		reply.DeviceToken = n.newToken()
		device = deviceKey(account, &reply.DeviceToken)
	}
	defer n.door.entering.lock(account)()
	changes, list, err := n.rememberDevice(ctx, changes, account, device, known)
	if err != nil {
		return wire.LoginReply{}, err
	}
	s := session{Version: recordVersion, Account: account, Handle: c.Handle, Device: req.Device, Created: now.UnixMilli(), Expires: reply.Expires, Era: who.era, hash: hash}
	changes = append(changes, put(s.key(), &s))
	if err := n.spend(ctx, changes); err != nil {
		return wire.LoginReply{}, err
	}
	n.keepDevices(account, list)
	return reply, nil
}

// spend makes changes, the first of which spends a challenge.
func (n *Node) spend(ctx context.Context, changes []store.Change) error {
	err := n.own.Apply(ctx, changes...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	rec, err := n.own.Get(ctx, changes[0].Key)
	if err != nil {
		return fmt.Errorf("look up spent challenge: %w", err)
	}
	if string(rec.Value) != string(changes[0].Value) {
		return unauthenticated()
	}
	return n.own.Apply(ctx, changes[1:]...) // the first was ours and the rest may be missing
}

// sweep deletes what has expired: spent challenges in their order, and
// sessions, of which each call looks at the next batch.
func (n *Node) sweep(ctx context.Context) error {
	now := n.now()
	// Another process of this node may have a clock that is behind.
	before := now.Add(-wire.MaxSkew).UnixMilli()
	var gone []store.Change
	for rec, err := range n.own.Scan(ctx, store.Query{From: spentPrefix, To: spentPrefix + hex16(uint64(before)), Limit: sweepBatch}) {
		if err != nil {
			return fmt.Errorf("sweep challenges: %w", err)
		}
		gone = append(gone, store.Change{Key: strings.Clone(rec.Key)})
	}
	q := store.Prefix(sessionPrefix)
	q.From, q.Limit = max(q.From, n.door.swept), sweepBatch
	seen := 0
	for rec, err := range n.own.Scan(ctx, q) {
		if err != nil {
			return fmt.Errorf("sweep sessions: %w", err)
		}
		var s session
		if err := decodeRecord(rec, &s); err != nil {
			return err
		}
		if seen++; s.Expires <= before {
			gone = append(gone, store.Change{Key: strings.Clone(rec.Key)})
		}
		n.door.swept = store.After(strings.Clone(rec.Key))
	}
	if seen < sweepBatch {
		n.door.swept = "" // from the start next time
	}
	if len(gone) == 0 {
		return nil
	}
	return n.own.Apply(ctx, gone...)
}

// A door is what a node remembers of log-ins beside its store.
type door struct {
	throttle *throttle
	lifetime time.Duration // of sessions
	cache    recall[wire.Hash, cachedSession]
	asked    recall[wire.Handle, candidate] // for challenges; empty where other processes change vaults
	devices  *lru.Cache[wire.AccountID, devices]
	entering locks[wire.AccountID] // held to open a session of one account
	swept    string                // where the next sweep of sessions begins; sweep's alone

	sweptPurses string // the same of budgets
}

// newDoor makes the door of a node. A lifetime of 0 is DefaultSessionLifetime.
func newDoor(t *throttle, lifetime time.Duration) *door {
	if lifetime == 0 {
		lifetime = DefaultSessionLifetime
	}
	d := &door{throttle: t, lifetime: lifetime, devices: newCache[wire.AccountID, devices](deviceCacheSize)}
	d.cache.init(sessionCacheSize)
	d.asked.init(askedCacheSize)
	return d
}

// A cachedSession is remembered for a short time, so that a request costs no
// look-up. Tokens that are none are not kept.
type cachedSession struct {
	*session
	until time.Time
}
