package store_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name      string
		condition store.Condition
		holds     [3]bool // of no record, revision 1, revision 2
	}{
		{"zero", store.Condition{}, [3]bool{true, true, true}},
		{"always", store.Always(), [3]bool{true, true, true}},
		{"absent", store.IfAbsent(), [3]bool{true, false, false}},
		{"revision 0", store.IfRevision(0), [3]bool{true, false, false}},
		{"revision 1", store.IfRevision(1), [3]bool{false, true, false}},
	} {
		for current, want := range c.holds {
			if got := c.condition.Holds(uint64(current)); got != want {
				t.Errorf("%s holds of revision %d: got %t, want %t", c.name, current, got, want)
			}
		}
	}
}

func TestCheckKey(t *testing.T) {
	for key, valid := range map[string]bool{
		"k": true, "!": true, "~": true, "post/ann/7": true, strings.Repeat("k", store.MaxKey): true,
		"": false, " ": false, "a b": false, "a\x00": false, "\x7f": false, "ä": false,
		strings.Repeat("k", store.MaxKey+1): false,
	} {
		err := store.CheckKey(key)
		if valid != (err == nil) || err != nil && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%.20q: got %v, want valid: %t", key, err, valid)
		}
	}
}

// TestAfter tries the two bounds that depend on the alphabet of keys.
func TestAfter(t *testing.T) {
	for _, key := range []string{"a", "a!", "a/b", "~"} {
		after := store.After(key)
		if key >= after {
			t.Errorf("%q: %q is not behind it", key, after)
		}
		for next := byte(0x21); next <= 0x7e; next++ {
			behind := key + string(next)
			if behind < after {
				t.Errorf("%q lies between %q and %q", behind, key, after)
			}
			if p := store.Prefix(key); behind < p.From || behind >= p.To {
				t.Errorf("%q is outside of the prefix %q", behind, key)
			}
		}
	}
}

func TestConflictError(t *testing.T) {
	var err error = &store.ConflictError{Key: "k"}
	if !errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), `"k"`) {
		t.Errorf("got %v", err)
	}
}
