package node

import (
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestRemind rolls a node back behind friendships of its people. The node of the
// others tells it again what those have said: an offer at once, an acceptance when
// the offer that it answers is there again.
func TestRemind(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	home, other := w.open(north, own, nil), w.open(south, nil, nil)
	ann, ben, cyd, dan := home.person("ann"), other.person("ben"), other.person("cyd"), other.person("dan")
	before := own.Snapshot()
	offer := ann.offer(ben)
	ann.wraps(ann.content, ben, cyd)
	ann.tell(offer)
	ben.tell(ben.accept(ann))
	cyd.befriend(ann)
	ann.tell(ann.offer(dan)) // who gets no wrap, and so was never served
	dan.tell(dan.accept(ann))
	for _, p := range []*testPerson{ben, cyd, dan} {
		p.wants(ann, wire.StateFriend, wire.StateFriend)
	}
	other.pulls(home)
	home.close()
	own.Restore(before)
	home = w.open(north, own, nil)
	ann.home = home

	other.pulls(home)
	eventually(t, "the offer is there again", func() bool { return ann.state(cyd) == wire.StateIncoming })
	if got := ann.state(ben); got != wire.StateNone {
		t.Errorf("without an offer: got %q", got)
	}
	if r, _, err := other.friendship(t.Context(), pair{dan.account, ann.account}); err != nil || len(r.Queue) > 0 {
		t.Errorf("of somebody who was never served: %d wait, %v", len(r.Queue), err)
	}
	ann.tell(offer)
	eventually(t, "the acceptance is there again", func() bool { return ann.state(ben) == wire.StateFriend })

	// What comes of it again is soon enough in ten minutes.
	told := w.called(wire.PathPeerFriends)
	other.pulls(home)
	if got := w.called(wire.PathPeerFriends); got != told {
		t.Errorf("reminded again at once: %d calls", got-told)
	}
	w.clock.advance(remindAfter + time.Second)
	other.pulls(home)
	eventually(t, "it is told again", func() bool { return w.called(wire.PathPeerFriends) > told })
}
