package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a device that forgets nothing.
type memory struct{ files map[string][]byte }

func newMemory() *memory { return &memory{make(map[string][]byte)} }

func (m *memory) Load(name string) ([]byte, error) {
	b, ok := m.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(b), nil
}

func (m *memory) Save(name string, b []byte) error {
	if len(name) > 128 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errors.New("bad name " + name)
	}
	m.files[name] = slices.Clone(b)
	return nil
}

func (m *memory) Delete(name string) error {
	delete(m.files, name)
	return nil
}

func (m *memory) List(prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.files)), func(n string) bool { return !strings.HasPrefix(n, prefix) }), nil
}

// quick stands in for Argon2id.
func quick(password []byte, a wire.Address, p wire.Argon2, random wire.Nonce) (wire.LoginSecret, seal.SlotKey, error) {
	salt := wire.LoginSalt(a, p, random)
	one := sha256.Sum256(slices.Concat([]byte("1"), salt[:], password))
	two := sha256.Sum256(slices.Concat([]byte("2"), salt[:], password))
	slot, err := seal.SlotKeyFromBytes(two[:])
	return wire.NewLoginSecret(one), slot, err
}

// line is the way between one device and the nodes, with hooks.
type line struct {
	w      *world
	mu     sync.Mutex
	calls  []call
	bytes  int
	before func(n int, r *Request) error              // nil, or why the request does not arrive
	after  func(n int, r *Request, a *Response) error // may change the answer; an error loses it
}

type call struct{ method, path string }

// maxCalls is more than any test needs: a device that asks on and on fails.
const maxCalls = 10_000

func (l *line) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	n := len(l.calls)
	path, _, _ := strings.Cut(r.Path, "?")
	l.calls = append(l.calls, call{r.Method, path})
	before, after := l.before, l.after
	l.mu.Unlock()
	if n >= maxCalls {
		return nil, errors.New("asked for ever")
	}
	if before != nil {
		if err := before(n, r); err != nil {
			return nil, err
		}
	}
	a := l.w.serve(r)
	if after != nil {
		if err := after(n, r, a); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	l.bytes += len(r.Body) + len(a.Body)
	l.mu.Unlock()
	return a, nil
}

// someone is a person on one device.
type someone struct {
	t       *testing.T
	w       *world
	address wire.Address
	device  *memory
	line    *line
	code    string // for recovery, if the account was made here
	*Person
}

const secretWord = "a long enough password"

func address(s string) wire.Address {
	a, err := wire.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func password(t *testing.T, s string) Password {
	t.Helper()
	p, err := NewPassword([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) device(a string) *someone {
	return &someone{t: w.t, w: w, address: address(a), device: newMemory(), line: &line{w: w}}
}

func (s *someone) client() *Client {
	return New(s.line, s.device, WithClock(s.w.now), withDeriver(quick))
}

func (s *someone) tryRegister() error {
	p, err := s.client().Register(context.Background(), RegisterOptions{
		Address: s.address, Password: password(s.t, secretWord), Device: "test", ShowCode: func(code string) error { s.code = code; return nil },
	})
	s.Person = p
	return err
}

func (s *someone) tryLogin() error {
	p, _, err := s.client().Login(context.Background(), LoginOptions{Address: s.address, Password: password(s.t, secretWord), Device: "test"})
	s.Person = p
	return err
}

// register makes a new person.
func (w *world) newPerson(a string) *someone {
	w.t.Helper()
	s := w.device(a)
	s.must(s.tryRegister())
	return s
}

// again is the same person on a new device.
func (s *someone) again() *someone {
	s.t.Helper()
	d := s.w.device(s.address.String())
	d.t = s.t
	d.must(d.tryLogin())
	return d
}

// copies returns people who go on in a copy of their world, each with the next
// command on a copy of their device.
func copies(people ...*someone) (out []*someone) {
	w := people[0].w.clone()
	for _, p := range people {
		c := &someone{t: p.t, w: w, address: p.address, code: p.code, device: &memory{maps.Clone(p.device.files)}, line: &line{w: w}}
		c.Person = newPerson(c.client(), p.session, p.chain)
		c.must(c.loadVault())
		out = append(out, c)
	}
	return out
}

// restart is the next command on the same device.
func (s *someone) restart() {
	s.t.Helper()
	p, err := s.client().Resume(context.Background())
	s.must(err)
	s.Person = p
}

func (s *someone) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.address, err)
	}
}

func (s *someone) writes(text string) Post {
	s.t.Helper()
	p, err := s.Post(context.Background(), text, "friends")
	s.must(err)
	return p
}

func (s *someone) asks(o *someone) {
	s.t.Helper()
	_, err := s.AddFriend(context.Background(), o.address, true)
	s.must(err)
}

func (s *someone) accepts(o *someone) {
	s.t.Helper()
	f, err := s.AcceptFriend(context.Background(), o.address, true)
	s.must(err)
	if f.State != wire.StateFriend {
		s.t.Fatalf("%s accepts %s: state %s", s.address, o.address, f.State)
	}
}

func (s *someone) befriends(o *someone) {
	s.t.Helper()
	s.asks(o)
	o.accepts(s)
}

func (s *someone) removes(o *someone) {
	s.t.Helper()
	_, err := s.RemoveFriend(context.Background(), o.address)
	s.must(err)
}

// feedTexts is the whole feed, newest first.
func (s *someone) feedTexts() []string {
	s.t.Helper()
	page, err := s.Feed(context.Background(), FeedOptions{Limit: 1000})
	s.must(err)
	for _, p := range page.Problems {
		s.t.Errorf("%s: feed: %v", s.address, p)
	}
	return texts(page)
}

func texts(page FeedPage) []string {
	list := []string{}
	for _, p := range page.Posts {
		list = append(list, p.Text)
	}
	return list
}

func (s *someone) reads(want ...string) {
	s.t.Helper()
	if got := s.feedTexts(); !slices.Equal(got, want) {
		s.t.Errorf("%s reads %q, want %q", s.address, got, want)
	}
}
