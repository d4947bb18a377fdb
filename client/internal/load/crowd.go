package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A crowd is all people of a run and the nodes that they live on.
type crowd struct {
	seed      wire.Hidden[[32]byte]
	name      string // that the handles of all begin with
	box       wire.RecoveryEncryptionKey
	setting   *setting // nil once everybody is there
	nodes     []*node
	people    []*person
	words     string // what texts are cut from
	size      int    // of a text
	timeout   time.Duration
	presigned bool         // nothing is signed any more
	renewed   atomic.Int64 // sessions that a node had ended
	fresh     atomic.Int64 // pages of the feed that told of all streams
	stages    []Stage      // of the set-up
	tell      func(string, ...any)
}

const wordsCycle = 4096

// newCrowd makes a crowd of nobody. A node that is not a development node is
// loaded by its operator alone.
func newCrowd(o *Options, seed [32]byte) (*crowd, error) {
	c := &crowd{seed: wire.Hide(seed), size: o.Size, timeout: o.Timeout, tell: func(format string, args ...any) {
		if o.Progress != nil {
			o.Progress(fmt.Sprintf(format, args...))
		}
	}}
	box := c.secret("recovery box", 0)
	key, err := wire.KEM().NewPrivateKey(box[:])
	if err != nil {
		return nil, err
	}
	c.box = [1216]byte(key.PublicKey().Bytes())
	c.name = "load" + wire.Hash(c.secret("name", 0)).String()[:8]
	words := rand.New(rand.NewChaCha8(c.secret("words", 0)))
	var b strings.Builder
	for b.Len() < wordsCycle+c.size {
		b.WriteByte("etaoin shrdlu "[words.IntN(14)])
	}
	c.words = b.String()
	for _, text := range o.Nodes {
		n, err := parseNode(text)
		switch {
		case err != nil:
			return nil, err
		case slices.ContainsFunc(c.nodes, func(other *node) bool { return other.name == n.name }):
			return nil, wire.Errorf(wire.Invalid, "node", "%s was named twice", n.name)
		case !n.name.Development() && !o.Mine:
			return nil, wire.Errorf(wire.Forbidden, "node", "%s is not a development node: it is loaded by nobody but its operator", n.name)
		}
		c.nodes = append(c.nodes, n)
		n.spread((o.People + len(o.Nodes) - 1) / len(o.Nodes))
	}
	return c, nil
}

// text is what somebody writes as an entry of their stream: no two are the same.
func (c *crowd) text(number int, seq uint64) string {
	head := fmt.Sprintf("post %d of %s_%d ", seq, c.name, number)
	from := int((seq*31 + uint64(number)*17) % wordsCycle)
	return head + c.words[from:from+max(0, c.size-len(head))]
}

func (c *crowd) close() {
	for _, n := range c.nodes {
		n.close()
	}
}

// inspect asks each node who it is.
func (c *crowd) inspect(ctx context.Context) error {
	for _, n := range c.nodes {
		a, err := n.ask(ctx, &request{method: http.MethodGet, path: wire.PathDocument}, c.timeout)
		if err == nil && a.status != http.StatusOK {
			err = wire.Errorf(wire.Unavailable, "node", "%s answers with status %d where a node says who it is", n.name, a.status)
		}
		if err != nil {
			return err
		}
		var reply wire.NodeDocumentReply
		if err = wire.DecodeJSON(a.body, &reply); err == nil {
			_, err = wire.OpenNodeDocument(reply.Document, n.name)
		}
		if err != nil {
			return wire.Errorf(wire.Unavailable, "node", "what answers at %s is not the node of that name (%v)", n.name, err)
		}
		if now := time.Now(); !a.date.IsZero() && now.Sub(a.date).Abs() > wire.MaxSkew {
			return wire.Errorf(wire.Clock, "clock", "the clock of %s says %s, this one says %s", n.name, a.date.UTC().Format(time.TimeOnly), now.UTC().Format(time.TimeOnly))
		}
	}
	return nil
}

// setters is how many people are set up at once.
const setters = 64

// stage is each, and keeps how long it took.
func (c *crowd) stage(ctx context.Context, what string, count int, do func(ctx context.Context, i int) error) error {
	begin := time.Now()
	err := c.each(ctx, what, count, do)
	took := max(time.Since(begin).Seconds(), 1e-6)
	if count > 0 {
		c.stages = append(c.stages, Stage{what, count, took, float64(count) / took})
	}
	return err
}

// each calls do for all numbers below count, some at once, until one fails; what
// a node refuses for now is asked for again when it says.
func (c *crowd) each(ctx context.Context, what string, count int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var next, done atomic.Int64
	var told pace
	begin := time.Now()
	for range min(setters, count) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := c.insist(ctx, func() error { return do(ctx, i) }); err != nil {
					cancel(err)
				}
				if n, now := done.Add(1), time.Since(begin); int(n) == count || told.due(now) {
					rate := float64(n) / max(now.Seconds(), 1e-6)
					c.tell("%s: %d of %d, %s/s, %.0f s to go", what, n, count, thousands(rate), float64(count-int(n))/rate)
				}
			}
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// A pace says when it is time to tell how far things are.
type pace struct{ last atomic.Int64 }

const paceTime = 100 * time.Millisecond

// due is given how long it has been.
func (p *pace) due(d time.Duration) bool {
	last := p.last.Load()
	return int64(d)-last >= int64(paceTime) && p.last.CompareAndSwap(last, int64(d))
}

// insist does something again as long as a node asks for patience.
func (c *crowd) insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		var e *wire.Error
		if !errors.As(err, &e) || e.RetryAfter == 0 || e.Kind != wire.Throttled && e.Kind != wire.Unavailable {
			return err
		}
		c.tell("the node asks to wait %s", e.RetryAfter)
		if pause(ctx, e.RetryAfter) != nil {
			return ctx.Err()
		}
	}
}

// befriend notes friendships.
func befriend(edges []edge) {
	for _, e := range edges {
		e.from.friends[e.to.number], e.to.friends[e.from.number] = true, true
	}
}

// draw makes the keys of all people.
func (c *crowd) draw(ctx context.Context, people int) error {
	c.people = make([]*person, people)
	return c.stage(ctx, "making keys", people, func(_ context.Context, i int) (err error) {
		if c.people[i], err = c.newPerson(i); err == nil && c.setting != nil {
			err = c.people[i].found()
		}
		return err
	})
}

// free takes somebody who can do an operation now, nil if nobody is found.
func (c *crowd) free(r *rand.Rand, o operation, now time.Time) *person {
	const guesses, look = 8, 256
	for range guesses {
		if p := c.people[r.IntN(len(c.people))]; p.takeFor(o, now) {
			return p
		}
	}
	from := r.IntN(len(c.people))
	for i := range min(look, len(c.people)) {
		if p := c.people[(from+i)%len(c.people)]; p.takeFor(o, now) {
			return p
		}
	}
	return nil
}

func (p *person) takeFor(o operation, now time.Time) bool {
	if !p.take(now) {
		return false
	}
	if o == posts && (p.broken || p.crowd.presigned && len(p.pending) == 0) {
		p.release()
		return false
	}
	return true
}
