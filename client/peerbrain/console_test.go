package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// typing is a terminal where somebody has typed lines, and secrets unseen.
func typing(lines string, secrets ...string) (a *app, out, prompt *bytes.Buffer) {
	out, prompt = new(bytes.Buffer), new(bytes.Buffer)
	return &app{console: &console{
		in: strings.NewReader(lines), out: out, err: prompt, prompt: prompt, asks: true, shows: true,
		env: func(string) string { return "" },
		secret: func(context.Context) ([]byte, error) {
			if len(secrets) == 0 {
				return nil, errors.New("nothing more was typed")
			}
			s := secrets[0]
			secrets = secrets[1:]
			return []byte(s), nil
		},
	}}, out, prompt
}

func TestChosenPassword(t *testing.T) {
	a, _, prompt := typing("", "short", "Password123", "correct-horse", "other-horse", "correct-horse", "correct-horse")
	got, err := a.chosenPassword(t.Context(), "Choose: ")
	if err != nil || string(got) != "correct-horse" {
		t.Errorf("got %q, %v; want the password that was typed twice", got, err)
	}
	if !strings.Contains(prompt.String(), "guessed first") {
		t.Errorf("nothing is said of a common password: %q", prompt)
	}
	if strings.Contains(prompt.String(), "horse") {
		t.Errorf("the prompt repeats the password: %q", prompt)
	}
}

// TestRecoveryCode: the code is typed without being shown, in whatever spelling.
func TestRecoveryCode(t *testing.T) {
	const code = "6r8x 3jtf99wd-9FGR zn1e sk1w ysvq cxj2 k1k7"
	a, out, prompt := typing("", " "+code+" ", "6r8x")
	if _, err := a.recoveryCode(t.Context(), ""); err != nil {
		t.Errorf("%v", err)
	}
	if _, err := a.recoveryCode(t.Context(), ""); err == nil || strings.Contains(err.Error(), "6r8x") {
		t.Errorf("a part of one: %v", err)
	}
	if got := out.String() + prompt.String(); strings.Contains(got, "6r8x") || !strings.Contains(got, "Recovery code: ") {
		t.Errorf("the terminal shows %q", got)
	}
}

func TestShowCode(t *testing.T) {
	const code = "abcde-fghij-klmno"
	for _, test := range []struct {
		name, typed string
		json, ok    bool
		shown       bool
	}{
		{"at once", "klmno\n", false, true, true},
		{"in capitals, at the second try", "xyz\nKLMNO\n", false, true, true},
		{"never", "a\nb\nc\n", false, false, true},
		{"hung up", "", false, false, true},
		{"for a script", "", true, true, false},
	} {
		a, out, _ := typing(test.typed)
		a.json = test.json
		if err := a.showCode(t.Context(), code); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want success %t", test.name, err, test.ok)
		}
		if got := strings.Contains(out.String(), code); got != test.shown {
			t.Errorf("%s: shown %t, want %t", test.name, got, test.shown)
		}
	}
}

// TestInterrupted shows that Ctrl-C ends a question that nobody answers.
func TestInterrupted(t *testing.T) {
	a, _, _ := typing("")
	never := make(chan struct{})
	defer close(never)
	a.in = readerFunc(func([]byte) (int, error) { <-never; return 0, nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.ask(ctx, "Well? "); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestPostOnATerminal(t *testing.T) {
	post := client.Post{
		Author: wire.Address{Handle: "bob", Node: "node.example"}, Audience: "friends",
		Created: time.Date(2026, 3, 1, 13, 0, 0, 5e6, time.FixedZone("", 3600)), Text: "one\n\x1b[31mtwo<\u202e>\n",
	}
	a, out, _ := typing("")
	if err := a.post(post); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "\n  one\n  ␛[31mtwo<<U+202E>>\n") {
		t.Errorf("without colours got %q, want both lines indented and no escape", got)
	}
	out.Reset()
	a.colours = true
	if err := a.post(post); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "\x1b[1mbob@node.example\x1b[0m") || strings.Contains(got, "\x1b[31m") {
		t.Errorf("with colours got %q, want ours and not theirs", got)
	}
	out.Reset()
	a.json = true
	if err := a.post(post); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"` + exampleID + `","author":"bob@node.example","audience":"friends","seq":0,"created":"2026-03-01T12:00:00.005Z","text":"one\n\u001b[31mtwo<\u202e>\n"}` + "\n"
	if got := out.String(); got != want {
		t.Errorf("with --json got %s, want %s", got, want)
	}
}

func TestExplain(t *testing.T) {
	a, _, _ := typing("")
	addr := wire.Address{Handle: "bob", Node: "node.example"}
	newKeys := keysChanged{wire.Errorf(wire.Tampered, "keys", "bob has new keys")}
	for _, test := range []struct {
		err        error
		at         about
		what, hint string
		status     int
	}{
		{client.ErrNoSession, about{doing: "post"}, "nobody is logged in here", "peerbrain login", failed},
		{context.Canceled, about{}, "interrupted", "again", failed},
		{&wire.Error{Kind: wire.Throttled, RetryAfter: 90 * time.Second}, about{doing: "log in"}, "too many attempts", "1m30s", failed},
		{wire.Errorf(wire.NotExist, "address", "unknown"), about{doing: "add", words: addWords(addr)}, "nobody called bob@node.example", "spelling", failed},
		{wire.Errorf(wire.Clock, "created", "ten minutes ahead"), about{}, "ten minutes ahead", "set the clock", failed},
		{wire.Errorf(wire.Tampered, "entry", "a hole"), about{}, "a hole", "operator", failed},
		{newKeys, about{doing: "read"}, "cannot read: bob has new keys", "peerbrain friend verify", failed},
		{errors.Join(wire.Errorf(wire.Tampered, "entry", "a hole"), newKeys), about{doing: "read"}, "cannot read: a hole; bob has new keys", "peerbrain friend verify", failed},
		{usage("what", "hint"), about{doing: "x"}, "what", "hint", wrongUsage},
		{errors.New("disk full"), about{doing: "post"}, "cannot post: disk full", "", failed},
	} {
		var f *fault
		if !errors.As(a.explain(test.err, test.at), &f) || !strings.Contains(f.what, test.what) || !strings.Contains(f.hint, test.hint) || f.status != test.status {
			t.Errorf("explain(%v) is %+v, want %q, %q, status %d", test.err, f, test.what, test.hint, test.status)
		}
	}
}

// keysChanged is an error about keys that have changed, as package client makes them.
type keysChanged struct{ cause *wire.Error }

func (e keysChanged) Error() string        { return e.cause.Detail }
func (e keysChanged) Unwrap() error        { return e.cause }
func (e keysChanged) Is(target error) bool { return target == client.ErrKeysChanged }

func TestNearAddress(t *testing.T) {
	for s, want := range map[string]string{
		"Ada@Node.Example": "ada@node.example", "@ada@node.example": "ada@node.example", " ada@node.example, ": "ada@node.example",
		"acct:ada@node.example": "ada@node.example", "https://node.example/@ada": "ada@node.example", "ada@https://node.example/": "ada@node.example",
		"ada.b@node.example": "ada_b@node.example", "ada@127.0.0.1:8081": "ada@localhost:8081", "ada@node.example:443": "ada@node.example",
		"ada": "", "@": "", "": "", "ada@192.0.2.1": "", "ada@b@c": "",
	} {
		addr, ok := nearAddress(s)
		if got := addr.String(); ok != (want != "") || ok && got != want {
			t.Errorf("nearAddress(%q) is %q, %t; want %q", s, got, ok, want)
		}
	}
}

func TestQuoted(t *testing.T) {
	got := quoted([]string{"post", "it's", "a b", "", "$x"})
	if want := `post 'it'\''s' 'a b' '' '$x'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNext(t *testing.T) {
	a, _, errs := typing("")
	a.next("peerbrain feed", "peerbrain --help")
	if got, want := errs.String(), "next: peerbrain feed\n      peerbrain --help\n"; got != want {
		t.Errorf("at a terminal got %q, want %q", got, want)
	}
	errs.Reset()
	a.shows = false
	a.next("peerbrain feed")
	if got := errs.String(); got != "" {
		t.Errorf("in a script got %q, want nothing", got)
	}
}
