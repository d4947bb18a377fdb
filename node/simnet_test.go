package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The network of a simulation carries the bytes of signed requests and of their
// answers between whole nodes, and spoils some of them. What happens to a request
// follows from the seed, the two nodes, the path, the length of the body and the
// moment, so that it does not matter which of several goroutines comes first.

// Faults that befall a request.
const (
	faultNone       = "carried"
	faultLost       = "lost"
	faultUnanswered = "answer lost"
	faultBroken     = "broken before it arrived"
	faultBrokenThen = "broken after it arrived"
	faultLate       = "given up, and arrived later"
	faultTwice      = "doubled"
	faultCut        = "cut off"
	faultCutAnswer  = "answer cut off"
	faultParted     = "parted"
	faultDown       = "node down"
	faultLie        = "answered with a lie"
)

var randomFaults = []string{
	faultLost, faultUnanswered, faultBroken, faultBrokenThen, faultLate, faultTwice, faultTwice, faultCut, faultCutAnswer,
}

// A simLink is how one node reaches the others.
type simLink struct {
	s    *simulation
	from *simNode
}

// A simWay is from one node to another.
type simWay struct{ from, to wire.NodeName }

// begins counts a request on its way, and returns what ends that.
func (s *simulation) begins(w simWay) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying[w]++
	s.most[w] = max(s.most[w], s.flying[w])
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flying[w]--
	}
}

// simAsked is what requests of one node to another are counted under.
func simAsked(from, to wire.NodeName, path string) string {
	return fmt.Sprintf("%s of %s to %s", path, from, to)
}

// mostAtOnce returns how many requests were on each way at once, and begins to count
// anew.
func (s *simulation) mostAtOnce() map[simWay]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.most
	s.most = maps.Clone(s.flying)
	return most
}

// A simSent is a request on its way.
type simSent struct {
	simLink
	to      *simNode
	request *incoming
	fault   string
	dice    *rand.Rand
	back    chan<- simAnswer // for one; who asks may be gone
}

// A simAnswer is what comes back.
type simAnswer struct {
	reply
	err   error
	whole bool // all of the body arrives
}

// RoundTrip implements http.RoundTripper. The request travels on when the one who
// asks gives up.
func (l simLink) RoundTrip(r *http.Request) (*http.Response, error) {
	in := &incoming{method: r.Method, target: r.URL.RequestURI(), begun: time.Now()}
	if r.Body != nil {
		var err error
		if in.body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	in.headers = append(in.headers, [2]string{"Host", r.Host})
	for name, values := range r.Header {
		for _, v := range values {
			in.headers = append(in.headers, [2]string{name, v})
		}
	}
	if in.method == http.MethodPost {
		in.headers = append(in.headers, [2]string{"Content-Length", strconv.Itoa(len(in.body))})
	}
	s := l.s
	dice := s.dice("request", l.from.name, r.URL.Host, in.target, len(in.body), s.now())
	back := make(chan simAnswer, 1)
	sent := &simSent{l, s.byName[wire.NodeName(r.URL.Host)], in, faultNone, dice, back}
	if s.troubled() && dice.Float64() < s.plan.faults {
		sent.fault = randomFaults[dice.IntN(len(randomFaults))]
	}
	s.count("requests")
	s.count(in.target)
	s.count(simAsked(l.from.name, sent.to.name, in.target))
	if in.method == http.MethodPost {
		defer s.begins(simWay{l.from.name, sent.to.name})()
	}
	s.work.Go(sent.travel)
	select {
	case a := <-back:
		if a.err != nil {
			return nil, a.err
		}
		return a.response(r), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// delay is how long one way takes.
func (x *simSent) delay() time.Duration {
	most := 20 * time.Millisecond
	if x.s.troubled() && x.dice.IntN(8) == 0 {
		most = x.s.plan.slow
	}
	return time.Millisecond + time.Duration(x.dice.Int64N(int64(most)))
}

// travel brings the request there, and the answer back.
func (x *simSent) travel() {
	s := x.s
	time.Sleep(x.delay())
	if parted, hangs := s.parted(x.from, x.to); parted {
		x.end(faultParted, hangs, syscall.ECONNREFUSED)
		return
	}
	switch x.fault {
	case faultLost:
		x.end(x.fault, true, nil)
		return
	case faultBroken:
		x.end(x.fault, false, syscall.ECONNRESET)
		return
	case faultLate:
		x.end(x.fault, false, syscall.ECONNRESET)
		time.Sleep(time.Duration(x.dice.Int64N(int64(time.Minute))))
	case faultCut:
		if n := len(x.request.body); n > 0 {
			x.request.body = x.request.body[:x.dice.IntN(n)]
		} else {
			x.fault = faultNone
		}
	}
	answer, up := x.to.serve(x.request)
	if x.fault == faultTwice {
		wait := time.Duration(x.dice.Int64N(int64(time.Minute)))
		s.work.Go(func() { x.again(answer.status, wait) })
	}
	switch {
	case x.fault == faultLate:
		return
	case !up:
		x.end(faultDown, x.dice.IntN(2) == 0, syscall.ECONNREFUSED)
		return
	}
	time.Sleep(x.delay())
	if parted, _ := s.parted(x.to, x.from); parted {
		x.end(faultParted, true, nil)
		return
	}
	x.arrive(answer)
}

// arrive hands the answer over, or what is left of it.
func (x *simSent) arrive(answer reply) {
	whole := true
	switch x.fault {
	case faultUnanswered:
		x.end(x.fault, true, nil)
		return
	case faultBrokenThen:
		x.end(x.fault, false, io.ErrUnexpectedEOF)
		return
	case faultCutAnswer:
		if n := len(answer.body); n > 0 {
			answer.body, whole = answer.body[:x.dice.IntN(n)], false
		}
	}
	lie := x.to.lie(x, answer)
	if lie != nil {
		answer, x.fault = *lie, faultLie
	}
	x.note(fmt.Sprint(x.fault, " ", answer.status))
	x.s.count(fmt.Sprint("answers with ", answer.status))
	x.back <- simAnswer{answer, nil, whole}
}

// end tells the one who asks that there is no answer, or nothing at all.
func (x *simSent) end(fault string, hangs bool, err error) {
	x.note(fault)
	if !hangs {
		x.back <- simAnswer{err: err}
	}
}

func (x *simSent) note(what string) {
	fault := strings.TrimRight(what, " 0123456789")
	x.s.count(fault)
	x.s.record("%s to %s %s %d: %s", x.from.name, x.to.name, x.request.target, len(x.request.body), what)
}

// again lets the same bytes arrive once more. They must not count twice, but for a
// checkpoint of the size that the witness saw last: that is not signed for it alone.
func (x *simSent) again(first int, wait time.Duration) {
	time.Sleep(wait)
	second, up := x.to.serve(x.request)
	if x.request.method == http.MethodPost && x.request.target != wire.PathWitness && up && first == http.StatusOK && second.status == http.StatusOK {
		x.s.failf("%s took a request to %s twice", x.to.name, x.request.target)
	}
	x.s.count("replays")
}

// response is the answer as net/http gives it.
func (a simAnswer) response(r *http.Request) *http.Response {
	var body io.Reader = bytes.NewReader(a.body)
	if !a.whole {
		body = io.MultiReader(body, brokenOff{})
	}
	return &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {a.contentType}}, Body: io.NopCloser(body), ContentLength: -1,
	}
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// lie returns what a node answers that lies at the moment, nil for the truth. A lie
// never says that a statement was taken which was not.
func (n *simNode) lie(x *simSent, answer reply) *reply {
	s := n.s
	kind := x.request.method + x.request.target
	s.mu.Lock()
	defer s.mu.Unlock()
	earlier := s.answers[kind]
	if len(s.answers[kind]) < 64 {
		s.answers[kind] = append(s.answers[kind], simSaid{n, answer})
	}
	if !s.lying(n) || x.dice.IntN(2) == 0 {
		return nil
	}
	lie := answer
	lie.body = slices.Clone(answer.body)
	switch d := x.dice.IntN(6); {
	case d < 2 && x.request.target == wire.PathPeerSync && answer.status == http.StatusOK:
		lie.body = torn(x.dice, answer.body)
	case d == 5:
		lie = problemReply(wire.ProblemOf([]error{wire.Unavailable, wire.Internal, wire.Throttled, wire.Unauthenticated}[x.dice.IntN(4)]))
	case d == 0 && len(lie.body) > 0:
		lie.body[x.dice.IntN(len(lie.body))] ^= 1 << x.dice.IntN(8)
	case d == 1 && len(lie.body) > 0:
		lie.body = lie.body[:x.dice.IntN(len(lie.body))]
	case d < 5 && len(earlier) > 0 && x.request.target != wire.PathPeerFriends: // its own, or another node's
		lie = earlier[x.dice.IntN(len(earlier))].reply
	}
	return &lie
}

// torn is an answer about streams in which an entry is missing, is there twice, or
// is in the place of another.
func torn(dice *rand.Rand, body []byte) []byte {
	var a wire.SyncReply
	if wire.DecodeJSON(body, &a) != nil {
		return body
	}
	for i := range a.Streams {
		one := &a.Streams[i]
		if n := len(one.Entries); n > 0 {
			one.Entries = tear(dice, one.Entries)
			one.Head = max(one.Head, uint64(n))
		}
	}
	return wire.EncodeJSON(a)
}

func tear(dice *rand.Rand, entries []wire.Entry) []wire.Entry {
	at, other := dice.IntN(len(entries)), dice.IntN(len(entries))
	switch dice.IntN(3) {
	case 0:
		return slices.Delete(slices.Clone(entries), at, at+1)
	case 1:
		return slices.Insert(slices.Clone(entries), at, entries[other])
	}
	entries = slices.Clone(entries)
	entries[at], entries[other] = entries[other], entries[at]
	return entries
}

// A simSaid is an answer that somebody got.
type simSaid struct {
	by *simNode
	reply
}

// serve answers a request as it came from the wire, and reports whether the node is
// up.
func (n *simNode) serve(r *incoming) (answer reply, up bool) {
	life := n.enter()
	if life == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.stub == nil {
			return reply{}, false
		}
		return n.stub(r.target), true
	}
	defer life.busy.Done()
	in := *r
	rt := route{method: "*", pattern: federationPrefix + "*", open: true, serve: servePeer}
	if in.target == wire.PathDocument {
		rt = route{method: "GET", pattern: wire.PathDocument, open: true, serve: serveDocument}
	} else if in.target == wire.PathWitness {
		rt = route{method: "POST", pattern: wire.PathWitness, open: true, serve: serveAddCheckpoint}
	}
	in.pattern = rt.pattern
	ctx, cancel := context.WithTimeout(life.ctx, requestTime)
	defer cancel()
	if err := in.check("HTTP/1.1"); err != nil {
		return life.api.failure(&in, err), true
	}
	if in.length != len(in.body) {
		return life.api.failure(&in, io.ErrUnexpectedEOF), true
	}
	if err := life.api.admit(ctx, rt, &in); err != nil {
		return life.api.failure(&in, err), true
	}
	answer = life.api.answer(ctx, rt, &in)
	if life.ctx.Err() != nil {
		return reply{}, false // it died over it
	}
	if answer.value != nil {
		answer.body, answer.value = wire.AppendJSON(nil, answer.value), nil
	}
	if in.method == http.MethodPost {
		n.s.overhear(&in)
	}
	return answer, true
}

// overhear keeps some of the requests, for a node that means no good.
func (s *simulation) overhear(r *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) < 256 {
		s.requests = append(s.requests, r)
	}
}

// meddle sends others what somebody has said, now under the name of this node, and
// entries out of order. Nothing may come of it.
func (n *simNode) meddle(dice *rand.Rand) {
	life := n.enter()
	if life == nil {
		return
	}
	defer life.busy.Done()
	s := n.s
	s.mu.Lock()
	if len(s.requests) == 0 {
		s.mu.Unlock()
		return
	}
	r := s.requests[dice.IntN(len(s.requests))]
	s.mu.Unlock()
	to := s.nodes[dice.IntN(len(s.nodes))]
	if to == n {
		return
	}
	s.count("requests of others")
	peer := life.node.peers.To(to.name)
	var err error
	switch r.target {
	case wire.PathPeerFriends:
		var q wire.PeerFriendRequest
		if wire.DecodeJSON(r.body, &q) == nil {
			_, err = peer.Deliver(life.ctx, q)
			if err == nil && q.From.Node != n.name {
				s.failf("%s took a statement of %s from %s", to.name, q.From, n.name)
			}
		}
	case wire.PathPeerNotices:
		var q wire.NoticeRequest
		if wire.DecodeJSON(r.body, &q) == nil {
			for i := range q.Streams {
				if told := &q.Streams[i]; len(told.Entries) > 0 { // its own may follow
					told.Entries = tear(dice, told.Entries)
				}
			}
			_, err = peer.Notice(life.ctx, q)
		}
	case wire.PathPeerSync:
		var q wire.SyncRequest
		if wire.DecodeJSON(r.body, &q) == nil {
			var a wire.SyncReply
			a, err = peer.Sync(life.ctx, q)
			n.wantNothing(to, q, a)
		}
	}
	if errors.Is(err, wire.Internal) && !n.dying.Load() { // then it may be its own store that fails
		s.failf("a request of another broke %s: %v", to.name, err)
	}
}

// wantNothing wants no stream to be served to a node for readers of others.
func (n *simNode) wantNothing(from *simNode, q wire.SyncRequest, a wire.SyncReply) {
	for i, one := range a.Streams {
		own := len(q.Streams[i].Readers) == 0
		for _, r := range q.Streams[i].Readers {
			own = own || n.s.people[r.Account].at == n
		}
		if !own && (len(one.Entries) > 0 || len(one.Wraps) > 0) {
			n.s.failf("%s served a stream to %s, where nobody reads it", from.name, n.name)
		}
	}
}
