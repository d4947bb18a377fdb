package client

import (
	"context"
	"errors"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestSessionsOfDevices lists sessions, ends one, and all others.
func TestSessionsOfDevices(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	phone, tablet, desk := ada.again(), ada.again(), ada.again()
	open := func(want ...*someone) {
		t.Helper()
		list, more, err := ada.Sessions(ctx)
		ada.must(err)
		if len(list) != len(want) || more {
			t.Fatalf("%d sessions, more: %v; want %d", len(list), more, len(want))
		}
		for i, s := range list {
			if s.ID != want[i].session.Token.Hash(wire.LabelToken) || s.Current != (want[i] == ada) || s.Device != "test" {
				t.Errorf("session %d: %+v", i, s)
			}
		}
	}
	ended := func(s *someone, want bool) {
		t.Helper()
		if _, err := s.Feed(ctx, FeedOptions{}); errors.Is(err, wire.Unauthenticated) != want {
			t.Errorf("ended: %v, want %v", err, want)
		}
	}
	open(desk, tablet, phone, ada)
	id := tablet.session.Token.Hash(wire.LabelToken)
	ada.must(ada.EndSession(ctx, id))
	open(desk, phone, ada)
	ended(tablet, true)
	ended(phone, false)
	if err := ada.EndSession(ctx, id); !errors.Is(err, wire.NotExist) {
		t.Errorf("again: %v", err)
	}
	if err := ada.EndSession(ctx, bob.session.Token.Hash(wire.LabelToken)); !errors.Is(err, wire.NotExist) {
		t.Errorf("somebody else's: %v", err)
	}
	ada.must(ada.EndOtherSessions(ctx))
	open(ada)
	ended(phone, true)
	ended(desk, true)
	ended(bob, false)
	ada.must(ada.EndSession(ctx, ada.session.Token.Hash(wire.LabelToken)))
	ended(ada, true)
}

// TestSessionLies: what a node says of sessions has to make sense.
func TestSessionLies(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	phone := ada.again()
	list := func(s *someone) error { _, _, err := s.Sessions(ctx); return err }
	for name, test := range map[string]struct {
		change func(*wire.SessionsReply)
		want   wire.Kind
	}{
		"this device left out":       {func(r *wire.SessionsReply) { r.Sessions = r.Sessions[:1] }, wire.Tampered},
		"another called this device": {func(r *wire.SessionsReply) { r.Sessions[0].Current = true }, wire.Tampered},
		"another instead of this device": {func(r *wire.SessionsReply) {
			r.Sessions[0].Current, r.Sessions[1].Current = true, false
		}, wire.Tampered},
		"none called this device": {func(r *wire.SessionsReply) { r.Sessions[1].Current = false }, wire.Tampered},
		"this device twice":       {func(r *wire.SessionsReply) { r.Sessions[0] = r.Sessions[1] }, wire.Tampered},
		"too many":                {func(r *wire.SessionsReply) { r.Sessions = make([]wire.SessionInfo, wire.MaxSessions+1) }, wire.Unavailable},
	} {
		s := copies(ada)[0]
		lie(s, "GET", wire.PathSessions, func(_ *Request, r *wire.SessionsReply) { test.change(r) })
		if err := list(s); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	id := phone.session.Token.Hash(wire.LabelToken)
	for name, do := range map[string]func(*someone) error{
		"one":        func(s *someone) error { return s.EndSession(ctx, id) },
		"all others": func(s *someone) error { return s.EndOtherSessions(ctx) },
	} {
		s := copies(ada)[0]
		s.line.before = func(_ int, r *Request) error {
			if r.Method == "DELETE" {
				r.Method, r.Path = "GET", wire.PathFriends // and nothing ends
			}
			return nil
		}
		if err := do(s); !errors.Is(err, wire.Tampered) {
			t.Errorf("%s said to have ended: %v", name, err)
		}
	}
}
