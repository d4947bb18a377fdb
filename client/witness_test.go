package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A circle is somebody with friends on her own node, on bob's and on three others, and
// bob, whom she asks.
type circle struct {
	*world
	ada, bob         *someone
	home, log        *fakeLog // of ada's node and of bob's
	three, four, fiv *fakeLog // of the friends' nodes
}

func newCircle(t *testing.T) *circle {
	w := newWorld(t)
	w.logs["two.example"] = newFakeLog("two.example", 1790000002) // which no other has
	w.logs["two.example"].adds(t, address("x@two.example"), "x")
	c := &circle{world: w, ada: w.newPerson("ada@one.example"), bob: w.newPerson("bob@two.example")}
	for _, who := range []string{"cid@three.example", "dan@four.example", "eve@five.example", "hal@one.example", "ivy@two.example"} {
		w.newPerson(who).befriends(c.ada)
	}
	c.home, c.log = w.logs["one.example"], w.logs["two.example"]
	c.three, c.four, c.fiv = w.logs["three.example"], w.logs["four.example"], w.logs["five.example"]
	return c
}

// keysAre wants the state of bob's keys as ada sees them.
func (c *circle) keysAre(want KeysState) {
	c.t.Helper()
	list, err := c.ada.Friends(context.Background())
	c.ada.must(err)
	for _, f := range list {
		if f.Address == c.bob.address {
			if f.Keys != want {
				c.t.Errorf("bob's keys are %s, want %s; %s", f.Keys, want, f.Problem)
			}
			return
		}
	}
	c.t.Error("bob is not listed")
}

func (c *circle) asks(want KeysState) {
	c.t.Helper()
	f, err := c.ada.AddFriend(context.Background(), c.bob.address, true)
	c.ada.must(err)
	if f.Keys != want {
		c.t.Errorf("bob's keys are %s at first contact, want %s", f.Keys, want)
	}
}

// asked counts the requests of ada to a path since it was called last.
func (c *circle) asked(path string) (n int) {
	for _, one := range c.ada.line.calls {
		if strings.HasSuffix(one.path, path) {
			n++
		}
	}
	c.ada.line.calls = nil
	return n
}

// Keys are confirmed by two nodes, at first contact, in the list of friends and at a
// log-in, and stay so for the same statement whatever is shown later.
func TestConfirmed(t *testing.T) {
	for name, by := range map[string]func(c *circle, do func(want KeysState)){
		"by the proof": func(c *circle, do func(KeysState)) {
			lie(c.ada, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) {
				r.Proof = bytes.Replace(r.Proof, c.log.top(), c.log.top(c.three, c.four), 1)
			})
			do(KeysConfirmed)
			if n := c.asked(c.log.log.File(cosignedFile)); n != 0 {
				c.t.Errorf("%d requests for what was known", n)
			}
		},
		"by the file, at first contact": func(c *circle, do func(KeysState)) {
			c.log.cosigned = c.log.top(c.home, c.three, c.four)
			do(KeysConfirmed)
		},
		"in the list": func(c *circle, do func(KeysState)) {
			do(KeysPinned)
			c.keysAre(KeysPinned)
			c.log.cosigned = c.log.top(c.three, c.four)
			for i := range 20 {
				c.log.adds(c.t, address("x@two.example"), fmt.Sprint(i))
			}
		},
		"at a log-in": func(c *circle, do func(KeysState)) {
			do(KeysPinned)
			for i := range 20 {
				c.log.adds(c.t, address("x@two.example"), fmt.Sprint(i))
			}
			c.log.cosigned = c.log.top(c.four, c.fiv)
			c.ada = c.ada.again()
			c.log.cosigned = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t)
			_, err := c.ada.RemoveFriend(context.Background(), address("ivy@two.example")) // whose keys are not confirmed
			c.ada.must(err)
			c.ada.line.calls = nil
			by(c, c.asks)
			c.keysAre(KeysConfirmed)
			c.log.cosigned = nil
			c.ada.line.calls = nil
			c.keysAre(KeysConfirmed)
			if n := c.asked(c.log.log.File(cosignedFile)); n > 0 {
				t.Errorf("%d requests for what was known", n)
			}
			c.ada.line.after = nil
			c.ada = c.ada.again()
			c.keysAre(KeysConfirmed)
			number, err := c.ada.SafetyNumber(context.Background(), c.bob.address)
			c.ada.must(err)
			f, err := c.ada.VerifyFriend(context.Background(), c.bob.address, number.Number)
			if err != nil || number.Keys != KeysConfirmed || f.Keys != KeysVerified {
				t.Errorf("%v, %v, %v", number.Keys, f.Keys, err)
			}
			if f, err = c.ada.UnverifyFriend(context.Background(), c.bob.address); err != nil || f.Keys != KeysConfirmed {
				t.Errorf("%v, %v", f.Keys, err)
			}
		})
	}
}

// What is no word of two nodes that ada knows about the log that she saw is never shown
// as confirmed, and where it contradicts what she saw she is told.
func TestNotConfirmed(t *testing.T) {
	fork := func(c *circle) *fakeLog {
		other := newFakeLog("two.example", c.log.log.Number)
		other.adds(c.t, address("z@two.example"), "another")
		return other
	}
	for name, l := range map[string]struct {
		shows func(c *circle) []byte
		says  string // "" where nothing is wrong
		split bool
	}{
		"by nobody":    {func(c *circle) []byte { return c.log.top() }, "", false},
		"by one":       {func(c *circle) []byte { return c.log.top(c.three) }, "", false},
		"by one twice": {func(c *circle) []byte { return append(c.log.top(c.three), cosignature(c.log.top(), c.three)...) }, "", false},
		"by one at two times": {func(c *circle) []byte {
			return append(c.log.top(c.three), cosignatureAt(c.log.top(), c.three, 1790000005)...)
		}, "", false},
		"by one and the home":       {func(c *circle) []byte { return c.log.top(c.three, c.home) }, "", false},
		"by one and the log itself": {func(c *circle) []byte { return c.log.top(c.three, c.log) }, "", false},
		"by one and one who was asked": {func(c *circle) []byte {
			c.ada.asks(c.newPerson("fay@six.example")) // who has not answered
			_, err := c.ada.RemoveFriend(context.Background(), address("hal@one.example"))
			c.ada.must(err) // so that not too many are to be asked
			return c.log.top(c.three, c.logs["six.example"])
		}, "", false},
		"by one and a node of nobody":  {func(c *circle) []byte { return c.log.top(c.three, c.logOf("seven.example")) }, "", false},
		"by one under two names":       {func(c *circle) []byte { c.four.word = c.three.word; return c.log.top(c.three, c.four) }, "", false},
		"by one, and a forged line":    {func(c *circle) []byte { return append(c.log.top(c.three), cosignature(fork(c).top(), c.four)...) }, "", false},
		"by two, of less":              {func(c *circle) []byte { return older(c, c.three, c.four) }, "", false},
		"by two, of a log not its own": {func(c *circle) []byte { return c.home.top(c.three, c.four) }, "what is shown as cosigned is not of it", false},
		"nothing that is understood":   {func(c *circle) []byte { return []byte("hello") }, "what is shown as cosigned is not of it", false},
		"by nobody, of a second log":   {func(c *circle) []byte { return fork(c).top() }, "it shows something else than before, or to others", true},
		"by one, of a second log":      {func(c *circle) []byte { return fork(c).top(c.three) }, "one was shown to you, and three.example saw the other", true},
		"by two, of a second log":      {func(c *circle) []byte { return fork(c).top(c.three, c.four) }, "one was shown to you, and four.example and three.example saw the other", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCircle(t)
			c.log.cosigned = l.shows(c)
			if l.says == "" {
				c.asks(KeysPinned)
			} else {
				_, err := c.ada.AddFriend(context.Background(), c.bob.address, true)
				saysAboutLog(t, err, wire.Tampered, l.says)
				if errors.Is(err, ErrSplitView) != l.split || c.ada.vault.friendAt(c.bob.address) != nil {
					t.Errorf("split view: %t, pinned: %t", errors.Is(err, ErrSplitView), c.ada.vault.friendAt(c.bob.address) != nil)
				}
			}
			lied := c.log.cosigned
			c.log.cosigned = nil
			if l.says != "" {
				c.asks(KeysPinned)
			}
			c.log.cosigned = lied
			c.keysAre(KeysPinned)
			list, err := c.ada.Friends(context.Background())
			c.ada.must(err)
			at := slices.IndexFunc(list, func(f Friend) bool { return f.Address == c.bob.address })
			if !strings.Contains(list[at].Problem, l.says) || (l.says == "") != (list[at].Problem == "") {
				t.Errorf("in the list: %q, want %q", list[at].Problem, l.says)
			}
			c.ada.must(c.ada.tryLogin())
			if notes := c.ada.Notes(); (l.says == "") != (notes == nil) || notes != nil && (len(notes) > 1 || !strings.Contains(notes[0], l.says)) {
				t.Errorf("at the log-in: %q, want %q", notes, l.says)
			}
			c.keysAre(KeysPinned)
			c.log.cosigned = c.log.top(c.four, c.fiv)
			c.keysAre(KeysConfirmed) // it has spoilt nothing
		})
	}
}

func cosignature(checkpoint []byte, by *fakeLog) []byte {
	return cosignatureAt(checkpoint, by, 1790000000)
}

func cosignatureAt(checkpoint []byte, by *fakeLog, at int64) []byte {
	b, err := keyservice.Cosign(checkpoint, by.node, by.word, time.Unix(at, 0))
	if err != nil {
		panic(err)
	}
	return b
}

// older is a checkpoint from before bob was there, cosigned.
func older(c *circle, by ...*fakeLog) []byte {
	first := newFakeLog("two.example", c.log.log.Number)
	first.adds(c.t, address("x@two.example"), "x")
	return first.top(by...)
}

// The key of a witness is asked for once, where it is not known or another one has
// signed, and not again for a while.
func TestWitnessKeys(t *testing.T) {
	c := newCircle(t)
	c.asks(KeysPinned)
	c.three.word = wire.NewNodeWitnessSecret([32]byte{3}) // has changed since
	c.log.cosigned = c.log.top(c.three, c.four)
	c.asked(wire.PathDocument)
	swapped := true
	lie(c.ada, "GET", wire.PathDocument, func(r *Request, reply *wire.NodeDocumentReply) {
		if swapped && r.Node == "three.example" { // under another root
			other := *c.three
			other.root = wire.NewNodeRootSecret([32]byte{9})
			d, err := other.document(c.clock.UnixMilli())
			c.ada.must(err)
			*reply = *d.(*wire.NodeDocumentReply)
		}
	})
	for want := 1; want >= 0; want-- {
		c.keysAre(KeysPinned)
		if n := c.asked(wire.PathDocument); n != want {
			t.Errorf("%d documents are asked for, want %d", n, want)
		}
		c.ada.restart()
	}
	swapped = false
	c.clock = c.clock.Add(askedAgain)
	c.keysAre(KeysConfirmed)
	if n := c.asked(wire.PathDocument); n != 1 {
		t.Errorf("%d documents are asked for", n)
	}
	if notes := c.ada.Notes(); notes != nil {
		t.Errorf("notes %q", notes)
	}
}

// A node that does not answer is not asked again soon, and holds up nobody. Nothing is
// asked where no two nodes could confirm anything.
func TestConfirmingIsBounded(t *testing.T) {
	c := newCircle(t)
	for i := range maxAsked + 3 {
		who := c.newPerson(fmt.Sprintf("p@n%d.example", i))
		c.ada.asks(who)
	}
	c.ada.line.calls = nil
	c.ada.must(c.ada.tryLogin())
	if n := c.asked("/" + cosignedFile); n != maxAsked {
		t.Errorf("%d nodes are asked", n)
	}
	c.ada.line.before = func(_ int, r *Request) error {
		if strings.HasSuffix(r.Path, "/"+cosignedFile) {
			return wire.Errorf(wire.Unavailable, "node", "%s does not answer", r.Node)
		}
		return nil
	}
	_, err := c.ada.Friends(context.Background())
	c.ada.must(err)
	for _, want := range []int{maxAsked, 5 + maxAsked + 3 - 2*maxAsked, 0} {
		c.ada.restart()
		c.asked("")
		_, err = c.ada.Friends(context.Background())
		c.ada.must(err)
		if n := c.asked("/" + cosignedFile); n != want {
			t.Errorf("%d nodes are asked again, want %d", n, want)
		}
	}
	alone := newWorld(t)
	bob, ada := alone.newPerson("bob@two.example"), alone.newPerson("ada@one.example")
	ada.befriends(bob)
	ada.befriends(alone.newPerson("cid@three.example"))
	if _, err := ada.Friends(context.Background()); err != nil {
		t.Error(err)
	}
	for _, one := range ada.line.calls {
		if strings.HasSuffix(one.path, "/"+cosignedFile) {
			t.Errorf("%s is asked for", one.path)
		}
	}
}

// A vault that cannot be written now costs nobody the list.
func TestConfirmedAndNotKept(t *testing.T) {
	c := newCircle(t)
	c.asks(KeysPinned)
	c.log.cosigned = c.log.top(c.three, c.four)
	c.ada.line.before = func(_ int, r *Request) error {
		if r.Method == "PUT" {
			return wire.Errorf(wire.Unavailable, "node", "one.example does not answer")
		}
		return nil
	}
	c.keysAre(KeysPinned)
	c.ada.line.before = nil
	c.keysAre(KeysConfirmed)
}

// Where it is not known in which leaf keys stand, as in a log that has begun anew, the
// home is asked for the proof. Newer keys that it shows are followed.
func TestConfirmedAnew(t *testing.T) {
	for _, newer := range []bool{false, true} {
		c := newCircle(t)
		c.asks(KeysPinned)
		anew := newFakeLog("two.example", c.log.log.Number+5)
		anew.adds(t, address("x@two.example"), "x")
		c.logs["two.example"] = anew
		w := c.newPerson("gus@two.example")
		c.bob.must(c.bob.tryLogin()) // his leaf
		c.ada.asks(w)                // sees the new log
		want := loggedAt{anew.log.Number, 2, 0}
		if newer {
			next, err := keyservice.ParseChain(append(c.people[c.bob.me()].chain.Statements(), c.bob.nextStatement()))
			c.ada.must(err)
			_, err = anew.ProveChain(context.Background(), next)
			c.ada.must(err)
			c.people[c.bob.me()].chain = next
			want = loggedAt{anew.log.Number, 3, 1}
		}
		c.keysAre(KeysPinned)
		anew.cosigned = anew.top(c.three, c.four)
		c.keysAre(KeysConfirmed)
		if f := c.ada.vault.friendAt(c.bob.address); f.Logged != want {
			t.Errorf("got %+v, want %+v", f.Logged, want)
		}
	}
}
