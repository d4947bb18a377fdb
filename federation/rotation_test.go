package federation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func requestKeys(names ...string) (all []wire.NodeRequestKey) {
	for _, n := range names {
		all = append(all, testSecrets(n).Request.Public())
	}
	return all
}

func TestListKeys(t *testing.T) {
	start := time.Unix(1_767_225_600, 0)
	at := func(d time.Duration) int64 { return start.Add(d).UnixMilli() }
	wants := func(what string, got []wire.NodeKey, want ...wire.NodeKey) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
		}
	}
	keys := requestKeys("1", "2", "3")
	one := func(i int, from, to int64) wire.NodeKey {
		return wire.NodeKey{Purpose: wire.KeyForRequests, Key: keys[i], NotBefore: from, NotAfter: to}
	}
	first := ListKeys(nil, keys[:1], start)
	wants("the first", first, one(0, at(-requestKeyEarly), at(requestKeyValid)))
	const day = 24 * time.Hour
	same := ListKeys(first, keys[:1], start.Add(day))
	wants("a day later", same, one(0, at(-requestKeyEarly), at(day+requestKeyValid)))
	second := ListKeys(same, keys[:2], start.Add(2*day))
	wants("another", second, one(0, at(-requestKeyEarly), at(2*day+keyOverlap)), one(1, at(2*day-requestKeyEarly), at(2*day+requestKeyValid)))
	soon := 2*day + time.Minute
	wants("said again", ListKeys(second, keys[:2], start.Add(soon)), second[0], one(1, second[1].NotBefore, at(soon+requestKeyValid)))
	wants("a third soon after", ListKeys(second, keys, start.Add(soon)),
		second[0], one(1, second[1].NotBefore, at(soon+keyOverlap)), one(2, at(soon-requestKeyEarly), at(soon+requestKeyValid)))
	wants("the first forgotten", ListKeys(second, keys[1:2], start.Add(3*day)), one(1, second[1].NotBefore, at(3*day+requestKeyValid)))
	wants("two at once", ListKeys(first, keys, start.Add(day)),
		one(0, first[0].NotBefore, at(day+keyOverlap)), one(1, at(day-requestKeyEarly), at(day+keyOverlap)), one(2, at(day-requestKeyEarly), at(day+requestKeyValid)))
	log := wire.NodeKey{Purpose: wire.KeyForLog, Key: keys[0], NotBefore: 1, NotAfter: 2}
	wants("a key of the log", ListKeys([]wire.NodeKey{log}, keys[:1], start), first[0])
	back := ListKeys(first, keys[:2], start.Add(-30*day))
	wants("a clock set back", back, one(0, first[0].NotBefore, first[0].NotBefore+1), one(1, at(-30*day-requestKeyEarly), at(-30*day+requestKeyValid)))
	if _, err := MakeDocument(DocumentOptions{Name: nodeA, Secrets: testSecrets("a"), Keys: back, Now: start}); err != nil {
		t.Errorf("a document of them: %v", err)
	}
}

func TestSigningOrder(t *testing.T) {
	start := time.Unix(1_767_225_600, 0)
	keys := requestKeys("1", "2", "3")
	listed := ListKeys(nil, keys[:1], start)
	listed = ListKeys(listed, keys[:2], start.Add(time.Hour))
	listed = ListKeys(listed, keys, start.Add(time.Hour+time.Minute))
	listed = append(listed, wire.NodeKey{Purpose: wire.KeyForLog, Key: testSecrets("log").Request.Public(), NotBefore: 1, NotAfter: 1 << 50})
	for _, test := range []struct {
		at   time.Duration // after the second was listed
		want []int
	}{
		{-30 * time.Minute, []int{0, 2, 1}}, // by another clock
		{0, []int{0, 2, 1}},
		{keySettles - 1, []int{0, 2, 1}},
		{keySettles, []int{1, 2, 0}},
		{keySettles + time.Minute - 1, []int{1, 2, 0}},
		{keySettles + time.Minute, []int{2, 1, 0}},
		{keyOverlap, []int{2, 1, 0}},
		{keyOverlap + time.Millisecond, []int{2, 1}},
		{keyOverlap + time.Minute, []int{2, 1}},
		{keyOverlap + 2*time.Minute, []int{2}},
		{requestKeyValid + 2*time.Minute, nil},
	} {
		var want []wire.NodeRequestKey
		for _, i := range test.want {
			want = append(want, keys[i])
		}
		if got := SigningOrder(listed, start.Add(time.Hour+test.at)); !slices.Equal(got, want) {
			t.Errorf("%v after: got %d keys, want %v", test.at, len(got), test.want)
		}
	}
	if got := SigningOrder(ListKeys(nil, keys[:1], start), start); len(got) != 1 {
		t.Error("the only key waits until it has settled")
	}
}

// A pipe leads the requests of two nodes to each other, without a network, in
// virtual time.
type pipe struct {
	t       *testing.T
	server  *Server // of nodeB
	listed  []wire.NodeKey
	doc     wire.Signed // of nodeA
	away    bool        // the document cannot be had
	refused int         // of the requests of nodeA
	cut     bool        // the next connection breaks
}

func (p *pipe) RoundTrip(r *http.Request) (*http.Response, error) {
	a := RawResponse{Status: 200, ContentType: wire.MediaJSON, Body: wire.EncodeJSON(wire.NodeDocumentReply{Document: p.doc})}
	if p.cut && r.URL.Path != wire.PathDocument {
		p.cut = false
		return nil, io.EOF
	}
	switch {
	case r.URL.Path == wire.PathDocument && r.URL.Host == string(nodeB):
		a.Body = wire.EncodeJSON(wire.NodeDocumentReply{Document: testDocument(p.t, nodeB, testSecrets("b"), 0, time.Now())})
	case r.URL.Path == wire.PathDocument && p.away:
		return nil, errors.New("away")
	case r.URL.Path != wire.PathDocument:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		raw := RawRequest{Method: r.Method, Target: r.URL.Path, Body: body, Headers: [][2]string{{"Host", r.Host}}}
		for name, values := range r.Header {
			raw.Headers = append(raw.Headers, [2]string{name, values[0]})
		}
		a = p.server.Serve(r.Context(), raw)
	}
	if a.Status == 401 {
		p.refused++
	}
	return &http.Response{StatusCode: a.Status, Header: http.Header{"Content-Type": {a.ContentType}}, Body: io.NopCloser(bytes.NewReader(a.Body))}, nil
}

// TestRotationUnderLoad changes a node's request key three times while it asks
// another without a pause. No request fails; each old key is taken for as long as it
// may still sign, and by nobody five minutes after its end was published.
func TestRotationUnderLoad(t *testing.T) {
	for name, test := range map[string]struct {
		clock   time.Duration // of the receiver, ahead of the sender's
		meddle  func(p *pipe, since time.Duration)
		refused bool // the new key is refused at first, and the old one tried
	}{
		"honest":                           {},
		"a receiver whose clock is ahead":  {clock: 115 * time.Second},
		"a receiver whose clock is behind": {clock: -9 * time.Second},
		// So the receiver may not ask for the document when it wants to.
		"a stranger who guesses keys": {meddle: func(p *pipe, since time.Duration) {
			guess := Secrets{Request: testSecrets(fmt.Sprint(since)).Request}
			p.server.Serve(p.t.Context(), write(newPen(nodeA, nodeB, guess, time.Now())))
		}},
		"connections that break":                        {meddle: func(p *pipe, since time.Duration) { p.cut = true }},
		"a document that cannot be had for two minutes": {refused: true, meddle: func(p *pipe, since time.Duration) { p.away = since < 2*time.Minute }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(24 * time.Hour)
				rotateUnderLoad(t, test.clock, test.meddle, test.refused)
			})
		})
	}
}

func rotateUnderLoad(t *testing.T, ahead time.Duration, meddle func(*pipe, time.Duration), refused bool) {
	p := &pipe{t: t}
	names := []string{"key 0"}
	root := testSecrets("a").Root
	publish := func() {
		p.listed = ListKeys(p.listed, requestKeys(names...), time.Now())
		var err error
		if p.doc, err = MakeDocument(DocumentOptions{Name: nodeA, Secrets: Secrets{root, testSecrets("x").Request}, Keys: p.listed, Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	client := func(name wire.NodeName, o ClientOptions) *Client {
		o.Self, o.Peers, o.Log = name, newShelf(), quiet
		c, err := NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		c.http = &http.Client{Transport: p}
		t.Cleanup(c.Close)
		return c
	}
	keys := func() (all []wire.NodeRequestSecret) {
		for _, k := range SigningOrder(p.listed, time.Now()) {
			for _, n := range names {
				if s := testSecrets(n).Request; s.Public() == k {
					all = append(all, s)
				}
			}
		}
		return all
	}
	a := client(nodeA, ClientOptions{Secrets: testSecrets("x"), Keys: keys})
	clock := func() time.Time { return time.Now().Add(ahead) }
	b := client(nodeB, ClientOptions{Secrets: testSecrets("b"), Now: clock})
	var err error
	if p.server, err = NewServer(ServerOptions{Self: nodeB, Client: b, Replay: &markShelf{}, Now: clock, Log: quiet, For: (&recorder{}).bind}); err != nil {
		t.Fatal(err)
	}
	takes := func(name string) bool { // a request that was signed with a key just now
		pen := forgery.NewPen(forgery.Signer{Name: nodeA, Request: testSecrets(name).Request}, nodeB, keysRoute(), time.Now())
		pen.Expires = pen.At(requestLifetime)
		return p.server.Serve(t.Context(), write(pen)).Status == 200
	}
	const step, pause = 2 * time.Second, 6 * time.Minute
	switched := 0
	for i := range 4 {
		for began := time.Now(); time.Since(began) < pause; time.Sleep(step) {
			if _, err := a.To(nodeB).Keys(t.Context(), wire.KeysRequest{Address: wire.Address{Handle: "bob", Node: nodeB}}); err != nil {
				t.Fatalf("%v after rotation %d: %v", time.Since(began), i, err)
			}
			if i == 0 {
				continue
			}
			since := time.Since(began)
			if meddle != nil {
				meddle(p, since)
			}
			if keys()[0].Public() == testSecrets(names[i]).Request.Public() {
				switched++
			}
			signed := keySettles + requestLifetime*time.Second - max(0, ahead) // so long what the old key signed may be under way
			if old := takes(names[i-1]); old && since >= documentFresh || !old && since < signed {
				t.Errorf("%v after rotation %d the old key is taken: %v", since, i, old)
			}
		}
		names = append(names, fmt.Sprint("key ", i+1))
		publish()
	}
	if (p.refused > 0) != refused {
		t.Errorf("a key was refused %d times before the other was tried", p.refused)
	}
	if switched < 3*int((pause-keySettles)/step)/2 {
		t.Errorf("only %d requests were signed with a new key", switched)
	}
}
