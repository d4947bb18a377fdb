package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestTwoDevices lets one device of a person do all of an operation before each
// request of another device's operation.
func TestTwoDevices(t *testing.T) {
	ctx := context.Background()
	type act struct {
		name string
		do   func(ada, bob, eve *someone) error
	}
	acts := []act{
		{"post", func(ada, bob, eve *someone) error { _, err := ada.Post(ctx, "one", ""); return err }},
		{"add bob", func(ada, bob, eve *someone) error { _, err := ada.AddFriend(ctx, bob.address, true); return err }},
		{"add bob without the past", func(ada, bob, eve *someone) error { _, err := ada.AddFriend(ctx, bob.address, false); return err }},
		{"remove eve", func(ada, bob, eve *someone) error { _, err := ada.RemoveFriend(ctx, eve.address); return err }},
		{"accept zoe", func(ada, bob, eve *someone) error {
			_, err := ada.AcceptFriend(ctx, address("zoe@two.example"), true)
			return err
		}},
	}
	w := newWorld(t)
	ada, bob, eve, zoe := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@one.example"), w.newPerson("zoe@two.example")
	ada.befriends(eve)
	zoe.asks(ada)
	phone := ada.again()
	for _, first := range acts {
		for _, second := range acts {
			t.Run(first.name+", "+second.name, func(t *testing.T) {
				for n := 0; ; n += stride {
					c := copies(ada, phone, bob, eve, zoe)
					a, p := c[0], c[1]
					met := false
					a.line.before = func(i int, r *Request) error {
						if i == n {
							met = true
							if err := second.do(p, c[2], c[3]); err != nil {
								t.Errorf("before %v: second device: %v", r.Method+" "+r.Path, err)
							}
						}
						return nil
					}
					if err := first.do(a, c[2], c[3]); err != nil {
						t.Errorf("before request %d: first device: %v", n, err)
					}
					if !met {
						break
					}
					checkTwo(t, c, first.name, second.name)
				}
			})
		}
	}
}

// checkTwo sees that both devices' wills were done.
func checkTwo(t *testing.T, c []*someone, acts ...string) {
	t.Helper()
	a, p, bob, eve, zoe := c[0], c[1], c[2], c[3], c[4]
	a.writes("last")
	p.reads(a.feedTexts()...)
	want := map[string]int{"last": 1}
	removed := false
	for _, name := range acts {
		switch name {
		case "post":
			want["one"]++
		case "remove eve":
			removed = true
		case "add bob", "add bob without the past":
			bob.accepts(a)
			if got := bob.feedTexts(); len(got) == 0 || got[0] != "last" && name == "add bob" {
				a.writes("for bob")
				want["for bob"] = 1
				if got := bob.feedTexts(); !slices.Contains(got, "for bob") {
					t.Errorf("%v: bob reads %q", acts, got)
				}
			}
		case "accept zoe":
			if got := zoe.feedTexts(); len(got) == 0 || got[0] != "last" {
				t.Errorf("%v: zoe reads %q", acts, got)
			}
		}
	}
	got := map[string]int{}
	for _, text := range a.feedTexts() {
		got[text]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v: posts %v, want %v", acts, got, want)
	}
	if texts := eve.feedTexts(); removed != !slices.Contains(texts, "last") {
		t.Errorf("%v: eve reads %q", acts, texts)
	}
	newestAreEntitled(t, a)
}

// newestAreEntitled opens the hostile node's whole store: wraps of the newest
// epoch exist for none but those whom the vault entitles.
func newestAreEntitled(t *testing.T, a *someone) {
	t.Helper()
	a.must(a.do(context.Background(), func() error {
		if err := a.ready(context.Background()); err != nil {
			return err
		}
		s, newest := a.ownStream(), a.newestContent()
		for id := range a.w.people {
			_, has := a.w.people[a.me()].wraps[wrapKey(s.Audience, newest, id)]
			f := a.vault.friend(id)
			if entitled := f != nil && f.entitled(); has != entitled {
				t.Errorf("%s holds a wrap of the newest epoch: %v, entitled: %v", a.w.people[id].address, has, entitled)
			}
		}
		return nil
	}))
}

// TestDevicesAtOnce lets three devices write without any order.
func TestDevicesAtOnce(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	devices := []*someone{ada, ada.again(), ada.again()}
	var all sync.WaitGroup
	for i, d := range devices {
		all.Go(func() {
			for n := range 4 {
				if _, err := d.Post(context.Background(), fmt.Sprint(i, " ", n), ""); err != nil {
					t.Errorf("device %d: %v", i, err)
				}
			}
			if i == 1 {
				if _, err := d.AddFriend(context.Background(), bob.address, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	bob.accepts(ada)
	got := bob.feedTexts()
	slices.Sort(got)
	var want []string
	for i := range devices {
		for n := range 4 {
			want = append(want, fmt.Sprint(i, " ", n))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOutboxOverConflict: the node has a post, its answer is lost, and another
// device has written since.
func TestOutboxOverConflict(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		w := newWorld(t)
		ada := w.newPerson("ada@one.example")
		phone := ada.again()
		ada.line.after = nil
		cut := func(r *Request) bool { return r.Path == wire.PathEntries }
		away := wire.Errorf(wire.Unavailable, "node", "away")
		if arrives {
			ada.line.after = func(_ int, r *Request, a *Response) error {
				if cut(r) {
					return away
				}
				return nil
			}
		} else {
			ada.line.before = func(_ int, r *Request) error {
				if cut(r) {
					return away
				}
				return nil
			}
		}
		if _, err := ada.Post(context.Background(), "once", ""); !errors.Is(err, wire.Unavailable) {
			t.Fatalf("got %v", err)
		}
		ada.line.before, ada.line.after = nil, nil
		phone.writes("between")
		ada.restart()
		want := []string{"between", "once"}
		if !arrives {
			want = []string{"once", "between"}
		}
		page, err := ada.Feed(context.Background(), FeedOptions{})
		ada.must(err)
		if len(page.Notices) != 1 {
			t.Errorf("notices %q", page.Notices)
		}
		ada.reads(want...)
		ada.writes("once") // this time on purpose
		ada.reads(append([]string{"once"}, want...)...)
	}
}

// TestSettled: what another device has said in the meantime is not said again.
func TestSettled(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@two.example")
	phone, tablet := ada.again(), bob.again()
	once := func(s *someone, say func() error) {
		t.Helper()
		s.must(s.do(ctx, say))
		for _, f := range s.vault.Friends {
			if len(f.Pending) > 0 {
				t.Errorf("%s says %d statements to %s again", s.address, len(f.Pending), f.address())
			}
		}
	}
	phone.asks(bob)
	once(ada, func() error { return ada.offer(ctx, bob.address, nil, true) })
	once(bob, func() error {
		bob.must(bob.ready(ctx))
		offered, err := bob.offerOf(ctx, ada.address)
		bob.must(err)
		tablet.accepts(ada)
		return bob.accept(ctx, offered, true)
	})
}
