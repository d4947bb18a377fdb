package client

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// The cache is what a device has verified of streams: losing it costs requests,
// and the memory below which no stream may be led back. It is one file, a CBOR
// map sealed under the cache key.

// streamID names a stream.
type streamID struct {
	Author   wire.AccountID
	Audience wire.AudienceID
}

// epochID names an epoch: a stream, and the seq of the epoch's entry.
type epochID struct {
	streamID
	seq uint64
}

type cache struct {
	tracks  map[streamID]*track
	keys    map[epochID]*epochKeys
	digests map[wire.AccountID][32]byte // of friendship records that changed nothing any more
	cursors []cursorState               // of the feed, newest last
	state   string                      // the node's name for told
	told    map[streamID]told           // of all streams that may be read
	dirty   bool
}

// told is what the node said last of a stream.
type told struct {
	head uint64 // seq of the newest entry
	asOf int64  // when a copy was up to date, ms since 1970; 0: it is, nearly
}

// edge is what has to be known of an entry to connect it with its neighbours.
type edge struct {
	Seq     uint64         `cbor:"1,keyasint"`
	ID      wire.EntryID   `cbor:"2,keyasint"`
	Prev    wire.EntryID   `cbor:"3,keyasint"`
	Created int64          `cbor:"4,keyasint"`
	KeySeq  uint64         `cbor:"5,keyasint"`
	Kind    wire.EntryKind `cbor:"6,keyasint"`
	Epoch   uint64         `cbor:"7,keyasint"`
}

// track is a run of a stream without a gap, of which every entry was verified.
type track struct {
	Low edge
	Top edge
}

// epochKeys are what this device holds of an epoch; absent ones are zero.
type epochKeys struct {
	secret  seal.EpochSecret
	content seal.ContentKey
	chain   seal.ChainKey
}

type cursorState struct {
	Cursor  string        `cbor:"1,keyasint"`
	Streams []cursorPlace `cbor:"2,keyasint"`
}

// cursorPlace is where a stream goes on after a cursor.
type cursorPlace struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	Head     uint64          `cbor:"3,keyasint"` // as the page said
	Low      []edge          `cbor:"4,keyasint"` // the oldest entry that was read, or none
}

// maxCursors bounds the pages of the feed that can be gone on from with full
// checks.
const maxCursors = 4

type cacheFile struct {
	Version uint64        `cbor:"1,keyasint"`
	Tracks  []trackFile   `cbor:"2,keyasint"`
	Keys    []keysFile    `cbor:"3,keyasint"`
	Digests []digestFile  `cbor:"4,keyasint"`
	Cursors []cursorState `cbor:"5,keyasint"`
	State   string        `cbor:"6,keyasint,omitempty"`
	Told    []toldFile    `cbor:"7,keyasint,omitempty"`
}

type toldFile struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	Head     uint64          `cbor:"3,keyasint"`
	AsOf     int64           `cbor:"4,keyasint"`
}

type trackFile struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	Low      edge            `cbor:"3,keyasint"`
	Top      edge            `cbor:"4,keyasint"`
}

type keysFile struct {
	Author   wire.AccountID  `cbor:"1,keyasint"`
	Audience wire.AudienceID `cbor:"2,keyasint"`
	Seq      uint64          `cbor:"3,keyasint"`
	Secret   hidden          `cbor:"4,keyasint"` // or empty; the other two follow from it
	Content  hidden          `cbor:"5,keyasint"`
	Chain    hidden          `cbor:"6,keyasint"`
}

type digestFile struct {
	Account wire.AccountID `cbor:"1,keyasint"`
	Digest  [32]byte       `cbor:"2,keyasint"`
}

func newCache() *cache {
	return &cache{
		tracks:  make(map[streamID]*track),
		keys:    make(map[epochID]*epochKeys),
		digests: make(map[wire.AccountID][32]byte),
		told:    make(map[streamID]told),
	}
}

// loadCache returns an empty cache when there is none that can be read.
func (p *Person) loadCache() *cache {
	if p.cache != nil {
		return p.cache
	}
	c := newCache()
	var f cacheFile
	b := p.loadSealed(fileCache)
	if b == nil || wire.DecodeCBOR("cache", b, &f) != nil || f.Version != 1 {
		return c
	}
	for _, t := range f.Tracks {
		c.tracks[streamID{t.Author, t.Audience}] = &track{t.Low, t.Top}
	}
	for _, k := range f.Keys {
		if keys := k.open(); keys != nil {
			c.keys[epochID{streamID{k.Author, k.Audience}, k.Seq}] = keys
		}
	}
	for _, d := range f.Digests {
		c.digests[d.Account] = d.Digest
	}
	c.cursors, c.state = f.Cursors, f.State
	for _, t := range f.Told {
		c.told[streamID{t.Author, t.Audience}] = told{t.Head, t.AsOf}
	}
	return c
}

func (k keysFile) open() *epochKeys {
	var e epochKeys
	if len(k.Secret.Reveal()) > 0 {
		s, err := seal.EpochSecretFromBytes(k.Secret.Reveal())
		if err != nil {
			return nil
		}
		return keysOfSecret(s)
	}
	var err error
	if e.content, err = seal.ContentKeyFromBytes(k.Content.Reveal()); err != nil {
		return nil
	}
	if len(k.Chain.Reveal()) > 0 {
		if e.chain, err = seal.ChainKeyFromBytes(k.Chain.Reveal()); err != nil {
			return nil
		}
	}
	return &e
}

func keysOfSecret(s seal.EpochSecret) *epochKeys {
	e := &epochKeys{secret: s}
	e.content, e.chain = s.Split()
	return e
}

// saveCache writes the cache if it has changed.
func (p *Person) saveCache() error {
	c := p.cache
	if c == nil || !c.dirty {
		return nil
	}
	f := cacheFile{Version: 1, Cursors: c.cursors, State: c.state}
	for _, id := range c.listed() {
		f.Told = append(f.Told, toldFile{id.Author, id.Audience, c.told[id].head, c.told[id].asOf})
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.tracks), compareStreams) {
		t := c.tracks[id]
		f.Tracks = append(f.Tracks, trackFile{id.Author, id.Audience, t.Low, t.Top})
	}
	epochs := slices.SortedFunc(maps.Keys(c.keys), func(a, b epochID) int {
		return cmp.Or(compareStreams(a.streamID, b.streamID), cmp.Compare(a.seq, b.seq))
	})
	for _, id := range epochs {
		k, out := c.keys[id], keysFile{Author: id.Author, Audience: id.Audience, Seq: id.seq}
		if out.Secret = wire.Hide(k.secret.Bytes()); k.secret.IsZero() {
			out.Content, out.Chain = wire.Hide(k.content.Bytes()), wire.Hide(k.chain.Bytes())
		}
		f.Keys = append(f.Keys, out)
	}
	for _, id := range slices.SortedFunc(maps.Keys(c.digests), compareIDs) {
		f.Digests = append(f.Digests, digestFile{id, c.digests[id]})
	}
	if err := p.saveSealed(fileCache, wire.EncodeCBOR(&f)); err != nil {
		return err
	}
	c.dirty = false
	return nil
}

func compareStreams(a, b streamID) int {
	return cmp.Or(compareIDs(a.Author, b.Author), bytes.Compare(a.Audience[:], b.Audience[:]))
}

// track returns what was verified of a stream, nil for nothing.
func (c *cache) track(id streamID) *track { return c.tracks[id] }

func (c *cache) setTrack(id streamID, t track) {
	if old := c.tracks[id]; old == nil || *old != t {
		c.tracks[id], c.dirty = &t, true
	}
}

func (c *cache) setKeys(id epochID, k *epochKeys) { c.keys[id], c.dirty = k, true }

// listed returns the streams that may be read, as the node says, in order.
func (c *cache) listed() []streamID { return slices.SortedFunc(maps.Keys(c.told), compareStreams) }

// hear takes in what a page says of streams: of all, or of those that changed.
func (c *cache) hear(r wire.FeedReply) {
	if r.All {
		clear(c.told)
	}
	for _, s := range r.Streams {
		if id := (streamID{s.Author, s.Audience}); s.Head > 0 {
			c.told[id] = told{s.Head, s.AsOf}
		} else {
			delete(c.told, id)
		}
	}
	c.dirty = c.dirty || r.State != c.state || len(r.Streams) > 0
	c.state = r.State
}

// setCursor remembers where streams go on after a cursor.
func (c *cache) setCursor(s cursorState) {
	c.cursors = slices.DeleteFunc(c.cursors, func(o cursorState) bool { return o.Cursor == s.Cursor })
	c.cursors = append(c.cursors, s)
	if n := len(c.cursors) - maxCursors; n > 0 {
		c.cursors = slices.Delete(c.cursors, 0, n)
	}
	c.dirty = true
}

func (c *cache) cursor(at string) *cursorState {
	for i := range c.cursors {
		if c.cursors[i].Cursor == at {
			return &c.cursors[i]
		}
	}
	return nil
}
