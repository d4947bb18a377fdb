package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// someNumber is a safety number, any one.
func someNumber(t *testing.T) client.SafetyNumber {
	t.Helper()
	n, err := client.ParseSafetyNumber(strings.Repeat("04711 98765 ", 6))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// looksDark says whether the pixels of a terminal are dark, two for each line, as a
// camera sees them: for colours that the text brings, or those of a terminal.
func looksDark(t *testing.T, drawn string, darkGround bool) (pixels [][]bool) {
	t.Helper()
	for line := range strings.Lines(drawn) {
		line = strings.TrimSuffix(line, "\n")
		inkIsDark := !darkGround
		if rest, ok := strings.CutPrefix(line, "\x1b[38;5;16;48;5;231m"); ok {
			if line, ok = strings.CutSuffix(rest, "\x1b[0m"); !ok {
				t.Fatalf("the line %q leaves its colours", rest)
			}
			inkIsDark = true
		}
		var upper, lower []bool
		for _, r := range line {
			if !strings.ContainsRune(" ▀▄█", r) {
				t.Fatalf("the line %q holds %q", line, r)
			}
			upper = append(upper, (r == '▀' || r == '█') == inkIsDark)
			lower = append(lower, (r == '▄' || r == '█') == inkIsDark)
		}
		pixels = append(pixels, upper, lower)
	}
	return pixels
}

// TestDrawQR reads what is drawn back into modules, on terminals with and without
// colours, dark and light: it is the code, in a light margin of four.
func TestDrawQR(t *testing.T) {
	q := someNumber(t).QR()
	for _, test := range []struct {
		name        string
		colours     bool
		ground      string // COLORFGBG
		onDark      bool
		onlyThisWay bool
	}{
		{"colours, dark", true, "", true, false},
		{"colours, light", true, "0;15", false, false},
		{"no colours, dark", false, "", true, true},
		{"no colours, said to be dark", false, "15;0", true, true},
		{"no colours, said to be light", false, "0;15", false, true},
		{"no colours, said to be light by three", false, "0;default;7", false, true},
	} {
		a, _, _ := typing("")
		a.colours = test.colours
		a.env = func(name string) string { return map[string]string{"COLORFGBG": test.ground}[name] }
		drawn := a.drawQR(q)
		if strings.Contains(drawn, "\x1b") != test.colours {
			t.Errorf("%s: got %q", test.name, drawn)
		}
		if !isQR(looksDark(t, drawn, test.onDark), q) {
			t.Errorf("%s: got another code:\n%s", test.name, drawn)
		}
		if other := isQR(looksDark(t, drawn, !test.onDark), q); other == test.onlyThisWay {
			t.Errorf("%s: on the other ground it is the code: %t", test.name, other)
		}
		if n := strings.Count(drawn, "\n"); n > 21 {
			t.Errorf("%s: it has %d lines, too many for a terminal of 24", test.name, n)
		}
	}
}

// isQR compares what is seen with the code and its margin; a line more below is light.
func isQR(dark [][]bool, q client.QR) bool {
	if n := q.Size() + 2*client.QRMargin; len(dark) < n || len(dark) > n+1 {
		return false
	}
	for y, row := range dark {
		if len(row) != q.Size()+2*client.QRMargin {
			return false
		}
		for x := range row {
			if row[x] != q.Dark(x-client.QRMargin, y-client.QRMargin) {
				return false
			}
		}
	}
	return true
}

func TestShowNumber(t *testing.T) {
	me, who := wire.Address{Handle: "ada", Node: "node.example"}, wire.Address{Handle: "bob", Node: "node.example"}
	c := client.Comparison{Friend: client.Friend{Address: who}, Number: someNumber(t)}
	for _, test := range []struct {
		name     string
		terminal bool
		asked    bool
		want     bool // a code
	}{{"at a terminal", true, false, true}, {"in a script", false, false, false}, {"in a script that asks for it", false, true, true}} {
		a, out, _ := typing("")
		a.shows = test.terminal
		a.showNumber(me, c, test.asked)
		if got := out.String(); strings.Contains(got, "█") != test.want ||
			strings.Count(got, "    04711 98765 04711 98765\n") != 3 || !strings.Contains(got, "peerbrain friend verify ada@node.example\n") {
			t.Errorf("%s: got %s", test.name, got)
		}
	}
}

func TestSameNumber(t *testing.T) {
	for _, test := range []struct {
		typed    string
		same, ok bool
	}{{"yes\n", true, true}, {"Y\n", true, true}, {"no\n", false, true}, {"perhaps\nn\n", false, true}, {"\n\nyes\n", true, true}, {"a\nb\nc\nyes\n", false, false}, {"", false, false}, {"yes", true, true}} {
		a, _, prompt := typing(test.typed)
		same, err := a.sameNumber(t.Context(), wire.Address{Handle: "bob", Node: "node.example"})
		if same != test.same || (err == nil) != test.ok || errors.Is(err, io.EOF) {
			t.Errorf("%q: got %t, %v", test.typed, same, err)
		}
		if !strings.Contains(prompt.String(), "Does bob see the same number?") {
			t.Errorf("%q: asked %q", test.typed, prompt)
		}
	}
}

// TestStates: what a list says of each, in words and for scripts.
func TestStates(t *testing.T) {
	who := wire.Address{Handle: "bob", Node: "node.example"}
	for _, test := range []struct {
		f    client.Friend
		want string
		json string
	}{
		{client.Friend{State: wire.StateFriend, Keys: client.KeysPinned}, "friend, keys pinned", `"state":"friend","verified":false,"keys":"pinned"}`},
		{client.Friend{State: wire.StateFriend, Keys: client.KeysConfirmed}, "friend, keys confirmed", `"state":"friend","verified":false,"keys":"confirmed"}`},
		{client.Friend{State: wire.StateIncoming, Keys: client.KeysNew}, "asks you, keys new; to accept: peerbrain friend accept bob@node.example", `"state":"incoming","verified":false,"keys":"new"}`},
		{client.Friend{State: wire.StateFriend, Verified: true, Keys: client.KeysVerified}, "friend, verified", `"state":"friend","verified":true,"keys":"verified"}`},
		{client.Friend{State: wire.StateFriend, KeysChanged: true, Keys: client.KeysPinned}, "friend, verified before: the keys have changed since", `"state":"friend","verified":false,"keys":"pinned","keys_changed":true}`},
		{client.Friend{State: wire.StateIncoming, Verified: true, Keys: client.KeysVerified}, "asks you, verified; to accept: peerbrain friend accept bob@node.example", `"state":"incoming","verified":true,"keys":"verified"}`},
		{client.Friend{State: wire.StateOutgoing, Verified: true, Keys: client.KeysVerified}, "asked by you, verified, has not answered", `"state":"outgoing","verified":true,"keys":"verified"}`},
	} {
		test.f.Address = who
		if got := stateWords(test.f); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		a, out, _ := typing("")
		if err := a.object(friendOf(test.f)); err != nil || out.String() != `{"address":"bob@node.example",`+test.json+"\n" {
			t.Errorf("got %s, %v, want %s", out, err, test.json)
		}
	}
}

// TestForeignKeysAreTold: a log-in that has found keys for one's address that are not
// one's own says so, and what to do.
func TestForeignKeysAreTold(t *testing.T) {
	a, out, prompt := typing("")
	a.tell(client.LoginReport{Known: true, Foreign: 2})
	const want = "the log of your node holds 2 statement(s) of keys for your address that you did not make: whoever has no keys of yours yet may be shown these. Tell your friends, and the operator of the node\n"
	if !strings.HasSuffix(prompt.String(), want) || out.Len() > 0 {
		t.Errorf("got %q and %q", prompt, out)
	}
	a, _, prompt = typing("")
	if a.tell(client.LoginReport{Known: true}); prompt.Len() > 0 {
		t.Errorf("without such keys: %q", prompt)
	}
}

// TestSplitViewIsExplained: what a person reads of a node that shows two logs.
func TestSplitViewIsExplained(t *testing.T) {
	a, _, _ := typing("")
	err := a.explain(splitView{wire.Errorf(wire.Tampered, "log", "the log of keys of two.example: two.example has signed two")}, about{doing: "add bob@two.example"})
	var f *fault
	if !errors.As(err, &f) || f.what != "cannot add bob@two.example: the log of keys of two.example: two.example has signed two" || !strings.Contains(f.hint, "only the two of you can find out") {
		t.Errorf("got %v, hint %q", err, f.hint)
	}
}

type splitView struct{ error }

func (e splitView) Error() string        { return detail(e.error) }
func (e splitView) Unwrap() error        { return e.error }
func (e splitView) Is(target error) bool { return target == client.ErrSplitView }
