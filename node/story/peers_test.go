package story_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// decides runs a command of the left operator about other nodes, and returns what
// it says.
func (w *world) decides(words ...string) string {
	w.Helper()
	return w.operates(w.left, append([]string{"admin", "peer", "--data", w.left.data}, words...)...)
}

// refuses runs one that has to fail with these words.
func (w *world) refuses(want string, words ...string) {
	w.Helper()
	out, err := w.tries(w.left, append([]string{"admin", "peer", "--data", w.left.data}, words...)...)
	if err == nil || !strings.Contains(out, want) {
		w.Fatalf("admin peer %q: got %v, %s, want %q", words, err, out, want)
	}
}

// a peerLine is what the operator is told of a node.
type peerLine struct {
	Peer       string `json:"peer"`
	Rule       string `json:"rule"`
	Heard      int64  `json:"heard"`
	Reached    int64  `json:"reached"`
	Deliveries int    `json:"deliveries"`
	Ahead      *int64 `json:"clock_ahead_ms"`
	Software   string `json:"software"`
	Witnessed  uint64 `json:"witnessed"`
	Witnesses  uint64 `json:"witnesses"`

	Quarantined bool `json:"quarantined"`
}

func (w *world) peer(name string) (p peerLine) {
	w.Helper()
	for line := range strings.Lines(w.decides("list", "--json")) {
		var one peerLine
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			w.Fatal(err)
		}
		if one.Peer == name {
			return one
		}
	}
	w.Fatalf("nothing is told of %s", name)
	return p
}

// TestOperatorBlocks lets the operator of one of two nodes block the other while both
// run, by command and by file, with a restart in between. Nobody loses what they had,
// and what could not pass arrives afterwards.
func TestOperatorBlocks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "peers")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# nothing yet\n")
	w := newWorld(t, func(s *server) error {
		s.flags = append(s.flags, "--peers-file", file)
		return nil
	})
	w.plays("ada: register ada@", "bob: register bob@", "eve: register eve@",
		"ada: friend add bob@", "bob: friend accept ada@", "ada: post one", "bob: post eins")
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		p := w.peer(w.right.name)
		if p.Witnessed == 1 && p.Witnesses == 2 { // ada; bob and eve
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the logs of two nodes with one and two people, which cosign each other: got %+v", p)
		}
	}
	w.sees("bob", "ada", "one")
	w.sees("ada", "bob", "eins")
	if p := w.peer(w.right.name); p.Rule != "allow" || p.Heard == 0 || p.Reached == 0 || p.Ahead == nil || !strings.HasPrefix(p.Software, "peerbrain/") {
		t.Errorf("the operator is told %+v", p)
	}

	if out := w.decides("block", w.right.name); !strings.Contains(out, "blocked: "+w.right.name) {
		t.Errorf("got %q", out)
	}
	w.plays("ada: post two", "bob: post zwei")
	w.fails("ada", "the operator of this node has blocked "+w.right.name, "friend", "add", "eve@")
	w.sees("bob", "ada", "one")
	w.sees("ada", "bob", "eins")
	if err := w.left.kill(); err != nil {
		t.Fatal(err)
	}
	w.refuses("no node answers at control.sock", "list")
	if err := w.left.start(); err != nil {
		t.Fatal(err)
	}
	if out := w.decides("rules"); !strings.Contains(out, w.right.name+"  command") {
		t.Errorf("after a restart: %s", out)
	}
	w.sees("ada", "bob", "eins")
	w.refuses("there is no rule about evil.example", "unblock", "evil.example")
	w.refuses(`"Evil_Node" is no name of a node or a domain`, "block", "Evil_Node")
	w.refuses(w.left.name+" is this node", "silence", w.left.name)
	w.decides("unblock", w.right.name)
	w.sees("bob", "ada", "two", "one")
	w.sees("ada", "bob", "zwei", "eins")

	write("block * # but for nobody\n")
	if err := w.left.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(newsArrive); !strings.Contains(w.decides("rules"), file+", line 1"); time.Sleep(nextLook) {
		if time.Now().After(deadline) {
			t.Fatalf("the file was not read again:\n%s", w.left.tail())
		}
	}
	w.refuses("* stands in "+file+", line 1", "unblock", "*")
	write("\nblocked " + w.right.name)
	w.refuses(`peers.file: `+file+`: line 2: "blocked" was found, block, silence or allow was expected`, "reload")
	w.plays("ada: post three")
	w.sees("bob", "ada", "two", "one")
	if p := w.peer(w.right.name); p.Rule != "block" {
		t.Errorf("after a file that is malformed: %+v", p)
	}
	write("")
	if out := w.decides("reload"); !strings.Contains(out, "reloaded: 0 rules") {
		t.Errorf("got %q", out)
	}
	w.sees("bob", "ada", "three", "two", "one")
}

// TestOperatorTrusts begins a node anew under the name it had: it is in quarantine at
// the other until the operator there trusts its new root key, by its spelling alone.
func TestOperatorTrusts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plays("ada: register ada@", "bob: register bob@", "ada: friend add bob@", "bob: friend accept ada@")
	w.refuses(w.right.name+" is not in quarantine", "trust", w.right.name, strings.Repeat("a", 52))
	for _, s := range []*server{w.left, w.right} { // the left one, so that it looks at the other's document again
		if err := s.kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(w.right.data); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*server{w.left, w.right} {
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
	}
	w.plays("eve: register eve@")
	for deadline := time.Now().Add(newsArrive); !w.peer(w.right.name).Quarantined; time.Sleep(nextLook) {
		if _, _, err := w.types("eve", "friend", "add", w.address("ada")); err == nil {
			t.Fatal("a node with another root was believed")
		}
		if time.Now().After(deadline) {
			t.Fatalf("a node with another root is not in quarantine:\n%s", w.left.tail())
		}
	}
	w.refuses("two arguments were expected", "trust", w.right.name)
	w.refuses(`"short" is no root key`, "trust", w.right.name, "short")
	w.refuses(`"Evil_Node" is no name of a node`, "trust", "Evil_Node", strings.Repeat("a", 52))
	out, err := w.tries(w.left, "admin", "peer", "trust", w.right.name, strings.Repeat("a", 52), "--data", w.left.data)
	_, after, _ := strings.Cut(out, "shows the root key ")
	root, _, found := strings.Cut(after, ",")
	if err == nil || !found {
		t.Fatalf("another root: got %v, %s", err, out)
	}
	if out := w.decides("trust", w.right.name, root); !strings.Contains(out, "trusted: "+w.right.name+" with the root key "+root) {
		t.Errorf("got %q", out)
	}
	if w.peer(w.right.name).Quarantined {
		t.Error("it is still in quarantine")
	}
	w.refuses(w.right.name+" is not in quarantine", "trust", w.right.name, root)
	w.plays("fay: register fay@", "eve: friend add fay@", "fay: friend accept eve@", "fay: post one")
	w.sees("eve", "fay", "one")
	// Whoever has seen the log under the first root takes no operator's word for another.
	w.plays("eve: friend add ada@")
	if _, errs, err := w.types("ada", "friend", "accept", w.address("eve")); err == nil || !strings.Contains(errs, "it is signed under another root key than was seen before") {
		t.Errorf("ada accepts eve: %v, %s", err, errs)
	}
}
