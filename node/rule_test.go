package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// TestRuleBook finds the rule about a node by the longest name.
func TestRuleBook(t *testing.T) {
	book, err := parseRules(strings.NewReader(`# what the operator decided
block    evil.example     # and all under it
allow    good.evil.example

silence  a.good.evil.example
silence  co-op.example
block	 localhost:8082
`))
	if err != nil {
		t.Fatal(err)
	}
	wants := func(want map[wire.NodeName]Rule) {
		t.Helper()
		for node, rule := range want {
			if got := book.of(node); got != rule {
				t.Errorf("%s: got %s, want %s", node, got, rule)
			}
		}
	}
	wants(map[wire.NodeName]Rule{
		"evil.example": RuleBlock, "x.evil.example": RuleBlock, "x.y.evil.example": RuleBlock, "notevil.example": RuleAllow, "example": RuleAllow,
		"good.evil.example": RuleAllow, "b.good.evil.example": RuleAllow, "a.good.evil.example": RuleSilence, "x.a.good.evil.example": RuleSilence,
		"op.example": RuleAllow, "co-op.example": RuleSilence, "localhost:8082": RuleBlock, "localhost:8081": RuleAllow, "localhost": RuleAllow,
	})
	if got := book["good.evil.example"].Line; got != 3 {
		t.Errorf("got line %d, want 3", got)
	}
	book[EveryNode] = SetRule{EveryNode, RuleBlock, 0}
	wants(map[wire.NodeName]Rule{"anybody.example": RuleBlock, "b.good.evil.example": RuleAllow, "co-op.example": RuleSilence})
}

// TestRuleFile says which line is wrong, and how.
func TestRuleFile(t *testing.T) {
	many := strings.Builder{}
	for i := range maxRules + 1 {
		fmt.Fprintf(&many, "block n%d.example\n", i)
	}
	for text, want := range map[string]string{
		"block a.example\nblok b.example":                `line 2: "blok" was found, block, silence or allow was expected`,
		"\n\nblock":                                      "line 3: a rule and a name were expected, such as: block evil.example",
		"block a.example b.example":                      "line 1: a rule and a name were expected",
		"block Evil.example":                             `line 1: "Evil.example" is no name of a node or a domain`,
		"block *.evil.example":                           `line 1: "*.evil.example" is no name of a node or a domain: one such as evil.example, which is about all nodes under it as well, or * was expected`,
		"block 192.0.2.1":                                "line 1:",
		"block example":                                  "line 1:",
		"silence co.uk":                                  "line 1: anybody can have a name under co.uk: a domain such as evil.co.uk was expected",
		"block a.example\nallow a.example":               "line 2: there is a rule about a.example in line 1 already",
		"block a.example\n" + strings.Repeat("x", 1<<17): "line 2: it is far too long",
		strings.Repeat("#2345678\n", maxRuleFile/9+1):    fmt.Sprintf("at most %d bytes were expected", maxRuleFile),
		many.String():                                    fmt.Sprintf("line %d: at most %d rules were expected", maxRules+1, maxRules),
	} {
		if _, err := parseRules(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
	full, _ := strings.CutSuffix(many.String(), fmt.Sprintf("block n%d.example\n", maxRules))
	if book, err := parseRules(strings.NewReader(full)); err != nil || len(book) != maxRules {
		t.Errorf("%d rules: got %d, %v", maxRules, len(book), err)
	}
}

// TestBlockedPeer blocks the node of friends and lets it be again. Meanwhile nothing
// passes in either direction, nobody loses what they could read, and nobody is asked
// for a friendship; what could not pass arrives when it can.
func TestBlockedPeer(t *testing.T) {
	w := newLiveWorld(t)
	home, west := w.host(), w.host()
	ann, ben := home.person("ann"), home.person("ben")
	bob, bea, cid := west.person("bob"), west.person("bea"), west.person("cid")
	ann.befriend(bob)
	bob.befriend(ben)
	bea.tell(bea.offer(ann))
	bob.wraps(bob.content, ann, ben)
	ann.wraps(ann.content, bob)
	bob.posts(2)
	ann.posts(1)
	has := func(p, o *testPerson, count int) func() bool { return func() bool { return len(p.reads(o)) == count } }
	eventually(t, "ann reads bob", has(ann, bob, 3))
	eventually(t, "bob reads ann", has(bob, ann, 2))

	set := func(rule Rule) {
		t.Helper()
		if err := home.SetRule(t.Context(), string(west.name), rule); err != nil {
			t.Fatal(err)
		}
	}
	set(RuleBlock)
	bob.posts(1)
	ann.posts(1)
	for _, path := range []string{wire.PathPeerKeys, wire.PathPeerFriends, wire.PathPeerSync, wire.PathPeerNotices} {
		known := home.sends("POST", path, []byte("{}"), west.signs(home.name, "POST", path, []byte("{}"))...)
		unsigned := home.sends("POST", path, []byte("{}"))
		if known != unsigned || known.status != 401 {
			t.Errorf("%s: a blocked node gets %+v, who signs nothing %+v", path, known, unsigned)
		}
	}
	// What is tried in the background would have come by the time that these have failed.
	kind(t, home.pull(t.Context(), west.name), wire.Forbidden)
	west.follows.renew(home.name)
	kind(t, west.pull(t.Context(), home.name), wire.Unavailable)
	if got := [2]int{len(ann.reads(bob)), len(bob.reads(ann))}; got != [2]int{3, 2} {
		t.Errorf("while it is blocked ann and bob read %v entries of each other, want 3 and 2", got)
	}
	keys := must(ann.as().Keys(t.Context(), wire.KeysRequest{Address: bob.address}))
	if len(keys.Statements) != 1 {
		t.Error("the keys of a friend there are not to be had")
	}
	_, err := ann.as().Keys(t.Context(), wire.KeysRequest{Address: wire.Address{Handle: "nobody", Node: west.name}})
	kind(t, err, wire.Forbidden)
	_, err = ann.as().Tell(t.Context(), ann.offer(cid))
	kind(t, err, wire.Forbidden)
	_, err = ann.as().Tell(t.Context(), ann.accept(bea))
	kind(t, err, wire.Forbidden)
	ended := ben.tell(ben.end(bob)) // which everybody may, at any time
	if ended.State != wire.StateNone || ended.Undelivered != 1 {
		t.Errorf("ben ends it: %+v", ended)
	}
	bea.tell(bea.end(ann)) // waits at the other node
	if got := ann.state(bea); got != wire.StateIncoming {
		t.Errorf("what bea says came through: %q", got)
	}
	if n := home.notices.waiting()[west.name]; n != 0 {
		t.Errorf("%d notices wait for a node that is blocked", n)
	}

	if err := home.DropRule(t.Context(), string(west.name)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ann reads what bob wrote meanwhile", has(ann, bob, 4))
	eventually(t, "bob reads what ann wrote meanwhile", has(bob, ann, 3))
	eventually(t, "ben's end arrives", func() bool { return bob.state(ben) == wire.StateNone })
	eventually(t, "bea's end arrives", func() bool { return ann.state(bea) == wire.StateNone })
	ann.tell(ann.offer(cid))
	cid.tell(cid.accept(ann))
	ann.wants(cid, wire.StateFriend, wire.StateFriend)
}

// TestSilencedPeer takes no requests from a node, but from those who were asked
// from here. Friendships go on.
func TestSilencedPeer(t *testing.T) {
	w := newWorld(t)
	home, west, far := w.open(north, nil, nil), w.open(south, nil, nil), w.open("far.example", nil, nil)
	ann := home.person("ann")
	bob, bea, cid, dan := west.person("bob"), west.person("bea"), west.person("cid"), west.person("dan")
	ann.befriend(bob)
	bea.tell(bea.offer(ann))
	if err := home.SetRule(t.Context(), EveryNode, RuleSilence); err != nil {
		t.Fatal(err)
	}
	if err := home.SetRule(t.Context(), "far.example", RuleAllow); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		told := cid.tell(cid.offer(ann))
		if told.Undelivered != 0 || !strings.Contains(told.ProblemDetail, "friend requests from south.example are not taken") {
			t.Errorf("cid's request: %+v", told)
		}
		cid.wants(ann, wire.StateOutgoing, wire.StateNone)
	}
	bob.posts(1)
	bob.wraps(bob.content, ann)
	home.pulls(west)
	if got := ann.reads(bob); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("ann reads %v of her friend", got)
	}
	bea.tell(bea.offer(ann)) // a new one in place of that of before
	if got := ann.state(bea); got != wire.StateIncoming {
		t.Errorf("the request of before: %q", got)
	}
	ann.tell(ann.accept(bea))
	ann.wants(bea, wire.StateFriend, wire.StateFriend)
	ann.tell(ann.offer(cid)) // crosses his, which is told again
	eventually(t, "they are friends", func() bool { return ann.state(cid) == wire.StateFriend })
	ann.wants(cid, wire.StateFriend, wire.StateFriend)
	ann.tell(ann.offer(dan))
	dan.tell(dan.accept(ann))
	ann.wants(dan, wire.StateFriend, wire.StateFriend)
	bob.tell(bob.end(ann))
	ann.wants(bob, wire.StateNone, wire.StateNone)
	bob.tell(bob.offer(ann))
	ann.wants(bob, wire.StateNone, wire.StateOutgoing)
	local := home.person("lea")
	local.befriend(ann)
	ann.wants(local, wire.StateFriend, wire.StateFriend)
	eve := far.person("eve")
	eve.tell(eve.offer(ann))
	ann.wants(eve, wire.StateIncoming, wire.StateOutgoing)
}

// TestOnlyThoseAllowed blocks every node but those that are named.
func TestOnlyThoseAllowed(t *testing.T) {
	w := newLiveWorld(t)
	home, west, east := w.host(), w.host(), w.host()
	for name, rule := range map[string]Rule{EveryNode: RuleBlock, string(west.name): RuleAllow} {
		if err := home.SetRule(t.Context(), name, rule); err != nil {
			t.Fatal(err)
		}
	}
	ann, bob, eve := home.person("ann"), west.person("bob"), east.person("eve")
	ann.befriend(bob)
	ann.wants(bob, wire.StateFriend, wire.StateFriend)
	_, err := ann.as().Tell(t.Context(), ann.offer(eve))
	kind(t, err, wire.Forbidden)
	_, err = eve.as().Tell(t.Context(), eve.offer(ann))
	kind(t, err, wire.Unavailable)
}

// TestRules sets and drops them, with files and restarts in between. What is wrong
// changes nothing.
func TestRules(t *testing.T) {
	w := newWorld(t)
	own, file := storetest.NewMemory(), filepath.Join(t.TempDir(), "peers")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("block evil.example\n")
	open := func() *Node {
		n, err := Open(context.Background(), Options{Name: north, Own: own, Copies: storetest.NewMemory(), Now: w.clock.now, PeersFile: file})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(context.Background()) })
		return n
	}
	n := open()
	wants := func(want ...SetRule) {
		t.Helper()
		if got := n.Rules(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	fails := func(err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	filed, noisy := SetRule{"evil.example", RuleBlock, 1}, SetRule{"noisy.example", RuleSilence, 0}
	wants(filed)
	if err := n.SetRule(t.Context(), "noisy.example", RuleSilence); err != nil {
		t.Fatal(err)
	}
	wants(filed, noisy)
	stands := "evil.example stands in " + file + ", line 1: change it there, and let it be read again"
	fails(n.SetRule(t.Context(), "evil.example", RuleAllow), stands)
	fails(n.DropRule(t.Context(), "evil.example"), stands)
	fails(n.SetRule(t.Context(), string(north), RuleBlock), "north.example is this node")
	fails(n.SetRule(t.Context(), "org.uk", RuleBlock), "anybody can have a name under org.uk: a domain such as evil.org.uk was expected")
	fails(n.DropRule(t.Context(), "other.example"), "there is no rule about other.example")
	fails(n.DropRule(t.Context(), "x.evil.example"), "there is no rule about x.evil.example itself: block evil.example counts for it, to which allow x.evil.example would be an exception")
	fails(n.DropRule(t.Context(), EveryNode), "there is no rule about *")
	wants(filed, noisy)

	write("block evil.example\nsilence noisy example\n")
	fails(n.ReloadRules(t.Context()), "peers.file: "+file+": line 2: a rule and a name were expected, such as: block evil.example")
	wants(filed, noisy)
	write("allow noisy.example\n")
	if err := n.ReloadRules(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(SetRule{"noisy.example", RuleAllow, 1}) // the file counts
	n.Close(t.Context())
	write("")
	n = open()
	wants(noisy)
	if err := n.DropRule(t.Context(), "noisy.example"); err != nil {
		t.Fatal(err)
	}
	n.Close(t.Context())
	n = open()
	wants()
	n.Close(t.Context())
	write("bloc x.example")
	_, err := Open(t.Context(), Options{Name: north, Own: own, Copies: storetest.NewMemory(), PeersFile: file})
	fails(err, "node: open: peers.file: "+file+`: line 1: "bloc" was found, block, silence or allow was expected`)
}

// TestDamagedRule counts as a block: nobody can tell what it was.
func TestDamagedRule(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	if err := n.own.Apply(t.Context(), change(ruleKey("a.example"), []byte("?"))); err != nil {
		t.Fatal(err)
	}
	if err := n.ReloadRules(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !n.blocks("a.example") || n.blocks("b.example") {
		t.Errorf("got %v", n.Rules())
	}
}

// TestRulesAreBounded sets as many as there may be.
func TestRulesAreBounded(t *testing.T) {
	n := newWorld(t).open(north, nil, nil)
	n.rules.stored = ruleBook{}
	for i := range maxRules {
		name := fmt.Sprintf("n%d.example", i)
		n.rules.stored[name] = SetRule{Name: name, Rule: RuleBlock}
	}
	if err := n.SetRule(t.Context(), "more.example", RuleBlock); err == nil || !strings.Contains(err.Error(), "there are 10000 rules") {
		t.Errorf("one more: got %v", err)
	}
	if err := n.SetRule(t.Context(), "n7.example", RuleAllow); err != nil {
		t.Errorf("another one about the same: got %v", err)
	}
}

// TestRulesOfBoth sets rules at one of two processes: they hold at the other for each
// request that comes later.
func TestRulesOfBoth(t *testing.T) {
	w := newWorld(t)
	w.twins = true
	n := w.open(north, nil, nil)
	for _, both := range [][2]*Node{{n.Node, n.twin}, {n.twin, n.Node}} {
		for _, rule := range []Rule{RuleBlock, RuleSilence, RuleAllow} {
			if err := both[0].SetRule(t.Context(), "evil.example", rule); err != nil {
				t.Fatal(err)
			}
			if err := both[1].hear(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := both[1].rule("evil.example"); got != rule {
				t.Errorf("got %s, want %s", got, rule)
			}
		}
		if err := both[1].DropRule(t.Context(), "evil.example"); err != nil {
			t.Fatal(err)
		}
		if err := both[0].hear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := both[0].Rules(); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	}
	n.Node.forgetAll()
	if !slices.Equal(n.Node.Rules(), n.twin.Rules()) {
		t.Errorf("got %v and %v", n.Node.Rules(), n.twin.Rules())
	}
}

// TestPeerReports tells an operator of each node what is to be known.
func TestPeerReports(t *testing.T) {
	w := newLiveWorld(t)
	home, west := w.host(), w.host()
	ann, bob := home.person("ann"), west.person("bob")
	if got := must(home.PeerReports(t.Context())); len(got) != 0 {
		t.Errorf("before they met: %+v", got)
	}
	ann.befriend(bob)
	ann.wants(bob, wire.StateFriend, wire.StateFriend)
	report := func(of *served) PeerReport {
		t.Helper()
		got := must(home.PeerReports(t.Context()))
		i := slices.IndexFunc(got, func(r PeerReport) bool { return r.Peer == of.name })
		if i < 0 {
			t.Fatalf("nothing is told of %s: %+v", of.name, got)
		}
		return got[i]
	}
	eventually(t, "it was heard and reached", func() bool { r := report(west); return r.Heard > 0 && r.Reached > 0 && r.Ahead != nil })
	r := report(west)
	if r.Rule != RuleAllow || r.Errors != 0 || r.Deliveries != 0 || r.Quarantined || (time.Duration(*r.Ahead)*time.Millisecond).Abs() > 5*time.Second {
		t.Errorf("got %+v", r)
	}
	gone := w.open("localhost:1", nil, nil) // nobody serves it
	cid := gone.person("cid")
	west.pulls(home.testNode)
	if err := home.SetRule(t.Context(), string(west.name), RuleBlock); err != nil {
		t.Fatal(err)
	}
	ann.tell(ann.end(bob))
	r = report(west)
	if r.Rule != RuleBlock || r.Deliveries != 1 || r.Errors != 0 {
		t.Errorf("while it is blocked, with an end that waits: got %+v", r)
	}
	_, err := ann.as().Tell(t.Context(), ann.offer(cid))
	kind(t, err, wire.Unavailable)
	if got := must(home.PeerReports(t.Context())); len(got) != 1 {
		t.Errorf("a node that was never met is listed: %+v", got)
	}
	w.clock.advance(8 * 24 * time.Hour)
	home.tidy(t.Context())
	if r := report(west); r.Heard != 0 || r.Reached != 0 {
		t.Errorf("after a week: %+v", r)
	}
}
