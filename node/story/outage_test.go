package story_test

import (
	"slices"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestOutage kills a node while somebody on the other writes 500 posts to friends on
// both. Friends at home read each at once, and what they have of the node that is away.
// When that is back, its people have all of it within a minute, without asking; then it
// is the other's turn to be away, and they read on.
func TestOutage(t *testing.T) {
	t.Parallel()
	const posts, between = 500, 50
	w := newWorld(t)
	t.Cleanup(memberClient.CloseIdleConnections)
	ann, ada := newMember(t, w.left, "ann"), newMember(t, w.left, "ada")
	ben, bea := newMember(t, w.right, "ben"), newMember(t, w.right, "bea")
	ann.befriends([]*member{ada, ben, bea})
	ada.befriends([]*member{ben})
	var bens, anns []wire.EntryID
	ben.publishes(ben.post())
	ann.publishes(ann.post())
	bens, anns = ben.wholeStream(), ann.wholeStream()
	reads := func(reader, author *member, want []wire.EntryID) {
		t.Helper()
		if got := reader.wholeStreamOf(author); !slices.Equal(got, want) {
			t.Fatalf("%s reads %d entries of %s, want %d", reader.handle, len(got), author.handle, len(want))
		}
	}
	wait := func(reader, author *member) time.Duration {
		t.Helper()
		begin := time.Now()
		events, err := reader.watches() // who watches makes the node ask for nothing
		if err != nil {
			t.Fatal(err)
		}
		defer events.conn.Close()
		if err := events.waitsFor(author, author.stream.Seq); err != nil {
			t.Fatal(err)
		}
		return time.Since(begin)
	}
	wait(ada, ben)
	wait(ben, ann)

	if err := w.right.kill(); err != nil {
		t.Fatal(err)
	}
	for range posts / between {
		for range between {
			ann.publishes(ann.post())
			anns = append(anns, ann.stream.ID)
		}
		reads(ada, ann, anns)
		reads(ada, ben, bens)
	}
	if err := w.right.start(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d posts are there %v after the return", posts, wait(ben, ann))
	if err := w.left.kill(); err != nil {
		t.Fatal(err)
	}
	reads(ben, ann, anns)
	reads(bea, ann, anns)
	if err := w.left.start(); err != nil {
		t.Fatal(err)
	}
	ben.publishes(ben.post())
	bens = append(bens, ben.stream.ID)
	wait(ada, ben)
	reads(ada, ben, bens)
}
