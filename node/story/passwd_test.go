package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	passwdList  = "testdata/crash/passwd.txt"
	underPasswd = "passwd" // a new password, whatever the command
)

// TestPasswordKilled changes a password while the node is killed, once at each place
// that there is, now by the old password and now by the recovery code. Whatever comes of it, exactly one of the old and the new one opens the
// account, the session of the other device goes on only if it is the old one, and the
// same command again ends the matter.
func TestPasswordKilled(t *testing.T) {
	undetected(t)
	t.Parallel()
	points := failpointsIn(t, passwdList)
	k := &killedPasswd{world: &world{TB: t, dir: t.TempDir(), bin: built(t)}, words: [2]string{"canary-password-one", "canary-password-two"}}
	k.left = must(newServer(buildCrash(t, points, changesOf(t, apartList)...), k.dir, "left"))
	must(0, k.left.start())
	t.Cleanup(func() {
		must(0, k.left.kill())
		if t.Failed() {
			t.Logf("log of the node:\n%s", k.left.tail())
		}
	})
	k.sheet = filepath.Join(k.dir, "sheet")
	code := changes.FindString(k.must("ada", k.words[0], "register", k.address("ada")))
	must(0, os.WriteFile(k.sheet, []byte(code), 0o600))
	k.must("ada", k.words[0], "post", "hello")
	k.must("ada-2", k.words[0], "login", k.address("ada"))
	for _, p := range points {
		for pass := range p.passes {
			k.turns++
			command := [][]string{{"passwd"}, {"recover", k.address("ada"), "--recovery-code-file", k.sheet}}[k.turns%2]
			t.Run(fmt.Sprint(command[0], " ", p.name, " ", pass+1), func(t *testing.T) {
				k.TB = t
				k.killedAt(p, pass+1, command)
			})
		}
	}
	k.TB = t
	for _, p := range points {
		if k.deaths[p.name] == 0 {
			t.Errorf("the node did not die at %s", p.name)
		}
	}
	if k.old == 0 || k.anew == 0 {
		t.Errorf("after %d deaths the old password opened, after %d the new one", k.old, k.anew)
	}
}

// killedPasswd is ada, on two devices.
type killedPasswd struct {
	*world
	words     [2]string // the present password and the next
	deaths    map[string]int
	old, anew int // what opened after a death
	homes     int
	sheet     string // file of the recovery code
	turns     int
}

// changes gives the account the next password.
func (k *killedPasswd) changes(command []string) error {
	k.Helper()
	word := k.words[0]
	if command[0] == "recover" {
		word = k.words[1]
	}
	out, err := k.tries("ada", word, command...)
	if err != nil {
		return fmt.Errorf("%q: %w, %s", command, err, out)
	}
	return nil
}

// tries runs a command with passwords.
func (k *killedPasswd) tries(who, word string, args ...string) (string, error) {
	k.Helper()
	k.env = []string{"PEERBRAIN_PASSWORD=" + word, "PEERBRAIN_NEW_PASSWORD=" + k.words[1]}
	out, errs, err := k.types(who, args...)
	return out + errs, err
}

func (k *killedPasswd) must(who, word string, args ...string) string {
	k.Helper()
	out, err := k.tries(who, word, args...)
	if err != nil {
		k.Fatalf("%s types %q: %v, %s", who, args, err, out)
	}
	return out
}

// opens reports whether a password opens the account on a device that is new.
func (k *killedPasswd) opens(word string) bool {
	k.Helper()
	k.homes++
	who := fmt.Sprintf("ada-new%d", k.homes)
	out, err := k.tries(who, word, "login", k.address("ada"))
	if err != nil && !strings.Contains(out, "name or password is wrong") {
		k.Fatalf("log-in: %v, %s", err, out)
	}
	if err == nil {
		if out, err = k.tries(who, word, "feed"); err != nil || !strings.Contains(out, "hello") {
			k.Errorf("the feed is %q, %v", out, err)
		}
	}
	return err == nil
}

func (k *killedPasswd) killedAt(p failpoint, pass int, command []string) {
	must(0, k.left.stop())
	k.left.env = []string{fmt.Sprintf("%s=%s:%d", failpointVariable, p.name, pass)}
	must(0, k.left.begin())
	died := k.left.serves() != nil // in the start
	if !died {
		err := k.changes(command)
		if died = err != nil; !died && k.left.cmd != nil {
			k.Logf("the place was not reached")
		}
	}
	if died {
		k.deaths = counted(k.deaths, p.name)
		must(0, k.left.kill())
	} else {
		must(0, k.left.stop())
	}
	k.left.env = nil
	must(0, k.left.start())

	old, anew := k.opens(k.words[0]), k.opens(k.words[1])
	if old == anew {
		k.Fatalf("the old password opens: %v, the new one: %v", old, anew)
	}
	if died && old {
		k.old++
	} else if died {
		k.anew++
	}
	if out, err := k.tries("ada-2", "", "sessions"); (err == nil) != old || err != nil && !strings.Contains(out, "has ended") {
		k.Errorf("the old password opens: %v, and the other device gets %v, %s", old, err, out)
	}
	if err := k.changes(command); err != nil {
		k.Fatal(err)
	}
	if k.opens(k.words[0]) || !k.opens(k.words[1]) {
		k.Fatal("again: the old password opens, or the new one does not")
	}
	k.must("ada", "", "post", "hello")
	if out, err := k.tries("ada-2", "", "feed"); err == nil {
		k.Errorf("the session of the other device goes on: %s", out)
	}
	slices.Reverse(k.words[:])
	k.must("ada-2", k.words[0], "login", k.address("ada"))
	for n := range k.homes {
		must(0, os.RemoveAll(k.home(fmt.Sprintf("ada-new%d", n+1))))
	}
}

func counted(m map[string]int, name string) map[string]int {
	if m == nil {
		m = map[string]int{}
	}
	m[name]++
	return m
}
