package story_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A keptPast is what recover --into writes.
type keptPast struct {
	Address, Account string
	Statements       []string
	Friends          []string
	texts            []string
}

// pastIn reads such a file, whose lines have to be in order.
func (w *world) pastIn(file string) (p keptPast) {
	w.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		w.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		w.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &p); err != nil {
		w.Fatal(err)
	}
	last := ""
	for _, line := range lines[1:] {
		var post struct {
			ID, Author, Audience, Created, Text string
			Seq                                 int
		}
		err := json.Unmarshal([]byte(line), &post)
		if err != nil || post.Author != p.Address || post.Seq == 0 || post.Created < last || len(post.ID) != 52 || len(post.Audience) != 52 {
			w.Errorf("got the line %s, %v", line, err)
		}
		p.texts, last = append(p.texts, post.Text), post.Created
	}
	return p
}

var safetyHalf = regexp.MustCompile(`[0-9]{5}( [0-9]{5}){5}`)

// TestRecoverPast: the home of ada is gone, process and data. With her recovery code alone,
// on a device that knows nothing, the nodes of her friends give her keys and her past back:
// what she wrote before there was any friend, and after a friendship ended. None of them
// gives it to another code.
func TestRecoverPast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	far := w.node("far")
	cleo := "cleo@" + far.name
	out, errs, err := w.types("ada", "register", w.address("ada"), "--json")
	var made struct {
		Account string `json:"account"`
		Code    string `json:"recovery_code"`
	}
	if err != nil || json.Unmarshal([]byte(out), &made) != nil {
		t.Fatalf("register: %v, %s%s", err, out, errs)
	}
	if out, errs, err := w.types("cleo", "register", cleo); err != nil {
		t.Fatalf("register: %v, %s%s", err, out, errs)
	}
	w.plays("ada: post before-all", "bob: register bob@", "eve: register eve@", "bob: post bobs",
		"ada: friend add bob@", "bob: friend accept ada@", "ada: friend add eve@", "eve: friend accept ada@", "ada: post with-bob",
		"ada: friend remove eve@", "ada: post without-eve", "ada: friend add "+cleo, "cleo: friend accept ada@", "ada: post with-cleo")
	w.sees("cleo", "ada", "with-cleo", "without-eve", "with-bob", "before-all")
	var compared struct {
		Number string `json:"safety_number"`
	}
	out, errs, err = w.types("bob", "friend", "verify", w.address("ada"), "--json")
	if err != nil || json.Unmarshal([]byte(out), &compared) != nil || len(compared.Number) < 60 {
		t.Fatalf("friend verify: %v, %s%s", err, out, errs)
	}
	if err := far.kill(); err != nil {
		t.Fatal(err)
	}
	w.plays("ada: post the-last")
	w.sees("bob", "ada", "the-last", "with-cleo", "without-eve", "with-bob", "before-all")
	for _, err := range []error{w.left.kill(), os.RemoveAll(w.left.data), far.start()} {
		if err != nil {
			t.Fatal(err)
		}
	}

	sheet := func(code string) string {
		file := filepath.Join(t.TempDir(), "sheet")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	device := 1
	recovers := func(code, from, into string, flags ...string) (out, errs string, err error) {
		device++
		words := []string{"recover", w.address("ada"), "--from", from, "--into", into, "--recovery-code-file", sheet(code)}
		return w.types("ada-"+string(rune('0'+device)), append(words, flags...)...)
	}
	all := []string{"before-all", "with-bob", "without-eve", "with-cleo", "the-last"}
	for _, test := range []struct {
		from    string
		want    []string
		friends []string
		says    string
	}{
		{w.right.name, all, []string{w.address("bob")}, w.right.name + " has 7 entries, as of "},
		{far.name, all[:4], []string{cleo}, far.name + " has 6 entries, as of "},
		{far.name + "," + w.right.name, all, []string{w.address("bob"), cleo}, ""},
	} {
		into := filepath.Join(t.TempDir(), "past.jsonl")
		out, errs, err := recovers(made.Code, test.from, into)
		half := safetyHalf.FindString(out)
		if err != nil || half == "" || !strings.Contains(compared.Number, half) || !strings.Contains(errs, test.says) || strings.Contains(errs, "missing") {
			t.Fatalf("from %s: %v, %s%s", test.from, err, out, errs)
		}
		p := w.pastIn(into)
		if p.Address != w.address("ada") || p.Account != made.Account || len(p.Statements) != 1 || !slices.Equal(p.texts, test.want) || !slices.Equal(p.Friends, test.friends) {
			t.Errorf("from %s: got %+v, want %q of %s, friend of %q", test.from, p, test.want, made.Account, test.friends)
		}
		before, err := os.ReadFile(into)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs, err := recovers(made.Code, test.from, into); err == nil || !strings.Contains(errs, "is there already, and nothing is written over it") {
			t.Errorf("over a file: %v, %s", err, errs)
		}
		if after, err := os.ReadFile(into); err != nil || !slices.Equal(after, before) {
			t.Errorf("the file is another one: %v", err)
		}
	}

	// One of two nodes is no more, and with --json it is said for scripts.
	if err := far.kill(); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "past.jsonl")
	out, errs, err = recovers(made.Code, far.name+","+w.right.name, into, "--json")
	var said struct {
		Account, File string
		Half          string `json:"safety_number_half"`
		Posts         int
		Nodes         []struct {
			Node, Problem string
			Entries       int
		}
		Missing, Problems []any
	}
	if err != nil || json.Unmarshal([]byte(out), &said) != nil || said.Account != made.Account || said.File != into || said.Posts != 5 || !strings.Contains(compared.Number, said.Half) || said.Half == "" ||
		len(said.Nodes) != 2 || said.Nodes[0].Problem == "" || said.Nodes[1].Entries != 7 || len(said.Missing)+len(said.Problems) > 0 {
		t.Errorf("got %v, %s%s", err, out, errs)
	}

	// Nothing for another code, from a node that knows nobody, or where nobody answers.
	for _, test := range []struct{ code, from, says string }{
		{"6R8X-3JTF-99WD-9FGR-ZN1E-SK1W-YSVQ-CXJ2-K1K7", w.right.name, "has anything of " + w.address("ada") + " for this recovery code"},
		{made.Code, far.name, "cannot recover the past of"},
	} {
		into := filepath.Join(t.TempDir(), "past.jsonl")
		out, errs, err := recovers(test.code, test.from, into)
		if err == nil || out != "" || !strings.Contains(errs, test.says) {
			t.Errorf("from %s: %v, %s%s", test.from, err, out, errs)
		}
		if _, err := os.Stat(into); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file is there: %v", err)
		}
		if list, err := os.ReadDir(filepath.Dir(into)); err != nil || len(list) > 0 {
			t.Errorf("something is left in the folder: %v, %v", list, err)
		}
	}
}
