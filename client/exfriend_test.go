package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A history is people who befriend, write and part at random, from two devices
// each, with commands that are cut off at any request. Beside it runs a model of
// what each may and must be able to open of what each other has written.
type history struct {
	t       *testing.T
	rng     *rand.Rand
	people  [][]*someone // devices of each
	between map[pair]*standing
	seen    map[wire.AccountID]int // entries of each author's stream that the model has
	posts   []written
	log     []string
}

// pair is an author and a reader, as numbers of people.
type pair struct{ author, reader int }

// standing is what the author's commands have made of a reader.
type standing struct {
	may     bool // the author may have let them in: some command to do so was begun, and none to end it has come back since
	sure    bool // they are let in: the command came back, and nobody has begun to end it
	unheard bool // a command to let them in was cut off: its offer may still be on the author's device alone
}

// written is a post in a stream, with who may open it and who must be able to.
type written struct {
	author    int
	entry     placed
	may, must map[int]bool
}

// stage registers people, each with two devices, for histories to begin with.
func stage(t *testing.T) (devices []*someone) {
	w := newWorld(t)
	for _, a := range []string{"ada@one.example", "bob@two.example", "eve@two.example", "zoe@one.example"} {
		first := w.newPerson(a)
		devices = append(devices, first, first.again())
	}
	return devices
}

func newHistory(t *testing.T, devices []*someone, seed uint64) *history {
	h := &history{
		t: t, rng: rand.New(rand.NewPCG(1, seed)), between: make(map[pair]*standing), seen: make(map[wire.AccountID]int),
	}
	all := copies(devices...)
	for i := 0; i < len(all); i += 2 {
		h.people = append(h.people, all[i:i+2])
		h.seen[all[i].me()] = len(h.stream(i / 2))
	}
	for a := range h.people {
		for x := range h.people {
			h.between[pair{a, x}] = new(standing)
		}
	}
	return h
}

// stream is what the node has of an author.
func (h *history) stream(author int) []placed {
	d := h.people[author][0]
	return d.w.people[d.me()].streams[d.ownStream().Audience]
}

// step is one command of somebody on one of their devices, which may be cut off
// and typed again.
func (h *history) step() {
	who := h.rng.IntN(len(h.people))
	if h.rng.IntN(2) == 0 {
		who = 0 // most of it is about one author
	}
	other := (who + 1 + h.rng.IntN(len(h.people)-1)) % len(h.people)
	act := acts[h.rng.IntN(len(acts))]
	past := h.rng.IntN(2) == 0
	for cut := h.rng.IntN(3) == 0; ; cut = false {
		h.types(h.people[who][h.rng.IntN(2)], act, who, other, past, cut)
		if !cut || h.rng.IntN(2) == 0 {
			return
		}
	}
}

// acts are commands, as often as they are to come up.
var acts = []string{"post", "post", "post", "post", "add", "add", "add", "add", "accept", "accept", "remove", "remove", "remove", "decline", "cancel", "feed"}

// types runs a command and tells the model what came of it.
func (h *history) types(d *someone, act string, who, other int, past, cut bool) {
	ctx := context.Background()
	address := h.people[other][0].address
	h.begins(act, who, other, past)
	if cut {
		h.cutOff(d)
	}
	var f Friend
	var err error
	switch act {
	case "post":
		_, err = d.Post(ctx, fmt.Sprint("post ", len(h.log)), "")
	case "feed":
		_, err = d.Feed(ctx, FeedOptions{})
	case "add":
		f, err = d.AddFriend(ctx, address, past)
	case "accept":
		f, err = d.AcceptFriend(ctx, address, past)
	case "remove":
		f, err = d.RemoveFriend(ctx, address)
	case "decline":
		f, err = d.DeclineFriend(ctx, address)
	case "cancel":
		f, err = d.CancelFriend(ctx, address)
	}
	d.line.before, d.line.after = nil, nil
	if cut {
		d.restart()
	}
	h.log = append(h.log, fmt.Sprintf("%s %s %s (past %v, cut %v): %s %v", d.address, act, address, past, cut, f.State, err))
	if !cut && err != nil && !errors.Is(err, wire.NotExist) && !errors.Is(err, wire.Exist) {
		h.t.Errorf("%s: %v", act, err)
	}
	h.appear()
	h.ends(act, who, other, past, f.State, err)
}

// cutOff stops a command somewhere: a request is lost on its way or its answer
// on the way back, and none follows.
func (h *history) cutOff(d *someone) {
	last := len(d.line.calls) + h.rng.IntN(12)
	arrives := h.rng.IntN(2) == 0
	away := wire.Errorf(wire.Unavailable, "node", "the line is cut")
	d.line.before = func(n int, _ *Request) error {
		if n > last || n == last && !arrives {
			return away
		}
		return nil
	}
	d.line.after = func(n int, _ *Request, _ *Response) error {
		if n == last {
			return away
		}
		return nil
	}
}

// begins tells the model what a command may do from its first request on.
func (h *history) begins(act string, who, other int, past bool) {
	mine, theirs := h.between[pair{who, other}], h.between[pair{other, who}]
	switch act {
	case "remove", "decline", "cancel":
		mine.sure, theirs.sure = false, false
	}
}

// ends tells the model what a command has done.
func (h *history) ends(act string, who, other int, past bool, state wire.FriendState, err error) {
	mine, theirs := h.between[pair{who, other}], h.between[pair{other, who}]
	lost := err != nil && !errors.Is(err, wire.NotExist) && !errors.Is(err, wire.Exist)
	if !lost {
		for x := range h.people {
			h.between[pair{who, x}].unheard = false // every command that comes back has sent what waited
		}
	}
	switch act {
	case "add", "accept":
		if err != nil && !lost {
			return // there was nobody to let in, or they are in
		}
		before := mine.may
		mine.may, mine.unheard = true, lost
		mine.sure = mine.sure || !lost
		for i := range h.posts {
			if p := &h.posts[i]; p.author == who && past {
				p.may[other] = true
				p.must[other] = p.must[other] || !lost && !before
			}
		}
	case "remove", "decline", "cancel":
		if err == nil && state == wire.StateNone {
			mine.may = false
			theirs.may = theirs.may && theirs.unheard
		}
	}
}

// appear takes in what has come into the streams.
func (h *history) appear() {
	for author, devices := range h.people {
		entries := h.stream(author)
		for _, e := range entries[h.seen[devices[0].me()]:] {
			if e.h.Kind != wire.KindPost {
				continue
			}
			p := written{author, e, map[int]bool{author: true}, map[int]bool{author: true}}
			for x := range h.people {
				b := h.between[pair{author, x}]
				p.may[x], p.must[x] = p.may[x] || b.may, p.must[x] || b.sure
			}
			h.posts = append(h.posts, p)
		}
		h.seen[devices[0].me()] = len(entries)
	}
}

// attack is everything that one person can do with all that ever lay on any node
// and with all that their own devices hold: it tries every key on every wrap,
// link and sealed secret until nothing new opens, and then on every post.
type attack struct {
	h        *history
	who      int
	contents []seal.ContentKey
	chains   map[wire.Commitment]seal.ChainKey
}

func (h *history) attack(who int) *attack {
	a := &attack{h: h, who: who, chains: make(map[wire.Commitment]seal.ChainKey)}
	for _, d := range h.people[who] {
		d.must(d.do(context.Background(), func() error {
			for _, k := range d.cache.keys {
				a.learn(k.content, k.chain)
			}
			return d.begin(context.Background())
		}))
	}
	v := h.people[who][0].vault
	for _, u := range h.people[who][0].w.uploaded {
		at := seal.WrapPlace{Author: u.author, Audience: u.audience, Commitment: u.commitment, Reader: u.wrap.Reader, Key: u.wrap.Key}
		if content, chain, err := seal.OpenWrap(v.encryption, at, u.wrap.Sealed); err == nil {
			if a.learn(content, seal.ChainKey{}); chain != nil {
				a.learn(content, *chain)
			}
		}
	}
	for n := -1; n < len(a.chains); {
		n = len(a.chains)
		for author := range h.people {
			a.climb(h.stream(author))
		}
	}
	return a
}

func (a *attack) learn(content seal.ContentKey, chain seal.ChainKey) {
	a.contents = append(a.contents, content)
	if !chain.IsZero() {
		a.chains[chain.Commitment()] = chain
	}
}

// climb opens what the epochs of a stream hold: links, and secrets under the
// person's own self key.
func (a *attack) climb(entries []placed) {
	v := a.h.people[a.who][0].vault
	for _, e := range entries {
		var b wire.EpochBody
		if e.h.Kind != wire.KindEpoch || wire.DecodeCBOR("epoch", e.Entry.Body, &b) != nil {
			continue
		}
		own := seal.EpochPlace{Author: e.h.Author, Audience: e.h.Audience, Seq: e.h.Seq, Prev: e.h.Prev}
		if s, err := seal.OpenEpochSecret(v.self, own, b.SealedSecret); err == nil {
			a.learn(s.Split())
		}
		for _, link := range b.Links {
			at := seal.LinkPlace{Author: e.h.Author, Audience: e.h.Audience, From: e.h.Seq, To: link.Epoch}
			for _, chain := range a.chains {
				if s, err := seal.OpenLink(chain, at, link.Sealed); err == nil {
					a.learn(s.Split())
				}
			}
		}
	}
}

func (a *attack) opens(p written) bool {
	for _, k := range a.contents {
		if _, err := seal.OpenEntry(p.entry.h, k, p.entry.Entry.Body); err == nil {
			return true
		}
	}
	return false
}

// histories is how many are played: $HISTORIES, or as many as fit into a run of
// all tests.
func histories(t *testing.T) uint64 {
	s := os.Getenv("HISTORIES")
	if s == "" {
		return 500 / stride
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("HISTORIES=%q is no number of histories", s)
	}
	return n
}

// TestExFriends plays random histories. At the end of each, everybody in turn is
// the attacker, with all keys they ever held and all bytes that any node ever
// held. They open nothing that was written after a removal that came back, until
// they were let in again, and nothing from before a friendship without the past;
// and, so that the test is not blind, they open all that they must.
func TestExFriends(t *testing.T) {
	devices := stage(t)
	var posts, closed, must int
	for seed := range histories(t) {
		h := newHistory(t, devices, seed)
		for range 12 + h.rng.IntN(24) {
			h.step()
		}
		for who, person := range h.people {
			a := h.attack(who)
			for _, p := range h.posts {
				opens := a.opens(p)
				if opens && !p.may[who] {
					t.Errorf("history %d: %s opens entry %d of %s", seed, person[0].address, p.entry.h.Seq, h.people[p.author][0].address)
				}
				if !opens && p.must[who] {
					t.Errorf("history %d: %s cannot open entry %d of %s", seed, person[0].address, p.entry.h.Seq, h.people[p.author][0].address)
				}
				posts++
				if !p.may[who] {
					closed++
				}
				if p.must[who] && p.author != who {
					must++
				}
			}
		}
		if t.Failed() {
			t.Fatalf("history %d:\n%s", seed, strings.Join(h.log, "\n"))
		}
	}
	t.Logf("%d times somebody and a post: %d had to stay closed, %d had to open to a friend", posts, closed, must)
	if closed < posts/10 || must < posts/10 {
		t.Errorf("of %d only %d had to stay closed and %d to open: this shows little", posts, closed, must)
	}
}
