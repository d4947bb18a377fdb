package client

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What is being written is kept over a restart, sealed, until it is replaced or empty, and
// without a request; bad keys and what is far too long are refused, and change nothing.
func TestBegun(t *testing.T) {
	ctx := context.Background()
	ada := newWorld(t).newPerson("ada@one.example")
	ada.away(true)
	holds := func(want Begun) {
		t.Helper()
		got, err := ada.Begun(ctx)
		ada.must(err)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	holds(Begun{})
	ada.must(ada.KeepBegun(ctx, Begun{"k1", "half a thought"}))
	ada.restart()
	holds(Begun{"k1", "half a thought"})
	if b, err := ada.device.Load(fileBegun); err != nil || bytes.Contains(b, []byte("thought")) {
		t.Errorf("on the device: %q, %v", b, err)
	}
	for _, bad := range []Begun{{"", "x"}, {"a key", "x"}, {"k2", strings.Repeat("x", maxBegun+1)}} {
		if err := ada.KeepBegun(ctx, bad); !errors.Is(err, wire.Invalid) && !errors.Is(err, wire.TooLarge) {
			t.Errorf("key %q, %d bytes: got %v", bad.Key, len(bad.Text), err)
		}
	}
	holds(Begun{"k1", "half a thought"})
	ada.must(ada.KeepBegun(ctx, Begun{"k2", strings.Repeat("x", maxBegun)}))
	holds(Begun{"k2", strings.Repeat("x", maxBegun)})
	ada.must(ada.KeepBegun(ctx, Begun{"k2", ""}))
	holds(Begun{})
	ada.must(ada.KeepBegun(ctx, Begun{"k3", "left behind"}))
	ada.away(false)
	ada.must(ada.Logout(ctx))
	if b, err := ada.device.Load(fileBegun); err == nil {
		t.Errorf("after logging out the device keeps %d bytes", len(b))
	}
}
