package mongo

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

func put(key, value string) store.Change { return store.Change{Key: key, Value: []byte(value)} }

// TestSteps looks at where changes are split: nothing may be sent behind a
// change whose outcome is known only by a number.
func TestSteps(t *testing.T) {
	kinds := map[string]store.Change{
		"put": put("k", "v"), "new": {Key: "k", Value: []byte{}, If: store.IfAbsent()}, "swap": {Key: "k", Value: []byte{}, If: store.IfRevision(7)},
		"del": {Key: "k"}, "none": {Key: "k", If: store.IfAbsent()}, "gone": {Key: "k", If: store.IfRevision(7)},
	}
	for _, want := range []string{
		"", "put", "put new del", "swap", "put swap", "put swap | put", "swap | swap", "new swap | new put", "gone", "put | gone | put", "none | none", "del | none | swap | del",
	} {
		var changes []store.Change
		names := map[int]string{}
		for _, name := range strings.Fields(strings.ReplaceAll(want, "|", "")) {
			c := kinds[name]
			c.Key = fmt.Sprint("k/", len(changes))
			names[len(changes)] = name
			changes = append(changes, c)
		}
		var got []string
		n := 0
		for _, step := range steps(changes) {
			var words []string
			for range step {
				words = append(words, names[n])
				n++
			}
			got = append(got, strings.Join(words, " "))
		}
		if got := strings.Join(got, " | "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestLongSteps looks at how many changes, and how large ones, are sent at once.
func TestLongSteps(t *testing.T) {
	for _, test := range []struct {
		changes, size int
		want          string
	}{
		{250, 1, "[100 100 50]"}, {3, store.MaxValue, "[1 1 1]"}, {5, maxStepBytes / 2, "[2 2 1]"}, {3, maxStepBytes/2 + 1, "[1 1 1]"},
	} {
		var changes []store.Change
		for i := range test.changes {
			changes = append(changes, store.Change{Key: fmt.Sprint("k/", i), Value: make([]byte, test.size)})
		}
		var got []int
		for _, step := range steps(changes) {
			got = append(got, len(step))
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%d changes of %d bytes: got steps of %v, want %s", test.changes, test.size, got, test.want)
		}
	}
}

// TestMadeAgain makes each kind of change a second time, as after a lost
// acknowledgement: it succeeds on top of its own effect, and on nobody else's.
func TestMadeAgain(t *testing.T) {
	server := mongotest.Get(t)
	s := open(t, server.URI, server.Database(t))
	if err := s.Apply(t.Context(), put("swapped", "before")); err != nil {
		t.Fatal(err)
	}
	before, err := s.Get(t.Context(), "swapped")
	if err != nil {
		t.Fatal(err)
	}
	changes := []store.Change{
		put("plain", "1"),
		{Key: "created", Value: []byte("1"), If: store.IfAbsent()},
		{Key: "never"},
		{Key: "swapped", Value: []byte("1"), If: store.IfRevision(before.Revision)},
	}
	step := steps(changes)[0]
	for range 3 {
		again := append([]write{}, step...)
		if err := s.make(t.Context(), &again); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
	}
	for _, key := range []string{"plain", "created", "swapped"} {
		if r, err := s.Get(t.Context(), key); err != nil || string(r.Value) != "1" {
			t.Errorf("%s: got %q, %v, want 1", key, r.Value, err)
		}
	}
	for _, key := range []string{"created", "swapped"} {
		if err := s.Apply(t.Context(), put(key, "of another")); err != nil {
			t.Fatal(err)
		}
		again := append([]write{}, step...)
		var conflict *store.ConflictError
		if err := s.make(t.Context(), &again); !errors.As(err, &conflict) || conflict.Key != key {
			t.Errorf("got %v, want a conflict on %s", err, key)
		}
		if r, err := s.Get(t.Context(), key); err != nil || string(r.Value) != "of another" {
			t.Errorf("%s: got %q, %v, want what another wrote", key, r.Value, err)
		}
		if err := s.Apply(t.Context(), store.Change{Key: "created"}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTemporary says after which errors it makes sense to try again.
func TestTemporary(t *testing.T) {
	concern := func(code int) error {
		return mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: code}}
	}
	for _, test := range []struct {
		err  error
		want bool
		code int
	}{
		{errors.New("connection reset"), true, 0},
		{mongo.CommandError{Labels: []string{"NetworkError"}}, true, 0},
		{mongo.CommandError{Code: 10107, Name: "NotWritablePrimary"}, true, 10107},
		{mongo.CommandError{Code: 91}, true, 91},
		{mongo.CommandError{Code: 1, Labels: []string{"RetryableWriteError"}}, true, 1},
		{mongo.CommandError{Code: 1, Message: "[collection.go:94] interrupted (9)"}, true, 1},
		{mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: 1, Message: "interrupted (9)"}}}}, true, 1},
		{mongo.CommandError{Code: 1, Message: "something else"}, false, 1},
		{mongo.CommandError{Code: 13}, false, 13},
		{mongo.CommandError{Code: 18}, false, 18},
		{mongo.CommandError{Code: 14031}, false, 14031},
		{concern(64), true, 64},
		{concern(100), false, 100},
		{mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: 10334}}}}, false, 10334},
		{mongo.WriteException{WriteErrors: []mongo.WriteError{{Code: 121}}}, false, 121},
	} {
		if got := temporary(test.err); got != test.want {
			t.Errorf("%v: got %t, want %t", test.err, got, test.want)
		}
		if got := codeOf(test.err); got != test.code {
			t.Errorf("%v: got code %d, want %d", test.err, got, test.code)
		}
		if got := errors.Is(faultOf("apply", test.err), store.ErrFull); got != (test.code == 14031) {
			t.Errorf("%v: a database without room, %t", test.err, got)
		}
	}
	half := mongo.BulkWriteException{
		WriteErrors:       []mongo.BulkWriteError{{WriteError: mongo.WriteError{Code: codeDuplicateKey}}},
		WriteConcernError: &mongo.WriteConcernError{Code: 64},
	}
	if _, ok := duplicate(half); ok || !temporary(half) {
		t.Error("what is before a duplicate key, and no majority has, is taken for made")
	}
}
