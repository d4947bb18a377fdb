package node

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// sizeBytes are what a sizeModel knows of bytes, and of package federation. None is
// written down here.
type sizeBytes struct {
	heads         [sizeKinds]int64 // of a request and its answer together
	entry         int64            // in JSON
	entrySize     int64            // as limits count it
	copySize      int64            // its records
	document      int64            // the bodies of a look-up
	documentFresh time.Duration    // for so long it is used
	sync, notice  func(streams, within int64) int64
	since         func(changed int64) int64 // what changed, asked and answered
}

var (
	sizesOnce sync.Once
	sizesMade *sizeBytes
)

// measuredSizes are measured once.
func measuredSizes(t *testing.T) *sizeBytes {
	t.Helper()
	sizesOnce.Do(func() { sizesMade = measureSizes(t) })
	if sizesMade == nil {
		t.Fatal("sizes could not be measured")
	}
	return sizesMade
}

// measureSizes measures two real nodes, and the encoders.
func measureSizes(t *testing.T) *sizeBytes {
	t.Helper()
	b := new(sizeBytes)
	two := &sizeNet{
		sizePlan: sizePlan{seed: 1, nodes: 2, people: 2, length: 12 * time.Minute, every: 2 * time.Minute, way: time.Millisecond},
		homes:    []int32{0, 1}, friends: [][]int32{{1}, {0}}, deeds: []sizeDeed{{at: time.Second}},
	}
	c := playSize(t, two)
	for _, kind := range []int{sizeNotice, sizeSync, sizeDocument} {
		of := c.nodes[0].sent[kind]
		if of.requests == 0 {
			t.Fatalf("no request to %s was measured", sizePaths[kind])
		}
		b.heads[kind] = of.heads / of.requests
	}
	document := c.nodes[0].sent[sizeDocument]
	b.document = (document.bytes - document.heads) / document.requests
	b.copySize = c.nodes[1].copyBytes

	p := newWorld(t).open(north, nil, nil).person("ann")
	e := p.seal(p.header(wire.KindPost), make([]byte, sizePostBytes))
	b.entrySize = int64(e.Size())
	b.entry = int64(len(wire.EncodeJSON([]wire.Entry{e, e})) - len(wire.EncodeJSON([]wire.Entry{e})))
	b.sync = linear(func(streams, readers int) int64 { return sizeOfSync(p, streams, readers) })
	b.since = func(changed int64) int64 { return sizeOfSince(p, 0) + changed*(sizeOfSince(p, 2)-sizeOfSince(p, 1)) }
	b.notice = linear(func(streams, entries int) int64 { return sizeOfNotice(p, e, streams, entries) })
	b.documentFresh = measureDocuments(t)
	return b
}

// linear continues a size that grows evenly with how many there are of something, and
// of what is within.
func linear(size func(some, within int) int64) func(some, within int64) int64 {
	within := size(1, 2) - size(1, 1)
	some := size(2, 2) - size(1, 1) - within
	base := size(1, 1) - some - within
	return func(s, w int64) int64 { return base + s*some + w*within }
}

// sizeOfSync is the size of a question and an answer about streams that have nothing
// new, with the readers spread over them.
func sizeOfSync(p *testPerson, streams, readers int) int64 {
	var q wire.SyncRequest
	a := wire.SyncReply{State: p.home.stateAt(stateOwner(north), 1), Changed: []wire.ChangedStream{}}
	for i := range streams {
		one := wire.SyncStream{Author: p.account, Audience: p.audience, After: 10, Head: p.stream.ID, Readers: []wire.SyncReader{}}
		for j := i; j < readers; j += streams {
			one.Readers = append(one.Readers, wire.SyncReader{Account: p.account, Have: random32()})
		}
		q.Streams = append(q.Streams, one)
		a.Streams = append(a.Streams, wire.SyncedStream{
			Author: p.account, Audience: p.audience, Head: 10, Entries: []wire.Entry{}, Wraps: []wire.SyncedWrap{}, Closed: []wire.ClosedTo{},
		})
	}
	return int64(len(wire.EncodeJSON(q)) + len(wire.EncodeJSON(a)))
}

// sizeOfSince is the size of a question and an answer about what changed.
func sizeOfSince(p *testPerson, changed int) int64 {
	state := p.home.stateAt(stateOwner(north), 1)
	q := wire.SyncRequest{Streams: []wire.SyncStream{}, Since: state}
	a := wire.SyncReply{Streams: []wire.SyncedStream{}, State: state, Changed: []wire.ChangedStream{}}
	for range changed {
		a.Changed = append(a.Changed, wire.ChangedStream{Author: p.account, Audience: p.audience})
	}
	return int64(len(wire.EncodeJSON(q)) + len(wire.EncodeJSON(a)))
}

func sizeOfNotice(p *testPerson, e wire.Entry, streams, entries int) int64 {
	var q wire.NoticeRequest
	for i := range streams {
		one := wire.NoticedStream{Author: p.account, Audience: p.audience, After: 10, Head: 11, Entries: []wire.Entry{}, Wraps: []wire.SyncedWrap{}}
		for j := i; j < entries; j += streams {
			one.Entries = append(one.Entries, e)
		}
		q.Streams = append(q.Streams, one)
	}
	return int64(len(wire.EncodeJSON(q)) + len(wire.EncodeJSON(wire.NoticeReply{})))
}

// measureDocuments finds out for how long a document is used before it is asked for
// again.
func measureDocuments(t *testing.T) time.Duration {
	t.Helper()
	now, asked := time.Now(), 0
	body := wire.EncodeJSON(wire.NodeDocumentReply{Document: newWorld(t).open(north, nil, nil).Document()})
	c, err := federation.NewClient(federation.ClientOptions{
		Self: south, Secrets: federation.Secrets{Request: wire.NewNodeRequestSecret(random32())},
		Peers: &peerStore{s: storetest.NewMemory(), now: time.Now}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {wire.MediaJSON}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for fresh := time.Duration(0); fresh < time.Hour; fresh += time.Second {
		if _, err := c.Document(t.Context(), north); err != nil {
			t.Fatal(err)
		}
		if asked == 2 {
			return fresh
		}
		now = now.Add(time.Second)
	}
	t.Fatalf("a document was asked for %d times in an hour", asked)
	return 0
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
