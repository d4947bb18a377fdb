package story_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// The commands that change the keys.
const (
	underRotate     = "rotate"
	underRotateRoot = "rotate --root"
)

// A rotating is two nodes whose times are a sixtieth of the usual, and what they ask
// of each other.
type rotating struct {
	testing.TB
	left, right *server
	ada, bob    *member // friends, on the left and on the right
}

// TestRotation changes the keys with which two nodes sign requests, and their root
// keys, three times each, while they bring each other posts and friendships: no
// request between them fails, and afterwards a request that was signed with the first
// key is refused. Then a node is killed at each step of a change, and goes on, and one
// is away while the other changes its root three times.
func TestRotation(t *testing.T) {
	undetected(t)
	r := &rotating{TB: t}
	bin := buildCrash(t, failpointsIn(t, rotationList), changesOf(t, hurryList)...)
	dir := t.TempDir()
	for _, to := range []struct {
		server **server
		name   string
	}{{&r.left, "left"}, {&r.right, "right"}} {
		s := must(newServer(bin, dir, to.name))
		s.flags = []string{"--proxies", "127.0.0.1", "--log-level", "debug"}
		*to.server = s
		must(0, s.start())
		t.Cleanup(func() {
			must(0, s.kill())
			if t.Failed() {
				t.Logf("log of %s:\n%s", s.name, s.tail())
			}
		})
	}
	r.ada, r.bob = newMember(t, r.left, "ada"), newMember(t, r.right, "bob")
	r.bob.befriends([]*member{r.ada})
	t.Run("under load", func(t *testing.T) {
		r.TB = t
		r.underLoad()
	})
	for _, p := range failpointsIn(t, rotationList) {
		t.Run("killed at "+p.name, func(t *testing.T) {
			r.TB = t
			r.killedAt(p)
		})
	}
	t.Run("while away", func(t *testing.T) {
		r.TB = t
		must(0, r.right.stop())
		for range 3 {
			r.rotates(r.left, underRotateRoot)
		}
		must(0, r.right.start())
		r.bothWays()
	})
	t.Run("in the end", func(t *testing.T) {
		r.TB = t
		r.hasOneKey(r.left)
		r.bothWays()
		for _, s := range []*server{r.left, r.right} {
			if log := string(must(os.ReadFile(s.log))); !strings.Contains(log, "announced by the one that was pinned") || strings.Contains(log, "it is in quarantine") {
				t.Errorf("%s: the log tells of no other root of the other, or of a quarantine", s.name)
			}
		}
	})
}

func (r *rotating) underLoad() {
	old := r.requestSeed(r.left)
	if status := r.signedWith(old); status != http.StatusOK {
		r.Fatalf("before all the first key is answered with %d", status)
	}
	before := [2]int{r.refused(r.left), r.refused(r.right)}
	var done atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	repeat := func(do func(i int)) {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					do(i)
					done.Add(1)
				}
			}
		})
	}
	repeat(func(int) { r.brings(r.ada, r.bob) })
	repeat(func(int) { r.brings(r.bob, r.ada) })
	repeat(func(i int) { r.meet(i) })
	for range 3 {
		for _, s := range []*server{r.left, r.right} {
			r.rotates(s, underRotate)
			r.rotates(s, underRotateRoot)
		}
		time.Sleep(2 * time.Second) // the load goes on, and the keys have their time
	}
	r.hasOneKey(r.left)
	r.hasOneKey(r.right)
	close(stop)
	load.Wait()
	if after := [2]int{r.refused(r.left), r.refused(r.right)}; after != before {
		r.Errorf("the nodes refused %v requests of each other before, and %v now", before, after)
	}
	if done.Load() < 20 {
		r.Errorf("only %d posts and offers", done.Load())
	}
	r.Logf("%d posts and offers", done.Load())
	if status := r.signedWith(old); status != http.StatusUnauthorized {
		r.Errorf("the first key is answered with %d", status)
	}
	if status := r.signedWith(r.requestSeed(r.left)); status != http.StatusOK {
		r.Errorf("the newest key is answered with %d", status)
	}
}

// killedAt lets the left node die in the middle of a change, and sees it go on.
func (r *rotating) killedAt(p failpoint) {
	for try := 1; ; try++ {
		must(0, r.left.stop())
		r.left.env = []string{fmt.Sprintf("%s=%s:%d", failpointVariable, p.name, p.passes)}
		must(0, r.left.start())
		out, asked := r.rotate(r.left, p.under) // which does not hear of it, if the node dies before it is done
		err := r.left.ended()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			break
		}
		if try == 3 {
			r.Fatalf("it did not die there: %v (%v, %s)", err, asked, out)
		}
		r.Logf("it did not die there, and is led there again: %v (%v, %s)", err, asked, out)
	}
	r.left.env = nil
	must(0, r.left.start())
	r.bothWays()
}

func (r *rotating) bothWays() {
	r.brings(r.ada, r.bob)
	r.brings(r.bob, r.ada)
}

// brings lets one post something, and waits until it is read on the other's node.
func (r *rotating) brings(author, reader *member) {
	body := make([]byte, sealedPost)
	post := wire.PublishRequest{Entry: author.entry(wire.KindPost, body)}
	if status, refused := author.try("POST", wire.PathEntries, post, nil); status > 299 {
		r.Errorf("%s posts: status %d, %s", author.handle, status, refused)
	}
	path := fmt.Sprintf("/v1/streams/%s/%s?limit=1&before=9007199254740991", author.account, author.audience)
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		var reply wire.StreamReply
		status, refused := reader.try("GET", path, nil, &reply)
		if status == http.StatusOK && reply.Head >= author.stream.Seq {
			return
		}
		if status > 299 || time.Now().After(deadline) {
			r.Errorf("%s reads %s: status %d, %s, %d of %d entries", reader.handle, author.handle, status, refused, reply.Head, author.stream.Seq)
			return
		}
	}
}

// meet lets somebody new on the left ask somebody new on the right for friendship,
// whose keys the left node has to ask for first.
func (r *rotating) meet(i int) {
	to := newMember(r.TB, r.right, fmt.Sprint("right", i))
	from := newMember(r.TB, r.left, fmt.Sprint("left", i))
	offer := from.offering(to, time.Now().UnixMilli())
	if status, refused := from.try("POST", wire.PathFriends, offer, nil); status > 299 {
		r.Errorf("an offer: status %d, %s", status, refused)
		return
	}
	to.accept(from, offer.Statement.Hash(wire.LabelOffer))
}

// refused counts in the log of a node the requests of the other that did not verify.
func (r *rotating) refused(s *server) int {
	return strings.Count(string(must(os.ReadFile(s.log))), "a request between nodes is refused")
}

// rotates types a command that succeeds.
func (r *rotating) rotates(s *server, command string) {
	if out, err := r.rotate(s, command); err != nil {
		r.Errorf("%s: %v: %s", command, err, out)
	}
}

// rotate types a command.
func (r *rotating) rotate(s *server, command string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, "peerbrain-node"), append(append([]string{"admin"}, strings.Fields(command)...), "--data", s.data)...)
	cmd.Env = bare()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// hasOneKey waits until a node has forgotten all its keys but one.
func (r *rotating) hasOneKey(s *server) {
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		answer := must(memberClient.Get("http://" + s.listen + wire.PathDocument))
		var reply wire.NodeDocumentReply
		body := make([]byte, 1<<16)
		n, _ := answer.Body.Read(body) // all of it, or it does not decode
		must(0, answer.Body.Close())
		if err := wire.DecodeJSON(body[:n], &reply); err == nil && len(must(wire.OpenNodeDocument(reply.Document, wire.NodeName(s.name))).KeysFor(wire.KeyForRequests)) == 1 {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s still has more than one key", s.name)
		}
	}
}

// signedWith is how the right node answers a request of the left one under a key.
func (r *rotating) signedWith(key wire.NodeRequestSecret) int {
	route := forgery.Route{Path: wire.PathPeerKeys, Body: string(wire.EncodeJSON(wire.KeysRequest{Address: r.bob.address()}))}
	request := forgery.NewPen(forgery.Signer{Name: wire.NodeName(r.left.name), Request: key}, wire.NodeName(r.right.name), route, time.Now()).Write()
	c := dial(r.right.listen)
	defer c.Close()
	status, _, err := c.exchange(request.Bytes())
	return must(status, err)
}

// requestSeed reads the oldest request key of a node from a copy of its store, as a
// thief would.
func (r *rotating) requestSeed(s *server) wire.NodeRequestSecret {
	path := filepath.Join(r.TempDir(), "own.db")
	for _, suffix := range []string{"", ".log0", ".log1"} {
		must(0, os.WriteFile(path+suffix, must(os.ReadFile(filepath.Join(s.data, "own.db"+suffix))), 0o600))
	}
	copied := must(bolt.Open(path, bolt.Options{}))
	defer copied.Close()
	var keys map[int]any
	must(0, cbor.Unmarshal(must(copied.Get(r.Context(), "node/keys")).Value, &keys))
	return wire.NewNodeRequestSecret([32]byte(keys[3].([]byte)))
}
