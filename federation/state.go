package federation

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	maxStates = 2048 // nodes of which something is remembered
	stateKept = 7 * 24 * time.Hour
)

// A PeerState is what was noticed of another node since this process started, or
// in the last days.
type PeerState struct {
	Heard    time.Time     // its last request that was verified; zero for none, as all times here
	Reached  time.Time     // its last answer to a request of ours
	Failed   time.Time     // the last request of ours that was in vain
	Failures int           // since Reached
	Error    string        // of the last of them
	Ahead    time.Duration // its clock, by about a second; negative if it is behind
	Timed    bool          // Ahead is known

	Software    string // by its document, or ""
	Quarantined bool
}

func (s PeerState) last() time.Time {
	return slices.MaxFunc([]time.Time{s.Heard, s.Reached, s.Failed}, time.Time.Compare)
}

// notice changes what is remembered of a node. Of one that is new something is
// remembered only if it is met: names are had for nothing.
func (c *Client) notice(node wire.NodeName, met bool, change func(*PeerState)) {
	c.noticing.Lock()
	defer c.noticing.Unlock()
	s, ok := c.states.get(node)
	if ok || met {
		change(&s)
		c.states.set(node, s)
	}
}

// heard notes a verified request that was created then.
func (c *Client) heard(node wire.NodeName, created, now time.Time) {
	c.notice(node, true, func(s *PeerState) {
		s.Heard, s.Ahead, s.Timed = now, created.Sub(now.Truncate(time.Second)), true
	})
}

// came notes what came of a request of ours. That nobody waits for it any more says
// nothing of the node; a refusal of its own says that it was reached.
func (c *Client) came(ctx context.Context, node wire.NodeName, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	k, _ := c.directory.known(context.WithoutCancel(ctx), node) // which logs
	now := c.now()
	c.notice(node, k.doc != nil, func(s *PeerState) {
		if !errors.Is(err, wire.Unavailable) && !errors.Is(err, wire.Tampered) {
			s.Reached, s.Failures = now, 0
			return
		}
		s.Failed, s.Error = now, err.Error()
		s.Failures++
	})
}

// timed notes what a node's clock shows in an answer, to a second, between two
// moments of ours.
func (c *Client) timed(node wire.NodeName, date string, before, after time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	middle := before.Add(after.Sub(before) / 2)
	c.notice(node, false, func(s *PeerState) { s.Ahead, s.Timed = at.Sub(middle.Truncate(time.Second)), true })
}

// State returns what was noticed of a node.
func (c *Client) State(ctx context.Context, node wire.NodeName) (PeerState, error) {
	s, _ := c.states.get(node)
	k, err := c.directory.known(ctx, node)
	if k.doc != nil {
		s.Software, s.Quarantined = k.doc.Software, k.quarantined()
	}
	return s, err
}

// Noticed returns the nodes of which something was noticed, in order.
func (c *Client) Noticed() []wire.NodeName {
	names := c.states.names()
	slices.Sort(names)
	return names
}

// Sweep forgets what is of no use any more. What it leaves is bounded as well.
func (c *Client) Sweep() {
	now := c.now()
	c.directory.sweep(now)
	c.troubles.sweep(func(t troubles) bool { return now.Sub(t.broken) > troubleMemory && now.Sub(t.refused) > troubleMemory })
	for _, rests := range c.rests {
		rests.sweep(func(r rest) bool { return !now.Before(r.until) })
	}
	c.states.sweep(func(s PeerState) bool { return now.Sub(s.last()) > stateKept })
}
