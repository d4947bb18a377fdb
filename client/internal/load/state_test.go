package load

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestState: what was saved is read, fits the same options alone, and is for its
// owner's eyes.
func TestState(t *testing.T) {
	o := someOptions()
	o.State = filepath.Join(t.TempDir(), "people.state")
	if s, err := loadState(o.State); s != nil || err != nil {
		t.Fatalf("there is none: got %v, %v", s, err)
	}
	c, err := newCrowd(&o, [32]byte{3})
	if err == nil {
		err = c.draw(t.Context(), o.People)
	}
	if err == nil {
		befriend(append(ring(c.people, o.Friends), edge{c.people[0], c.people[5]}))
		err = c.save(o.State, o.Friends)
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(o.State); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	s, err := loadState(o.State)
	if err != nil || s.Seed.Reveal() != [32]byte{3} || len(s.Accounts) != 32*o.People || len(s.Tokens.Reveal()) != tokenLength*o.People || !bytes.Equal(s.Later, []byte{0, 0, 0, 0, 0, 0, 0, 5}) {
		t.Fatalf("got %+v, %v", s, err)
	}
	if err := s.fits(&o, c.nodes); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.People++ }, func(o *Options) { o.Friends-- }, func(o *Options) { o.Nodes = []string{"localhost:1"} },
	} {
		other := o
		change(&other)
		n, err := newCrowd(&other, [32]byte{3})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.fits(&other, n.nodes); wire.KindOf(err) != wire.Invalid {
			t.Errorf("%d people, %d friends, %v: got %v", other.People, other.Friends, other.Nodes, err)
		}
	}
	if err := os.WriteFile(o.State, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := loadState(o.State); s != nil || wire.KindOf(err) != wire.Invalid {
		t.Errorf("another file: got %v, %v", s, err)
	}
}

// TestRing: everybody has as many friends as was asked for, neighbours on both
// nodes among them, and nobody twice.
func TestRing(t *testing.T) {
	for _, test := range []struct{ people, friends int }{{2, 1}, {10, 4}, {10, 5}, {10, 9}, {11, 10}, {100, 10}, {7, 0}} {
		o := someOptions()
		o.Nodes, o.People = []string{"localhost:1", "localhost:2"}, test.people
		c, err := newCrowd(&o, [32]byte{4})
		if err == nil {
			err = c.draw(t.Context(), test.people)
		}
		if err != nil {
			t.Fatal(err)
		}
		edges := ring(c.people, test.friends)
		befriend(edges)
		sum := 0
		for _, p := range c.people {
			sum += len(p.friends)
			if p.friends[p.number] || test.friends > 1 && c.friendOf(p).home == p.home {
				t.Errorf("%+v: %d has friends %v", test, p.number, p.friends)
			}
		}
		if want := test.people * test.friends; sum != want || 2*len(edges) != want {
			t.Errorf("%+v: %d friendships of %d people, %d edges, want %d", test, sum, test.people, len(edges), want)
		}
	}
}

func TestSecretsAreNotWritten(t *testing.T) {
	o := someOptions()
	c, err := newCrowd(&o, secrettest.Secret)
	if err != nil {
		t.Fatal(err)
	}
	secrettest.Table{Holders: []any{
		&stateFile{Seed: wire.Hide(secrettest.Secret)}, &crowd{seed: c.seed}, &person{identity: wire.NewIdentitySecret(secrettest.Secret), login: wire.NewLoginSecret(secrettest.Secret), session: session{token: wire.NewToken(secrettest.Secret)}},
		request{token: wire.NewToken(secrettest.Secret)},
	}}.Test(t)
}
