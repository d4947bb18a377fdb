package story_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

const (
	deleteList  = "testdata/crash/delete.txt"
	underDelete = "delete" // an account, and what follows from that
)

// TestDeleteKilled deletes accounts while their node is killed, once at each place that
// there is. Whatever comes of it, the account is there as before, or gone for good: then
// the friend at the other node is told, and in the end nothing is left of it in the
// stores of either node but the tombstone, the public keys and the log.
func TestDeleteKilled(t *testing.T) {
	undetected(t)
	t.Parallel()
	points := failpointsIn(t, deleteList)
	k := &killedDelete{world: &world{TB: t, dir: t.TempDir(), bin: built(t)}}
	k.left = must(newServer(buildCrash(t, points, changesOf(t, apartList)...), k.dir, "left"))
	k.right = must(newServer(k.bin, k.dir, "right"))
	for _, s := range []*server{k.left, k.right} {
		must(0, s.start())
		t.Cleanup(func() {
			must(0, s.kill())
			if t.Failed() {
				t.Logf("log of %s:\n%s", s.name, s.tail())
			}
		})
	}
	k.must("bob", "register", k.address("bob"))
	for _, p := range points {
		for pass := range p.passes {
			t.Run(fmt.Sprint(p.name, " ", pass+1), func(t *testing.T) {
				k.TB = t
				k.killedAt(p, pass+1)
			})
			if t.Failed() {
				return
			}
		}
	}
	k.TB = t
	for _, p := range points {
		if k.deaths[p.name] == 0 {
			t.Errorf("the node did not die at %s", p.name)
		}
	}
	if k.kept == 0 || k.gone == 0 {
		t.Errorf("after %d deaths the account was there, after %d it was gone", k.kept, k.gone)
	}
	k.post("bob", "goes on")
	for _, s := range []*server{k.left, k.right} {
		must(0, s.stop())
		for _, file := range []string{"own.db", "copies.db"} {
			k.looksFor(filepath.Join(s.data, file))
		}
	}
}

// killedDelete has many people who delete their accounts, and bob, who is a friend of all.
type killedDelete struct {
	*world
	people     []wire.AccountID
	deaths     map[string]int
	kept, gone int // what was found after a death
}

func (k *killedDelete) must(who string, args ...string) string {
	k.Helper()
	out, errs, err := k.types(who, args...)
	if err != nil {
		k.Fatalf("%s types %q: %v, %s%s", who, args, err, out, errs)
	}
	return out
}

func (k *killedDelete) post(who, text string) { k.Helper(); k.must(who, "post", text) }

func (k *killedDelete) killedAt(p failpoint, pass int) {
	who := fmt.Sprintf("p%d", len(k.people))
	k.must(who, "register", k.address(who))
	var self struct {
		Account wire.AccountID `json:"account"`
	}
	must(0, json.Unmarshal([]byte(k.must(who, "whoami", "--json")), &self))
	k.people = append(k.people, self.Account)
	k.must(who, "friend", "add", k.address("bob"))
	k.must("bob", "friend", "accept", k.address(who))
	k.post(who, "soon gone")
	k.post("bob", "for "+who)
	k.must(who, "feed")
	k.waits("bob reads", func() bool { return strings.Contains(k.must("bob", "feed"), "soon gone") })

	must(0, k.left.stop())
	k.left.env = []string{fmt.Sprintf("%s=%s:%d", failpointVariable, p.name, pass)}
	must(0, k.left.begin())
	died := k.left.serves() != nil // in the start
	if !died {
		_, _, err := k.types(who, "delete-account", "--yes")
		select {
		case <-k.left.end:
			died, k.left.cmd = true, nil
		case <-time.After(time.Second):
			if died = false; err != nil {
				k.Errorf("the node lives, and the command fails: %v", err)
			}
		}
	}
	if died {
		k.deaths = counted(k.deaths, p.name)
	} else {
		must(0, k.left.stop())
	}
	k.left.env = nil
	must(0, k.left.start())

	out, errs, err := k.types(who+"-2", "login", k.address(who))
	if there := err == nil; there {
		if !died {
			k.Fatalf("the account is there after it was deleted: %s", out)
		}
		k.kept++
		for _, text := range []string{"soon gone", "for " + who} {
			if out := k.must(who+"-2", "feed"); !strings.Contains(out, text) {
				k.Errorf("the account is there, and its feed is %q", out)
			}
		}
		k.must(who+"-2", "delete-account", "--yes")
	} else if !strings.Contains(errs, "name or password is wrong") {
		k.Fatalf("log-in: %v, %s%s", err, out, errs)
	} else if died {
		k.gone++
	}
	if _, errs, err := k.types(who+"-3", "register", k.address(who)); err == nil || !strings.Contains(errs, "taken") {
		k.Errorf("somebody else gets the name: %v, %s", err, errs)
	}
	k.waits("bob is told", func() bool {
		for line := range strings.Lines(k.must("bob", "friend", "list")) {
			if strings.HasPrefix(line, k.address(who)) && strings.Contains(line, "has deleted their account") {
				return true
			}
		}
		return false
	})
	if out := k.must("bob", "feed"); strings.Contains(out, "soon gone") {
		k.Errorf("bob still reads what is deleted: %q", out)
	}
	for n := range 3 {
		must(0, os.RemoveAll(k.home(fmt.Sprintf("%s-%d", who, n+1))))
	}
}

// waits waits until something is true.
func (k *killedDelete) waits(what string, true func() bool) {
	k.Helper()
	for deadline := time.Now().Add(newsArrive); !true(); time.Sleep(nextLook) {
		if time.Now().After(deadline) {
			k.Fatalf("%s: did not happen", what)
		}
	}
}

// looksFor looks for what is left of those who were deleted in the records of a store.
func (k *killedDelete) looksFor(path string) {
	k.Helper()
	s := must(bolt.Open(path, bolt.Options{}))
	defer s.Close()
	records := 0
	for rec, err := range s.Scan(context.Background(), store.Query{}) {
		if err != nil {
			k.Fatal(err)
		}
		records++
		switch kind, _, _ := strings.Cut(rec.Key, "/"); kind {
		case "handle", "key", "address", "log", "leaf", "logtile", "logtop", "leaving", "friend", "elsewhere":
			continue // the tombstone, keys, the log; and bob's records of who left
		case "node", "peer", "process", "news", "replay", "schema":
			continue
		}
		text := rec.Key + " " + string(rec.Value)
		for _, id := range k.people {
			if strings.Contains(text, id.String()) || strings.Contains(text, string(id[:])) {
				k.Errorf("%s: %s is left of somebody who was deleted", path, rec.Key)
			}
		}
	}
	if records == 0 {
		k.Errorf("%s is empty", path)
	}
	if strings.HasPrefix(filepath.Base(filepath.Dir(path)), "left") && filepath.Base(path) == "own.db" {
		for _, prefix := range []string{"friend/", "elsewhere/", "farewell/", "entry/", "vault/", "account/", "sess/", "device/"} {
			for rec, err := range s.Scan(context.Background(), store.Prefix(prefix)) {
				if err != nil {
					k.Fatal(err)
				}
				k.Errorf("%s is left, where nobody lives any more", rec.Key)
			}
		}
	}
}
