package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// sizeSmall is a network that real nodes and the model play, with a node that is away
// for a while.
func sizeSmall() *sizeNet {
	n := sizePlan{seed: 1, nodes: 8, people: 40, friends: 3, neighbours: .2, length: 16 * time.Minute, every: time.Minute, posts: 350, visits: 120, way: 25 * time.Millisecond}.draw()
	n.outages = []sizeOutage{{2, n.length / 8, n.length / 2}}
	return n
}

// quiet reports whether all nodes that a post concerns are there, when it is written
// and a little before and after.
func (c *sizeCounts) quiet(p *sizePost) bool {
	nodes, _ := c.net.nodesOf(p.who)
	for _, o := range c.net.outages {
		near := p.at > o.from-time.Second && p.at < o.to+2*noticeLast
		if near && (o.node == c.net.homes[p.who] || slices.Contains(nodes, o.node)) {
			return false
		}
	}
	return true
}

// check wants each post to cost one request for each node with readers, and to be
// there once.
func (c *sizeCounts) check(t *testing.T) (quiet int) {
	t.Helper()
	for i := range c.posts {
		p := &c.posts[i]
		if c.quiet(p) {
			quiet++
			if p.notices != p.nodes {
				t.Errorf("entry %d of %d, for %d people at %d nodes, was brought by %d requests", p.seq, p.who, p.readers, p.nodes, p.notices)
			}
		}
		if p.notices > p.nodes || p.copies > p.nodes || p.copies < p.nodes && !c.lateAway(p) {
			t.Errorf("entry %d of %d, for people at %d nodes, was brought by %d requests, and is at %d nodes", p.seq, p.who, p.nodes, p.notices, p.copies)
		}
	}
	for i := range c.nodes {
		if keys := c.nodes[i].sent[sizeKeys].requests; keys != 0 {
			t.Errorf("%s asked for keys %d times", sizeName(int32(i)), keys)
		}
	}
	return quiet
}

// lateAway reports whether a node that has readers of a post, or its own, is away until
// the end, or came back just before.
func (c *sizeCounts) lateAway(p *sizePost) bool {
	nodes, _ := c.net.nodesOf(p.who)
	return slices.ContainsFunc(c.net.outages, func(o sizeOutage) bool {
		return o.to > c.net.length-time.Minute && (o.node == c.net.homes[p.who] || slices.Contains(nodes, o.node))
	})
}

// TestSizeModel wants the model to count what real nodes do, in the same network on the
// same day.
func TestSizeModel(t *testing.T) {
	undetected(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b, n := measuredSizes(t), sizeSmall()
	real, model := playSize(t, n), playModel(n, b)
	if quiet := real.check(t); quiet < 20 || quiet == len(real.posts) {
		t.Errorf("%d of %d posts are of no node that is away", quiet, len(real.posts))
	}
	model.check(t)
	if len(real.posts) != len(model.posts) {
		t.Fatalf("%d and %d posts", len(real.posts), len(model.posts))
	}
	for i, p := range real.posts {
		m := model.posts[i]
		near := math.Abs(float64(p.bytes-m.bytes)) <= 0.01*float64(p.bytes)
		if m.bytes = p.bytes; p != m || !near && real.quiet(&p) {
			t.Errorf("of real nodes %+v, of the model %+v", p, m)
		}
	}
	all := [2][sizeKinds]sizeTally{}
	for i := range real.nodes {
		r, m := &real.nodes[i], &model.nodes[i]
		if r.copies != m.copies || !nearly(r.copyBytes, m.copyBytes, .002) {
			t.Errorf("%s: %d copies of %d bytes, and %d of %d in the model", sizeName(int32(i)), r.copies, r.copyBytes, m.copies, m.copyBytes)
		}
		for kind := range sizeKinds {
			if kind == sizeNotice && (r.sent[kind].requests != m.sent[kind].requests || r.took[kind].requests != m.took[kind].requests) {
				t.Errorf("%s: notices %+v and %+v, in the model %+v and %+v", sizeName(int32(i)), r.sent[kind], r.took[kind], m.sent[kind], m.took[kind])
			}
			for which, tally := range []sizeTally{r.sent[kind], m.sent[kind]} {
				of := &all[which][kind]
				of.requests, of.bytes, of.heads = of.requests+tally.requests, of.bytes+tally.bytes, of.heads+tally.heads
			}
		}
	}
	for kind, within := range [sizeKinds]float64{sizeNotice: .01, sizeSync: .12, sizeDocument: .25} {
		r, m := all[0][kind], all[1][kind]
		t.Logf("%s: %d requests of %d bytes, in the model %d of %d", sizePaths[kind], r.requests, r.bytes, m.requests, m.bytes)
		if !nearly(r.requests, m.requests, within) || !nearly(r.bytes, m.bytes, within) {
			t.Errorf("%s: %+v, in the model %+v", sizePaths[kind], r, m)
		}
	}
}

func nearly(a, b int64, within float64) bool {
	return math.Abs(float64(a-b)) <= within*float64(max(a, b))
}

// sizeLarge is a day of a large network.
func sizeLarge(nodes, people int) sizePlan {
	return sizePlan{
		seed: 1, nodes: nodes, people: people, friends: 10, neighbours: .2, length: 24 * time.Hour, posts: 2, visits: 5,
		away: .1, awayFrom: time.Hour, way: 25 * time.Millisecond,
	}
}

// TestSize plays a day of a network in the model: a small one, or where SIZE_PLOT says
// where to draw the picture, those of docs/benchmarks.md.
func TestSize(t *testing.T) {
	undetected(t)
	plans := []sizePlan{sizeLarge(40, 2000)}
	plot := os.Getenv("SIZE_PLOT")
	if plot != "" {
		plans = []sizePlan{sizeLarge(200, 100_000), sizeLarge(400, 100_000), sizeLarge(1000, 100_000)}
	}
	b := measuredSizes(t)
	var reports []*sizeReport
	for _, p := range plans {
		c := playModel(p.draw(), b)
		if quiet := c.check(t); quiet < len(c.posts)/4 {
			t.Errorf("%d of %d posts are of no node that is away", quiet, len(c.posts))
		}
		r, e := c.report(), p.estimate(b)
		for what, of := range map[string][2]float64{
			"requests for a post": {r.meanNodes, e.meanNodes}, "streams": {r.middle.streams, e.middle.streams},
			"bytes for posts": {r.middle.posts, e.middle.posts}, "for rounds": {r.middle.rounds, e.middle.rounds}, "for looks": {r.middle.looks, e.middle.looks},
		} {
			t.Logf("%d nodes: %s: %.4g, %.4g are estimated", p.nodes, what, of[0], of[1])
			if within := .3 * max(of[0], of[1]); math.Abs(of[0]-of[1]) > within {
				t.Errorf("%d nodes: %s: %.4g, and %.4g are estimated", p.nodes, what, of[0], of[1])
			}
		}
		reports = append(reports, r)
	}
	reports = append(reports, sizeLarge(10_000, 100_000_000).estimate(b))
	picture := drawSizes(reports)
	wantPicture(t, picture, len(plans))
	if plot == "" {
		return
	}
	if err := os.WriteFile(plot, picture, 0o644); err != nil {
		t.Fatal(err)
	}
	sign, verify := measureSignatures(t)
	fmt.Print(sizeTable(reports, sign, verify))
}

// wantPicture wants a picture to be XML, with a curve for each network.
func wantPicture(t *testing.T, picture []byte, curves int) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(picture))
	paths := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths != curves+1 || bytes.Contains(picture, []byte("NaN")) || bytes.Contains(picture, []byte("Inf")) {
		t.Errorf("%d curves, want %d and the diagonal, in\n%s", paths, curves, picture)
	}
}

// measureSignatures measures a signature of a request, and its check: the quickest of
// many rounds, as on a processor that nobody else uses.
func measureSignatures(t *testing.T) (sign, verify time.Duration) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	message := make([]byte, 300)
	signature := ed25519.Sign(key, message)
	public := key.Public().(ed25519.PublicKey)
	const rounds, each = 300, 20
	sign, verify = time.Hour, time.Hour
	for range rounds {
		begin := time.Now()
		for range each {
			ed25519.Sign(key, message)
		}
		middle := time.Now()
		for range each {
			if !ed25519.Verify(public, message, signature) {
				t.Fatal("a signature does not verify")
			}
		}
		sign, verify = min(sign, middle.Sub(begin)/each), min(verify, time.Since(middle)/each)
	}
	return sign, verify
}
