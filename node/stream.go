package node

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A streamName names one author's stream for one audience.
type streamName struct {
	author   wire.AccountID
	audience wire.AudienceID
}

func (s streamName) compare(t streamName) int {
	if c := bytes.Compare(s.author[:], t.author[:]); c != 0 {
		return c
	}
	return bytes.Compare(s.audience[:], t.audience[:])
}

func (s streamName) String() string { return s.author.String() + "/" + s.audience.String() }

func streamKey(s streamName) string            { return "entry/" + s.String() + "/" }
func entryKey(s streamName, seq uint64) string { return streamKey(s) + hex16(seq) }

func (s *stream) entryKey(seq uint64) string { return s.prefix + hex16(seq) }

// A stream is one that this node has, its own person's or a copy.
type stream struct {
	name   streamName
	prefix string            // of the keys of its entries
	copy   bool              // of an author elsewhere
	status wire.StreamStatus // to begin one with

	appending sync.Mutex // held to append, and to change those below
	unsettled bool       // what follows from the newest entry may not have been done
	stale     bool       // the store may have entries that head does not know
	saved     int64      // asOf in the store, ms since 1970
	bytes     int64      // of a copy: what it takes; -1 where that is not known
	moving    bool       // of a copy: entries are being deleted, or fetched again

	// Of other processes of this node: head is up to what they did while the two
	// are equal.
	heard, loaded atomic.Uint64
	told          uint64 // the newest entry that all of them can hear of; as unsettled

	head    atomic.Pointer[streamHead]
	lost    atomic.Bool         // the head is not known, because of damage in the store
	changed atomic.Uint64       // number of the newest change of it
	asOf    atomic.Int64        // of a copy: when the author's node was last heard, ms since 1970
	late    atomic.Bool         // of a copy: that was more than lateAfter ago
	inOrder *list.Element       // in timely, nil while it is late; timely.mu is held
	gap     atomic.Pointer[gap] // of a copy: what is not here; nil: all is
	read    atomic.Int64        // of a copy: when it was last, ms since 1970, to the minute

	entitled atomic.Pointer[entitled] // of the newest epoch somebody asked about
}

// A streamHead is the newest end of a stream.
type streamHead struct {
	wire.StreamHead
	content  wire.Commitment // of the newest epoch
	arrival  int64           // of the newest entry, ms since 1970
	position int64           // of the newest entry, ms since 1970
}

// state returns the newest end; all zero of an empty stream.
func (s *stream) state() streamHead { return *s.head.Load() }

func newStream(name streamName, copied bool) *stream {
	s := &stream{name: name, prefix: streamKey(name), copy: copied, status: wire.StreamStatus{Author: name.author, Audience: name.audience}.Keep()}
	s.head.Store(new(streamHead))
	s.late.Store(copied)
	return s
}

// streams are all that the node has.
type streams struct {
	mu       sync.RWMutex
	byName   map[streamName]*stream
	byAuthor map[wire.AccountID][]*stream

	// There may be streams that are not here. sought are the authors whose streams
	// were looked for, since the start or since something was missed.
	sought map[wire.AccountID]bool
}

func (s *streams) init() {
	s.byName = make(map[streamName]*stream)
	s.byAuthor = make(map[wire.AccountID][]*stream)
	s.sought = make(map[wire.AccountID]bool)
}

// get returns a stream, or nil.
func (s *streams) get(name streamName) *stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// of returns the streams of an author, which may be empty.
func (s *streams) of(author wire.AccountID) []*stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.byAuthor[author])
}

// add returns a stream that is there, or begins one.
func (s *streams) add(name streamName, copied bool) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.byName[name]
	if one == nil {
		one = newStream(name, copied)
		s.byName[name] = one
		s.byAuthor[name.author] = append(s.byAuthor[name.author], one)
	}
	return one
}

// open returns a stream that is there or can begin now. Limit when the author
// has limit streams already.
func (s *streams) open(name streamName, copied bool, limit int) (*stream, error) {
	s.mu.RLock()
	one, count := s.byName[name], len(s.byAuthor[name.author])
	s.mu.RUnlock()
	switch {
	case one != nil:
		return one, nil
	case count >= limit:
		return nil, wire.Errorf(wire.Limit, "audience", "an account has at most %d streams", limit)
	}
	return s.add(name, copied), nil
}

// storeOf returns where a stream, and all that belongs to it, is kept.
func (n *Node) storeOf(s *stream) store.Store {
	if s.copy {
		return n.copies
	}
	return n.own
}

// entry returns one entry of a stream, or NotExist.
func (n *Node) entry(ctx context.Context, s *stream, seq uint64) (*entryRecord, error) {
	r := new(entryRecord)
	if _, err := read(ctx, n.storeOf(s), s.entryKey(seq), r); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *entryRecord) entry() wire.Entry { return wire.Entry{Header: r.Header, Body: r.Body} }

// position is where the entry stands in a feed. It never falls along a stream,
// since neither created nor arrival does.
func (r *entryRecord) position() int64 { return min(r.Created, r.Arrival) }

// nextStream opens the first stream with entries among the records of a query, nil
// if there is none.
func (n *Node) nextStream(ctx context.Context, copied bool, q store.Query) (*stream, error) {
	s := n.own
	if copied {
		s = n.copies
	}
	for rec, err := range firstKey(ctx, s, q, n.leftOut) {
		if err != nil {
			return nil, err
		}
		name, err := parseStreamName(strings.TrimPrefix(rec.Key, "entry/"))
		if err != nil {
			return nil, fmt.Errorf("record %q: %v", rec.Key, err)
		}
		return n.streams.add(name, copied), nil
	}
	return nil, nil
}

// parseStreamName reads what streamName's String wrote, with or without one number
// behind it.
func parseStreamName(s string) (name streamName, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return name, errors.New("not the key of a stream or an entry")
	}
	author, err1 := wire.ParseAccountID(parts[0])
	audience, err2 := wire.ParseAudienceID(parts[1])
	return streamName{author, audience}, errors.Join(err1, err2)
}

// loadHead reads the newest end of a stream from the store. The caller holds
// s.appending, or is alone.
func (n *Node) loadHead(ctx context.Context, s *stream) (err error) {
	missed := s.stale || s.lost.Load()
	s.stale = true
	defer func() { s.lost.Store(errors.Is(err, store.ErrDamaged)) }()
	head, err := n.readHead(ctx, s)
	if err != nil {
		return err
	}
	if n.news != nil && head.Seq > s.told {
		key := s.entryKey(head.Seq) // whoever wrote it may still be about to
		if err := n.news.announce(ctx, s.copy, []string{key}); err != nil {
			return err
		}
		s.told = head.Seq
	}
	if s.copy {
		if err := n.loadGap(ctx, s); err != nil {
			return err
		}
	}
	s.head.Store(head)
	if missed { // of what another process wrote is heard elsewhere
		n.changes.ofStream(s)
	}
	s.unsettled, s.stale = head.Seq > 0, false
	if !s.copy {
		return nil
	}
	var as syncRecord
	_, err = read(ctx, n.copies, syncKey(s.name), &as)
	if before := s.asOf.Load(); n.news != nil && as.AsOf > before && n.now().UnixMilli()-as.AsOf <= lateAfter.Milliseconds() {
		n.heardOf(s, as.AsOf) // by another process
	} else {
		s.asOf.Store(max(before, as.AsOf))
	}
	s.saved = as.AsOf
	if s.bytes = as.Bytes; head.Seq != as.Seq || head.Seq > 0 && as.Bytes == 0 {
		s.bytes = -1
	}
	return ignoreAbsent(err)
}

// readHead returns the newest end of a stream as it is in the store.
func (n *Node) readHead(ctx context.Context, s *stream) (*streamHead, error) {
	q := store.Prefix(s.prefix)
	q.Reverse, q.Limit = true, 1
	for rec, err := range n.storeOf(s).Scan(ctx, q) {
		if err != nil {
			return nil, err
		}
		var r entryRecord
		if err := decodeRecord(rec, &r); err != nil {
			return nil, err
		}
		var seq uint64
		if _, err := fmt.Sscanf(rec.Key[strings.LastIndexByte(rec.Key, '/')+1:], "%016x", &seq); err != nil {
			return nil, fmt.Errorf("record %q: not the key of an entry", rec.Key)
		}
		content := r.Content
		if r.Epoch != seq {
			epoch, err := n.entry(ctx, s, r.Epoch)
			if errors.Is(err, store.ErrDamaged) {
				return nil, err
			}
			if err != nil {
				return nil, fmt.Errorf("epoch %d: %v", r.Epoch, err)
			}
			content = epoch.Content
		}
		return &streamHead{
			StreamHead: wire.StreamHead{
				Seq: seq, ID: r.entry().ID(), Epoch: r.Epoch, PrevEpoch: r.PrevEpoch, Created: r.Created, KeySeq: r.KeySeq,
			},
			content: content, arrival: r.Arrival, position: r.position(),
		}, nil
	}
	return new(streamHead), nil
}

// readable is the one rule of who may read a stream, here or from another node:
// its author, and whoever is friends with the author, by every record that this
// node has of the two, and has a wrap of the newest epoch. For everybody else the
// stream does not exist.
func (n *Node) readable(ctx context.Context, reader wire.AccountID, name streamName) (*stream, error) {
	s, err := n.begunStream(ctx, name)
	if err != nil {
		return nil, err
	}
	if reader == name.author {
		if s == nil {
			s = newStream(name, false)
		}
		return s, nil
	}
	if s == nil {
		return nil, noStream()
	}
	for _, p := range []pair{{name.author, reader}, {reader, name.author}} {
		if err := n.friends(ctx, p, n.bond); err != nil {
			return nil, err
		}
	}
	if _, err = n.wrapHash(ctx, s, s.head.Load().content, reader); errors.Is(err, wire.NotExist) {
		return nil, noStream()
	}
	return s, err
}

// begunStream returns a stream up to what was heard, and nil while it is empty.
func (n *Node) begunStream(ctx context.Context, name streamName) (*stream, error) {
	s, err := n.stream(ctx, name)
	if err == nil {
		err = n.found(ctx, s)
	}
	if err != nil || s == nil || s.head.Load().Seq == 0 {
		return nil, err
	}
	return s, nil
}

func noStream() error { return wire.Errorf(wire.NotExist, "stream", "no such stream") }

// friends errs unless the record of p.me, read with bond, says friend. Somebody of
// another node has none here.
func (n *Node) friends(ctx context.Context, p pair, bond func(context.Context, pair) (bool, error)) error {
	here, err := n.isHere(ctx, p.me)
	if err != nil || !here {
		return err
	}
	friends, err := bond(ctx, p)
	if err != nil {
		return err
	}
	if !friends {
		return noStream()
	}
	return nil
}

// readableFriend is readable for a friend in the reader's circle, which is what
// the reader's own record says. The answer is remembered there and nowhere else,
// for the epoch that it was given about: it rests on nothing else that could change
// but the two friendRecords, and a change of either drops the circle.
func (n *Node) readableFriend(ctx context.Context, reader wire.AccountID, f *friendOf) (*stream, error) {
	if known := f.known.Load(); known != nil {
		if err := n.freshen(ctx, known.stream); err != nil {
			return nil, err
		}
		if known.stream.head.Load().content == known.content {
			return known.stream, nil
		}
	}
	name := f.link.Value().stream
	s, err := n.begunStream(ctx, name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, noStream()
	}
	about := s.head.Load().content // should it change from here on, the answer counts for nothing
	if err := n.friends(ctx, pair{name.author, reader}, n.knownBond); err != nil {
		return nil, err
	}
	has, err := n.hasWrap(ctx, s, about, reader)
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, noStream()
	}
	f.known.Store(s.entitle(about))
	return s, nil
}

// entitle returns what circles remember of those who may read a stream in an epoch.
func (s *stream) entitle(content wire.Commitment) *entitled {
	if e := s.entitled.Load(); e != nil && e.content == content {
		return e
	}
	e := &entitled{s, content}
	s.entitled.Store(e)
	return e
}
