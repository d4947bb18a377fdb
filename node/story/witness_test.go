package story_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// document is what a node says of itself.
func (s *server) document() (*wire.NodeDocument, error) {
	b, err := s.public(wire.PathDocument)
	if err != nil {
		return nil, err
	}
	var reply wire.NodeDocumentReply
	if err := wire.DecodeJSON(b, &reply); err != nil {
		return nil, err
	}
	return reply.Open(wire.NodeName(s.name))
}

// cosigners are those of a list that have cosigned a checkpoint which a node shows, by the
// keys that they show themselves.
func (s *server) cosigners(file string, of ...*server) (size uint64, count int, err error) {
	d, err := s.document()
	if err != nil {
		return 0, 0, err
	}
	b, err := s.public(d.Log.File(file))
	if err != nil {
		return 0, 0, err
	}
	c, err := keyservice.OpenCheckpoint(b, d.Log.Origin(d.Name), d.LogKey())
	if err != nil {
		return 0, 0, err
	}
	for _, other := range of {
		by, err := other.document()
		if err != nil {
			return 0, 0, err
		}
		key, _ := by.WitnessKey()
		if _, ok := keyservice.NodeWitness(by.Name, key).Cosigned(b); ok {
			count++
		}
	}
	return c.Size, count, nil
}

// becomesCosigned waits until the newest checkpoint of a node is one of a size that some
// others have cosigned, and returns how long that took.
func (s *server) becomesCosigned(t *testing.T, size uint64, by ...*server) time.Duration {
	t.Helper()
	begun := time.Now()
	for {
		got, count, err := s.cosigners(keyservice.CheckpointFile, by...)
		if err == nil && got == size && count == len(by) {
			return time.Since(begun)
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("the checkpoint of %s is of %d and cosigned by %d of %d (%v)", s.name, got, count, len(by), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestWitnesses has three nodes whose people are friends cosign each other's logs, by
// themselves. One of them is killed, and forgets nothing; one goes on from an older copy of
// its files, so that its log forks, and neither of the others cosigns that.
func TestWitnesses(t *testing.T) {
	undetected(t)
	dir := t.TempDir()
	var all []*server
	for _, name := range []string{"a", "b", "c"} {
		s := must(newServer(built(t), dir, name))
		all = append(all, s)
		must(0, s.start())
		t.Cleanup(func() {
			must(0, s.kill())
			if t.Failed() {
				t.Logf("log of %s:\n%s", s.name, s.tail())
			}
		})
	}
	a, b, c := all[0], all[1], all[2]
	ada, bob, cyd := newMember(t, a, "ada"), newMember(t, b, "bob"), newMember(t, c, "cyd")
	if _, _, err := a.cosigners("cosigned"); !errors.Is(err, wire.NotExist) {
		t.Errorf("before anybody has friends elsewhere: %v", err)
	}
	for _, p := range [][2]*member{{ada, bob}, {ada, cyd}, {bob, cyd}} {
		p[0].befriends(p[1:])
	}
	a.becomesCosigned(t, 1, b, c)
	b.becomesCosigned(t, 1, a, c)
	c.becomesCosigned(t, 1, a, b)

	must(0, a.stop())
	copied := filepath.Join(dir, "copy")
	must(0, os.CopyFS(copied, os.DirFS(a.data)))
	must(0, a.start())
	newMember(t, a, "eve")
	took := a.becomesCosigned(t, 2, b, c)
	if size, count := must2(t)(a.cosigners("cosigned", b, c)); size != 2 || count != 2 {
		t.Errorf("%d have cosigned %d leaves", count, size)
	}
	t.Logf("a new leaf was cosigned by both others after %v", took)

	must(0, c.kill()) // without a word
	newMember(t, a, "fay")
	a.becomesCosigned(t, 3, b)
	if size, count := must2(t)(a.cosigners("cosigned", b)); size != 2 || count != 1 {
		t.Errorf("while one is away, %d leaves are shown as cosigned", size)
	}
	must(0, c.start())
	a.becomesCosigned(t, 3, b, c)

	must(0, a.kill())
	must(0, os.RemoveAll(a.data))
	must(0, os.Rename(copied, a.data))
	must(0, a.start())
	newMember(t, a, "gus") // the second leaf of another log
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		log := string(must(os.ReadFile(a.log)))
		if strings.Count(log, "it has seen 3 leaves of the log, and here are") >= 2 {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("a does not say that its log has fallen behind")
		}
	}
	for i, handle := range []string{"hal", "ida"} {
		newMember(t, a, handle)
		if size, count := must2(t)(a.cosigners(keyservice.CheckpointFile, b, c)); size != uint64(i+3) || count != 0 {
			t.Errorf("%d have cosigned a fork of %d leaves", count, size)
		}
	}
	must(0, c.kill())
	must(0, c.start())
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if log := string(must(os.ReadFile(b.log))) + string(must(os.ReadFile(c.log))); strings.Contains(log, "a log is not cosigned") {
			break
		}
		if time.Since(begun) > 60*time.Second {
			t.Fatal("nobody says that the log forks")
		}
	}
	if size, count := must2(t)(a.cosigners(keyservice.CheckpointFile, b, c)); size != 4 || count != 0 {
		t.Errorf("%d have cosigned a fork of %d leaves", count, size)
	}
}

func must2(t *testing.T) func(size uint64, count int, err error) (uint64, int) {
	return func(size uint64, count int, err error) (uint64, int) {
		t.Helper()
		if err != nil {
			t.Fatal(fmt.Errorf("the log of a node: %w", err))
		}
		return size, count
	}
}
