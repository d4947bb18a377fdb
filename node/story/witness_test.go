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
// its files: it is told what it has signed since, closes its log, and begins another one
// when it is restored.
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
	says(t, "the log of key statements has fallen behind what this node has signed", a)
	gus := unregistered(t, a, "gus")
	refused := func() {
		t.Helper()
		var problem wire.Problem
		status, body := gus.try("POST", wire.PathRegister, gus.founding(), nil)
		if err := wire.DecodeJSON(body, &problem); err != nil || status != 503 || problem.Code != wire.Unavailable || !strings.Contains(problem.Detail, "has fallen behind") {
			t.Errorf("a registration gets %d, %s", status, body)
		}
		if size, _ := must2(t)(a.cosigners(keyservice.CheckpointFile)); size != 1 {
			t.Errorf("%d leaves are signed", size)
		}
	}
	refused()
	must(0, a.kill())
	must(0, a.start())
	refused() // from the first moment on
	ada.ask("POST", wire.PathEntries, wire.PublishRequest{Entry: ada.entry(wire.KindPost, make([]byte, 328))}, nil)

	w := &world{TB: t, dir: dir, bin: built(t)}
	must(0, a.stop())
	out, err := w.tries(a, "fsck", "--data", a.data)
	if err == nil || !strings.Contains(out, "the log is closed") {
		t.Errorf("fsck: %v, %s", err, out)
	}
	w.restore(a, w.backup(a))
	gus.register()
	must(0, c.kill()) // else it may have asked for the document of a in the last minute
	must(0, c.start())
	a.becomesCosigned(t, 2, c)
	if log := string(must(os.ReadFile(b.log))) + string(must(os.ReadFile(c.log))); strings.Contains(log, "a log is not cosigned") {
		t.Error("a node has shown a fork")
	}
}

// says waits until a node has logged something.
func says(t *testing.T, what string, s *server) {
	t.Helper()
	for begun := time.Now(); !strings.Contains(string(must(os.ReadFile(s.log))), what); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 60*time.Second {
			t.Fatalf("%s does not say %q", s.name, what)
		}
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
