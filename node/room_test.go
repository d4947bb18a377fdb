package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// copyOf returns the copy of somebody's stream.
func (n *testNode) copyOf(author *testPerson) *stream {
	n.world.t.Helper()
	s, err := n.stream(context.Background(), streamName{author.account, author.audience})
	if err != nil || s == nil || !s.copy {
		n.world.t.Fatalf("there is no copy of what %s wrote: %v", author.address, err)
	}
	return s
}

// trims removes all but the newest end of a copy.
func (n *testNode) trims(author *testPerson) (rest int64) {
	n.world.t.Helper()
	rest, err := n.trim(context.Background(), n.copyOf(author), toTrim)
	if err != nil {
		n.world.t.Fatal(err)
	}
	return rest
}

// looks makes room, as is done in the background.
func (n *testNode) looks() {
	n.world.t.Helper()
	if err := n.makeRoom(context.Background()); err != nil {
		n.world.t.Fatal(err)
	}
}

// weight counts all copies, record by record, and checks what was noted of each.
func (n *testNode) weight() (total int64) {
	n.world.t.Helper()
	n.room.look.Lock()
	defer n.room.look.Unlock()
	counted := map[string]int64{}
	for rec, err := range n.copies.Scan(context.Background(), store.Query{}) {
		if err != nil {
			n.world.t.Fatal(err)
		}
		parts := strings.Split(rec.Key, "/")
		name := ""
		switch parts[0] {
		case "entry", "wrap":
			name = parts[1] + "/" + parts[2]
		case "id":
			var r idRecord
			if err := decodeRecord(rec, &r); err != nil {
				n.world.t.Fatal(err)
			}
			name = streamName{r.Author, r.Audience}.String()
		default:
			continue
		}
		counted[name] += int64(len(rec.Key) + len(rec.Value))
		total += int64(len(rec.Key) + len(rec.Value))
	}
	for name, bytes := range counted {
		var r syncRecord
		if _, err := read(context.Background(), n.copies, "sync/"+name, &r); err != nil || r.Bytes != bytes {
			n.world.t.Errorf("the copy %s takes %d bytes, %d are noted, %v", name, bytes, r.Bytes, err)
		}
	}
	return total
}

// longPosts publishes posts of 10,000 bytes.
func (p *testPerson) longPosts(count int) {
	p.t.Helper()
	for range count {
		p.publish(p.seal(p.header(wire.KindPost), make([]byte, 10_000)))
	}
}

// whole reports whether all of a copy is there.
func (n *testNode) whole(author *testPerson) bool { return n.copyOf(author).gap.Load() == nil }

// authors are people with a few epochs and long posts, friends with reader.
func authors(home *testNode, count, posts int, reader *testPerson) (list []*testPerson) {
	for i := range count {
		home.world.clock.advance(time.Second)
		ann := home.person(wire.Handle(fmt.Sprintf("ann%02d", i)))
		ann.befriend(reader)
		ann.posts(1)
		ann.rotate(reader)
		ann.longPosts(posts)
		list = append(list, ann)
	}
	return list
}

// TestCopiesHaveACap fills the copies above their cap, again and again: what was not
// read for longest goes, down to the low-water mark, and what is being read stays.
func TestCopiesHaveACap(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	w.room = 500_000
	other := w.open(south, nil, nil)
	ben := other.person("ben")
	list := authors(home, 8, 5, ben) // of some 52,000 bytes each
	other.pulls(home)
	other.looks()
	for _, ann := range list {
		if !other.whole(ann) {
			t.Fatal("something went although there was room")
		}
	}
	// The order in which they are read is the order in which they go.
	order := []int{3, 1, 6, 0, 7, 2, 5, 4}
	for _, i := range order {
		w.clock.advance(5 * time.Minute)
		if got := len(ben.reads(list[i])); got != 8 {
			t.Fatalf("got %d entries", got)
		}
	}
	w.clock.advance(5 * time.Minute)
	last := 0
	for round := range 3 {
		list[order[7]].longPosts(9)
		ben.reads(list[order[7]]) // which is spared
		other.pulls(home)
		other.looks()
		total := other.weight()
		if total > w.room {
			t.Errorf("round %d: the copies take %d bytes of %d", round, total, w.room)
		}
		if total < w.room/100*lowWater-60_000 {
			t.Errorf("round %d: the copies take %d bytes, too much went", round, total)
		}
		gone := 0
		for at, i := range order[:7] {
			if other.whole(list[i]) {
				continue
			}
			if gone++; at >= gone {
				t.Errorf("round %d: what was read as number %d went before others", round, at)
			}
		}
		if gone <= last {
			t.Errorf("round %d: %d copies went, %d had before", round, gone, last)
		}
		last = gone
		if !other.whole(list[order[7]]) {
			t.Errorf("round %d: what was being read went", round)
		}
	}
}

// TestReadTimes: reading writes nothing; when what was read is stored together,
// later, and counts after a restart.
func TestReadTimes(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	copies := storetest.Count(storetest.NewMemory())
	other := w.open(south, nil, copies)
	ben := other.person("ben")
	list := authors(home, 4, 5, ben)
	other.pulls(home)
	w.fail(north, away) // so that nothing is pulled
	copies.Reset()
	ben.pages(10)
	for _, ann := range list[1:] {
		w.clock.advance(time.Minute)
		for range 50 {
			ben.reads(ann)
		}
	}
	if copies.Applies() > 0 {
		t.Errorf("reading made %d changes", copies.Changes())
	}
	copies.Reset()
	if err := other.saveReads(t.Context()); err != nil || copies.Applies() != 1 || copies.Changes() != 4 {
		t.Errorf("%d changes in %d writes, %v, want 4 in one", copies.Changes(), copies.Applies(), err)
	}
	if err := other.saveReads(t.Context()); err != nil || copies.Applies() != 1 {
		t.Errorf("%d writes, %v, want no other", copies.Applies(), err)
	}
	w.clock.advance(time.Hour)
	ben.reads(list[0]) // not stored, but for the end of the process
	other.close()
	w.room = 190_000
	ben.home = w.open(south, other.own, copies)
	ben.home.looks()
	for i, want := range []bool{true, false, false, true} {
		if got := ben.home.whole(list[i]); got != want {
			t.Errorf("copy %d: whole: %t, want %t", i, got, want)
		}
	}
}

// TestTooSmallACap: where what is being read is more than the copies may take, it
// stays, the operator is told once, and nothing is fetched again and again.
func TestTooSmallACap(t *testing.T) {
	w := newWorld(t)
	home := w.open(north, nil, nil)
	w.room = 20_000
	other := w.open(south, nil, nil)
	log := new(safeLog)
	other.log = slog.New(slog.NewTextHandler(log, nil))
	ann, ben := home.person("ann"), other.person("ben")
	ann.longPosts(10)
	ann.befriend(ben)
	other.pulls(home)
	other.looks()
	before := w.called(wire.PathPeerSync)
	for range 20 {
		other.follows.done(north, other.follows.added, true, synced{})
		eventually(t, "all is read", func() bool {
			reply, err := ben.as().Stream(t.Context(), ann.account, ann.audience, 0, 0, 0)
			return err == nil && len(reply.Entries) == 11
		})
		other.looks()
		if !other.whole(ann) {
			t.Fatal("what is being read went")
		}
	}
	if asked := w.called(wire.PathPeerSync) - before; asked > 25 { // a pull for each reader, and one to read it again
		t.Errorf("the author's node was asked %d times", asked)
	}
	if got := strings.Count(log.String(), "the copies take more than copies.max_bytes"); got != 1 {
		t.Errorf("the operator was told %d times:\n%s", got, log)
	}
	w.clock.advance(time.Hour)
	other.looks()
	if other.whole(ann) || other.weight() > w.room {
		t.Error("it stays when nobody reads it any more")
	}
}

// TestUncounted: copies that an earlier release made are counted once.
func TestUncounted(t *testing.T) {
	w := newWorld(t)
	home, other := w.open(north, nil, nil), w.open(south, nil, nil)
	ben := other.person("ben")
	authors(home, 3, 2, ben)
	other.pulls(home)
	for _, key := range keysOf(t, other.copies, "sync/") {
		if err := other.copies.Apply(t.Context(), put(key, &syncRecord{Version: recordVersion, AsOf: w.clock.now().UnixMilli()})); err != nil {
			t.Fatal(err)
		}
	}
	other.close()
	copies := storetest.Count(other.copies)
	again := w.open(south, other.own, copies)
	again.looks()
	if total := again.weight(); total != again.room.total {
		t.Errorf("the copies take %d bytes, %d are counted", total, again.room.total)
	}
	again.looks()
	copies.Reset()
	again.looks()
	if copies.Applies() > 0 || copies.Scanned() > 10 {
		t.Errorf("a look reads %d records and writes %d times", copies.Scanned(), copies.Applies())
	}
	if again.room.due() {
		t.Error("another look is wanted")
	}
	ann := home.person("ann")
	ann.befriend(ben)
	ann.longPosts(3)
	ben.home = again
	again.pulls(home)
	if total := again.weight(); again.room.due() || total != again.room.total {
		t.Errorf("the copies take %d bytes, %d are counted without another look", total, again.room.total)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1MiB": 1 << 20, "10GiB": 10 << 30, "1TiB": 1 << 40, "512KiB": 512 << 10, "1048577": 1048577, "0": 0} {
		got, err := parseSize(text)
		if err != nil || got != want || formatSize(got) != text {
			t.Errorf("%s: got %d, %v, written %s", text, got, err, formatSize(got))
		}
	}
	for _, text := range []string{"", "MiB", "-1MiB", "+1MiB", "1 MiB", "1mib", "1.5MiB", "1MB", "8388608TiB", "99999999999999999999"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
