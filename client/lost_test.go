package client

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestLostReplies runs each operation once for each of its requests, with that
// request lost on its way, or its answer on the way back. The same operation
// again must then end as one that met no trouble.
func TestLostReplies(t *testing.T) {
	ctx := context.Background()
	operations := []struct {
		name  string
		setUp func(ada, bob, eve *someone)
		do    func(ada, bob *someone) error
	}{
		{"post", nil, func(ada, bob *someone) error {
			_, err := ada.Post(ctx, "a post", "")
			return err
		}},
		{"add", nil, func(ada, bob *someone) error {
			_, err := ada.AddFriend(ctx, bob.address, true)
			return err
		}},
		{"add without the past", nil, func(ada, bob *someone) error {
			_, err := ada.AddFriend(ctx, bob.address, false)
			return err
		}},
		{"accept", func(ada, bob, eve *someone) { bob.asks(ada) }, func(ada, bob *someone) error {
			_, err := ada.AcceptFriend(ctx, bob.address, true)
			return err
		}},
		{"decline", func(ada, bob, eve *someone) { bob.asks(ada) }, func(ada, bob *someone) error {
			_, err := ada.DeclineFriend(ctx, bob.address)
			return err
		}},
		{"cancel", func(ada, bob, eve *someone) { ada.asks(bob) }, func(ada, bob *someone) error {
			_, err := ada.CancelFriend(ctx, bob.address)
			return err
		}},
		{"remove", func(ada, bob, eve *someone) { ada.befriends(bob) }, func(ada, bob *someone) error {
			_, err := ada.RemoveFriend(ctx, bob.address)
			return err
		}},
		{"post after a decline", func(ada, bob, eve *someone) {
			ada.asks(bob)
			_, err := bob.DeclineFriend(ctx, ada.address)
			bob.must(err)
		}, func(ada, bob *someone) error {
			_, err := ada.Post(ctx, "a post", "")
			return err
		}},
	}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			w := newWorld(t)
			ada, bob, eve := w.newPerson("ada@one.example"), w.newPerson("bob@two.example"), w.newPerson("eve@one.example")
			ada.befriends(eve)
			ada.writes("first")
			if op.setUp != nil {
				op.setUp(ada, bob, eve)
			}
			prepare := func() (a, b, e *someone) {
				c := copies(ada, bob, eve)
				return c[0], c[1], c[2]
			}
			a, b, e := prepare()
			a.must(op.do(a, b))
			requests := a.line.calls
			want := outcome(a, b, e)
			for i := 0; i < 4*len(requests); i += stride {
				n, arrives, restart := i/4, i%2 == 0, i/2%2 == 0
				a, b, e := prepare()
				lose(a, n, arrives)
				err := op.do(a, b)
				a.line.before, a.line.after = nil, nil
				if restart {
					a.restart()
				}
				if err2 := op.do(a, b); err2 != nil {
					t.Errorf("%v lost (arrived: %v): first %v, then %v", requests[n], arrives, err, err2)
				}
				if got := outcome(a, b, e); got != want {
					t.Errorf("%v lost (arrived: %v): got\n%s\nwant\n%s", requests[n], arrives, got, want)
				}
			}
			t.Logf("%d requests: %v", len(requests), requests)
		})
	}
}

// lose makes request number n fail, after it has arrived or before.
func lose(s *someone, n int, arrives bool) {
	away := wire.Errorf(wire.Unavailable, "node", "the line is cut")
	if arrives {
		s.line.after = func(i int, r *Request, a *Response) error {
			if i == n {
				return away
			}
			return nil
		}
		return
	}
	s.line.before = func(i int, r *Request) error {
		if i == n {
			return away
		}
		return nil
	}
}

// outcome is all that counts after an operation: who is whose friend, who reads
// what now and after another post, who holds the newest keys, and what waits.
func outcome(people ...*someone) (s string) {
	ctx := context.Background()
	for _, p := range people {
		list, err := p.Friends(ctx)
		p.must(err)
		for _, f := range list {
			s += fmt.Sprintln(p.address, f.State, f.Address, f.Undelivered, f.Problem)
		}
	}
	for _, p := range people[1:] {
		s += fmt.Sprintln(p.address, p.feedTexts())
	}
	ada := people[0]
	s += fmt.Sprintln("epochs", ada.epochsNow())
	ada.writes("another")
	for _, p := range people {
		s += fmt.Sprintln(p.address, p.feedTexts())
	}
	s += fmt.Sprintln("epochs", ada.epochsNow())
	ada.must(ada.do(ctx, func() error {
		if err := ada.ready(ctx); err != nil {
			return err
		}
		newest := ada.vault.friends().epoch(ada.newestContent())
		s += fmt.Sprintln("members", len(newest.Members), "owed", len(newest.Owed))
		for _, id := range newest.Members {
			r := ada.w.people[ada.me()]
			if _, ok := r.wraps[wrapKey(ada.ownStream().Audience, newest.Content, id)]; !ok {
				s += fmt.Sprintln("a member has no wrap")
			}
		}
		for _, f := range ada.vault.Friends {
			s += fmt.Sprintln("pending", len(f.Pending))
		}
		waiting, err := ada.outbox()
		s += fmt.Sprintln("outbox", len(waiting))
		return err
	}))
	return s
}

// epochsNow counts the epochs of the own stream that the node has.
func (s *someone) epochsNow() (n int) {
	for _, entries := range s.w.people[s.me()].streams {
		n += len(slices.DeleteFunc(slices.Clone(entries), func(e placed) bool { return e.h.Kind != wire.KindEpoch }))
	}
	return n
}

// TestLostRegistration does the same for registering, where the recovery code
// must stay the same too.
func TestLostRegistration(t *testing.T) {
	ctx := context.Background()
	register := func(s *someone, codes *[]string) error {
		p, err := s.client().Register(ctx, RegisterOptions{
			Address: s.address, Password: password(t, secretWord), Device: "test",
			ShowCode: func(code string) error { *codes = append(*codes, code); return nil },
		})
		s.Person = p
		return err
	}
	var codes []string
	clean := newWorld(t).device("ada@one.example")
	clean.must(register(clean, &codes))
	for n, lost := range clean.line.calls {
		for _, arrives := range []bool{true, false} {
			s, codes := newWorld(t).device("ada@one.example"), []string{}
			lose(s, n, arrives)
			if err := register(s, &codes); err == nil {
				t.Fatalf("%v lost: no error", lost)
			}
			s.line.before, s.line.after = nil, nil
			s.must(register(s, &codes))
			if len(codes) != 2 || codes[0] != codes[1] {
				t.Errorf("%v lost: codes %q", lost, codes)
			}
			if n := s.epochsNow(); n != 1 {
				t.Errorf("%v lost: %d epochs", lost, n)
			}
			s.writes("hello")
			s.reads("hello")
			s.again().reads("hello")
			if names, _ := s.device.List(fileFounded); len(names) > 0 {
				t.Errorf("%v lost: the registration is still kept", lost)
			}
		}
	}
}

// TestLostLogin loses each request of a log-in.
func TestLostLogin(t *testing.T) {
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	ada.writes("hello")
	clean := ada.again()
	for n, lost := range clean.line.calls {
		for _, arrives := range []bool{true, false} {
			s := w.device("ada@one.example")
			lose(s, n, arrives)
			if err := s.tryLogin(); err == nil {
				t.Fatalf("%v lost: no error", lost)
			}
			if _, err := s.client().Resume(context.Background()); err != error(ErrNoSession) {
				t.Errorf("%v lost: a session is left: %v", lost, err)
			}
			s.line.before, s.line.after = nil, nil
			s.must(s.tryLogin())
			s.reads("hello")
		}
	}
}
