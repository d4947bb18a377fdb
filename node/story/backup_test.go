package story_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestBackupUnderLoad copies a node while people post and register, restores the
// copy, and looks into it as those people: what was acknowledged before the backup
// began is there, each stream is what was published and without a gap, and vaults
// and friendships can be read.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testBackupUnderLoad(w, 50, func() {}, w.left)
}

// testBackupUnderLoad is TestBackupUnderLoad with so many posts of each before the
// backup, people who each ask one of the processes of the left node, and something
// to do when that was restored.
func testBackupUnderLoad(w *world, posts int64, restored func(), processes ...*server) {
	t := w.TB
	people := newMembers(t, w.left, "load", 8)
	for i, m := range people {
		m.home = processes[i%len(processes)]
	}
	people[0].befriends(people[1:])
	published := make([][]wire.EntryID, len(people)) // by seq-1
	acknowledged := make([]atomic.Int64, len(people))
	for i, m := range people {
		published[i] = []wire.EntryID{m.stream.ID}
		acknowledged[i].Store(1)
	}
	var load sync.WaitGroup
	ended := make(chan struct{})
	for i, m := range people {
		load.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				e := m.entry(wire.KindPost, make([]byte, sealedPost))
				published[i] = append(published[i], e.ID())
				m.ask("POST", wire.PathEntries, wire.PublishRequest{Entry: e}, nil)
				acknowledged[i].Add(1)
			}
		})
	}
	var newcomers []*member
	var registered atomic.Int64
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
				newcomers = append(newcomers, newMember(t, w.left, fmt.Sprintf("new%d", i)))
				registered.Add(1)
			}
		}
	})
	for acknowledged[0].Load() < posts || registered.Load() < 2 {
		time.Sleep(nextLook)
	}
	least := make([]int, len(people))
	for i := range people {
		least[i] = int(acknowledged[i].Load())
	}
	arrived := registered.Load()
	file := w.backup(w.left)
	close(ended)
	load.Wait()
	w.restore(w.left, file)
	restored()

	for i, m := range people {
		m.token = wire.Token{}
		m.logIn()
		got := m.wholeStream()
		if len(got) < least[i] || len(got) > len(published[i]) {
			t.Errorf("%s: %d entries, %d were acknowledged before the backup, and %d published", m.handle, len(got), least[i], len(published[i]))
		}
		for seq, id := range got[:min(len(got), len(published[i]))] {
			if id != published[i][seq] {
				t.Errorf("%s: entry %d is another one", m.handle, seq+1)
			}
		}
		var friends wire.FriendsReply
		m.ask("GET", wire.PathFriends, nil, &friends)
		want := 1
		if i == 0 {
			want = len(people) - 1
		}
		if len(friends.Friends) != want || friends.Friends[0].State != wire.StateFriend {
			t.Errorf("%s: got %d friends, want %d", m.handle, len(friends.Friends), want)
		}
		var vault wire.VaultReply
		m.ask("GET", wire.PathVault, nil, &vault)
		if vault.Record == nil || string(vault.Record.Head) != string(m.vault) {
			t.Errorf("%s: another vault", m.handle)
		}
	}
	for _, m := range newcomers[:arrived] {
		m.token = wire.Token{}
		m.logIn()
	}
	t.Logf("%s: %d people, %d to %d newcomers", filepath.Base(file), len(people), arrived, len(newcomers))
}

// wholeStream reads one's own stream to its end, and wants it without a gap.
func (m *member) wholeStream() []wire.EntryID {
	m.Helper()
	return m.wholeStreamOf(m)
}

// wholeStreamOf reads the stream of a friend.
func (m *member) wholeStreamOf(author *member) (ids []wire.EntryID) {
	m.Helper()
	for {
		var r wire.StreamReply
		m.ask("GET", fmt.Sprintf("/v1/streams/%s/%s?after=%d", author.account, author.audience, len(ids)), nil, &r)
		for _, e := range r.Entries {
			ids = append(ids, e.ID())
		}
		if len(r.Entries) == 0 || len(ids) >= int(r.Head) {
			if len(ids) != int(r.Head) {
				m.Errorf("%s: %d entries, and the newest is %d", m.handle, len(ids), r.Head)
			}
			return ids
		}
	}
}
