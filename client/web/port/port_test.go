package port

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drawer is a store in memory.
type drawer struct {
	files map[string][]byte
	open  bool
}

func (d *drawer) Load(name string) ([]byte, error) {
	if b, ok := d.files[name]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (d *drawer) Save(name string, data []byte) error { d.files[name] = data; return nil }
func (d *drawer) Delete(name string) error            { delete(d.files, name); return nil }
func (d *drawer) Close() error                        { d.open = false; return nil }
func (d *drawer) Remove() error                       { clear(d.files); return d.Close() }

func (d *drawer) List(prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.files)), func(n string) bool { return !strings.HasPrefix(n, prefix) }), nil
}

// away is a node that cannot be reached, or says one thing to everybody.
type away struct {
	asked  []*client.Request
	answer *client.Response
}

func (a *away) Do(_ context.Context, r *client.Request) (*client.Response, error) {
	a.asked = append(a.asked, r)
	if a.answer == nil {
		return nil, wire.Errorf(wire.Unavailable, "node", "away")
	}
	return a.answer, nil
}

func (a *away) Stream(ctx context.Context, r *client.Request, _ string) (io.ReadCloser, *client.Response, error) {
	answer, err := a.Do(ctx, r)
	return nil, answer, err
}

// stage is a port in front of a node that is away.
type stage struct {
	*Port
	t     *testing.T
	store *drawer
	node  *away
	fails error // of opening the store
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, store: &drawer{files: make(map[string][]byte)}, node: new(away)}
	s.Port = New(Options{
		Node: "one.example", Page: "https://one.example", Transport: s.node,
		Open: func(context.Context) (Store, error) {
			if s.fails != nil {
				return nil, s.fails
			}
			if s.store.open {
				t.Error("the store is opened twice")
			}
			s.store.open = true
			return s.store, nil
		},
		Tell: func(event string, data []byte) { t.Errorf("told of %s: %s", event, data) },
	})
	return s
}

// faults wants a call to fail with a code, and to tell nothing that was typed.
func (s *stage) faults(method, params string, want Cause) *Fault {
	s.t.Helper()
	result, fault := s.Call(s.t.Context(), method, []byte(params))
	if fault == nil {
		s.t.Fatalf("%s %.100s: %s, want %s", method, params, result, want)
	}
	if fault.Code != want {
		s.t.Errorf("%s %.100s: %+v, want %s", method, params, *fault, want)
	}
	if s.store.open {
		s.t.Errorf("%s: the store stays open", method)
	}
	if strings.Contains(fault.Field+fault.Detail, "hunter2") {
		s.t.Errorf("%s: the fault repeats a secret: %+v", method, *fault)
	}
	return fault
}

// Every method takes its own parameters and nothing else, and one that somebody has to be
// logged in for says so without asking the node.
func TestStrangersAndNonsense(t *testing.T) {
	s := newStage(t)
	s.faults("nope", `{}`, codeBadInput)
	for name := range methods {
		for _, nonsense := range []string{``, `[]`, `null`, `{"nope":1}`, `{"address":null}`, `{} {}`, `{"limit":1.5}`} {
			s.faults(name, nonsense, codeBadInput)
		}
		s.faults(name, `{"text":"`+strings.Repeat("a", MaxParams)+`"}`, codeTooLong)
	}
	ended := map[string]string{
		"feed": `{}`, "read": `{"address":"bob@two.example"}`, "post": `{"text":"hello","key":"k"}`, "waiting": `{}`, "friends": `{}`, "invitation": `{}`,
		"friend.add": `{"address":"bob@two.example","history":true}`, "friend.remove": `{"address":"bob@two.example"}`, "sessions": `{}`, "sessions.endOthers": `{}`,
		"friend.safety": `{"address":"bob@two.example"}`, "secondFactor": `{}`, "secondFactor.begin": `{}`, "secondFactor.off": `{"code":"123456"}`,
		"passwd": `{"present":"hunter2hunter2","next":"another long one"}`, "deleteAccount": `{"password":"hunter2hunter2"}`,
	}
	for name, params := range ended {
		s.faults(name, params, codeSessionEnded)
	}
	if now, fault := s.Call(t.Context(), "state", []byte(`{}`)); fault != nil || string(now) != "null" {
		t.Errorf("state: %s, %+v", now, fault)
	}
	if _, fault := s.Call(t.Context(), "logout", []byte(`{}`)); fault != nil {
		t.Errorf("logout: %+v", fault)
	}
	if len(s.node.asked) > 0 {
		t.Errorf("the node was asked %d times", len(s.node.asked))
	}
}

// What a person types wrong has the code of its sentence.
func TestInput(t *testing.T) {
	s := newStage(t)
	who := func(rest string) string { return `{"address":"ada@one.example",` + rest + `}` }
	for _, c := range []struct {
		method, params string
		want           Cause
	}{
		{"register", who(`"password":"hunter2"`), codeWeakPassword},
		{"register", who(`"password":"password1"`), codeWeakPassword},
		{"register", `{"address":"admin@one.example","password":"a long enough one"}`, codeBadInput},
		{"register", `{"address":"ada@two.example","password":"a long enough one"}`, codeBadInput},
		{"register", `{"address":"ada","password":"a long enough one"}`, codeBadInput},
		{"login", who(`"password":"hunter2","device":"d"`), codeWrongPassword},
		{"login", who(`"password":"hunter2hunter2","device":""`), codeBadInput},
		{"login", who(`"password":"hunter2hunter2","device":"d","code":"hunter2"`), codeWrongFactor},
		{"login", `{"address":"ada@two.example","password":"hunter2hunter2","device":"d"}`, codeBadInput},
		{"recover", who(`"recovery_code":"hunter2","password":"a long enough one","device":"d"`), codeWrongCode},
		{"recover", who(`"recovery_code":"hunter2","password":"short","device":"d"`), codeWrongCode},
		{"secondFactor.on", `{"first":"hunter2"}`, codeWrongFactor},
		{"secondFactor.on", `{"first":"123456"}`, codeBadInput},
		{"login", who(`"password":"hunter2hunter2","device":"d"`), codeNodeAway},
		{"register", who(`"password":"a long enough one"`), codeNodeAway},
	} {
		s.faults(c.method, c.params, c.want)
	}
	s.fails = client.ErrStorage
	s.faults("state", `{}`, CodeStorage)
	s.faults("logout", `{}`, CodeStorage)
}

// What a node refuses has the code of its sentence.
func TestRefusals(t *testing.T) {
	s := newStage(t)
	says := func(err *wire.Error) {
		p := wire.ProblemOf(err)
		s.node.answer = &client.Response{Status: p.Status, Body: wire.EncodeJSON(p)}
	}
	register, login := `{"address":"ada@one.example","password":"a long enough one"}`, `{"address":"ada@one.example","password":"a long enough one","device":"d"}`
	says(wire.Errorf(wire.Forbidden, "registration", "closed"))
	s.faults("register", register, codeClosed)
	says(wire.Errorf(wire.Exist, "handle", "taken"))
	s.faults("register", register, codeNameTaken)
	says(&wire.Error{Kind: wire.Throttled, RetryAfter: 1})
	s.faults("login", login, codeNodeBusy)
	says(wire.Errorf(wire.Clock, "clock", "wrong"))
	s.faults("login", login, codeClock)
	says(wire.Errorf(wire.SecondFactor, "", ""))
	s.faults("login", login, codeSecondFactor)
	s.faults("login", strings.Replace(login, `}`, `,"code":"123456"}`, 1), codeWrongFactor)
	s.node.answer = &client.Response{Status: 200, Body: []byte("<html>")}
	s.faults("login", login, codeNodeAway)
}

// Errors of the SDK that mean something of their own have their own sentence.
func TestFaults(t *testing.T) {
	tampered := wire.Errorf(wire.Tampered, "entry", "not as it was signed")
	for _, c := range []struct {
		method string
		err    error
		want   Cause
	}{
		{"feed", tampered, codeNodeLies},
		{"feed", errors.Join(client.ErrKeysChanged, tampered), codeKeysChanged},
		{"friends", errors.Join(client.ErrSplitView, tampered), codeSplitView},
		{"friend.verify", errors.Join(client.ErrOtherNumber, tampered), codeOtherNumber},
		{"friend.add", wire.Errorf(wire.NotExist, "friend", "nobody"), codeNotFound},
		{"read", wire.Errorf(wire.NotExist, "friend", "no friend"), codeNotFriend},
		{"post", wire.Errorf(wire.TooLarge, "post", "too long"), codeTooLong},
		{"login", wire.Errorf(wire.Conflict, "session", "somebody else is logged in"), codeBadInput},
		{"post", wire.Errorf(wire.Conflict, "post", "other devices write"), codeNodeBusy},
		{"post", context.DeadlineExceeded, codeNodeAway},
		{"post", &wire.Error{Kind: wire.Unavailable, RetryAfter: 1}, codeNodeBusy},
		{"passwd", client.ErrPresentPassword, codeWrongPassword},
		{"renewCode", client.ErrOldCode, codeWrongCode},
		{"secondFactor.on", wire.Errorf(wire.Invalid, "code", "not the first"), codeWrongFactor},
		{"feed", errors.New("anything"), codeInternal},
	} {
		if got := faultOf(c.method, c.err); got.Code != c.want || got.Detail == "" {
			t.Errorf("%s, %v: %+v, want %s", c.method, c.err, *got, c.want)
		}
	}
}

// Who follows a node that is away is told so, and not before they were told otherwise
// anything else; the call itself does not wait.
func TestFollowAway(t *testing.T) {
	s := newStage(t)
	told := make(chan string, 10)
	s.Tell = func(event string, data []byte) { told <- event + string(data) }
	if _, fault := s.Call(t.Context(), "follow", []byte(`{}`)); fault != nil {
		t.Fatal(*fault)
	}
	var ended struct{ Code Cause }
	event, data, _ := strings.Cut(<-told, "{")
	if err := json.Unmarshal([]byte("{"+data), &ended); err != nil || event != eventEnded || ended.Code != codeSessionEnded {
		t.Errorf("told of %s{%s", event, data)
	}
	s.Close()
}

// The methods and codes of doc.go are those that there are.
func TestDoc(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-zA-Z.]+) +\{`).FindAllStringSubmatch(string(b), -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(listed)
	if want := slices.Sorted(maps.Keys(methods)); !slices.Equal(listed, want) {
		t.Errorf("doc.go lists %q, and there are %q", listed, want)
	}
	source, err := os.ReadFile("fault.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Cause = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(string(b), m[1]) {
			t.Errorf("doc.go does not tell of the code %s", m[1])
		}
	}
}

// TestSecretsAreNotWritten knows of the secrets that are shown, each for one moment.
func TestSecretsAreNotWritten(t *testing.T) {
	b := secrettest.Secret
	secret := typed{wire.Hide(string(b[:]))}
	secrettest.Table{
		Secrets: []any{secret},
		Holders: []any{
			code{secret}, factored{code{secret}}, registering{Password: secret}, entering{Password: secret}, recovering{Recovery: secret, Password: secret},
			deleting{Password: secret}, changing{Present: secret, Next: secret}, coded{Recovery: secret}, firstCode{code{secret}},
		},
		Open: []string{"entered.RecoveryCode", "renewed.RecoveryCode", "enrolment.Secret", "codeList.Codes"},
	}.Test(t)
}
