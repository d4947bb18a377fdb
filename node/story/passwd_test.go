package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	passwdList  = "testdata/crash/passwd.txt"
	underPasswd = "passwd" // a new password, whatever the command
)

// TestPasswordKilled changes a password, a recovery code or both while the node is killed,
// once at each place that there is, now by the old password and now by the recovery code. Whatever
// comes of it, exactly one of the old and the new password opens the
// account, and one of the two codes, the session of the other device goes on only if these are the old ones, and the
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
	k.code = recoveryCode.FindString(k.must("ada", k.words[0], "register", k.address("ada")))
	k.must("ada", k.words[0], "post", "hello")
	k.must("ada-2", k.words[0], "login", k.address("ada"))
	ways := []killedChange{
		{words: []string{"passwd"}, password: true},
		{words: []string{"recover", k.address("ada"), "--recovery-code-file"}, password: true, code: true},
		{words: []string{"recover", "--renew", "--recovery-code-file"}, code: true},
	}
	for _, p := range points {
		for pass := range max(p.passes, len(ways)) { // a place that is passed once is tried in all ways
			c := ways[pass%len(ways)]
			if !c.code && strings.HasPrefix(p.name, "passwd-statement-") {
				continue
			}
			t.Run(fmt.Sprint(c.words[:min(2, len(c.words))], " ", p.name, " ", pass+1), func(t *testing.T) {
				k.TB = t
				k.killedAt(p, min(pass+1, p.passes), c)
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
		t.Errorf("after %d deaths the old ones opened, after %d the new ones", k.old, k.anew)
	}
}

// recoveryCode is what a code looks like.
var recoveryCode = regexp.MustCompile(`\b[0-9A-Z]{4}(-[0-9A-Z]{4}){8}\b`)

// killedChange is what is changed; the file of the code follows the words.
type killedChange struct {
	words          []string
	password, code bool
}

// killedPasswd is ada, on two devices.
type killedPasswd struct {
	*world
	words     [2]string // the present password and the next
	deaths    map[string]int
	old, anew int // what opened after a death
	homes     int
	code      string // the present one
}

// sheet is a file with a code.
func (k *killedPasswd) sheet(code string) string {
	file := filepath.Join(k.dir, "sheet")
	must(0, os.WriteFile(file, []byte(code), 0o600))
	return file
}

// changes does it, and returns the code that is shown, if one is.
func (k *killedPasswd) changes(c killedChange) (shown string, err error) {
	k.Helper()
	word := k.words[0]
	if c.password && c.code {
		word = k.words[1]
	}
	command := c.words
	if c.code {
		command = append(slices.Clone(command), k.sheet(k.code))
	}
	out, err := k.tries("ada", word, command...)
	if err != nil {
		err = fmt.Errorf("%q: %w, %s", command, err, out)
	}
	return recoveryCode.FindString(out), err
}

// isCode reports whether a code opens the account.
func (k *killedPasswd) isCode(code string) bool {
	k.Helper()
	out, err := k.tries("ada", "", "recover", "--check", "--recovery-code-file", k.sheet(code))
	if err != nil && !strings.Contains(out, "the recovery code of") {
		k.Fatalf("the code is checked: %v, %s", err, out)
	}
	return err == nil
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

func (k *killedPasswd) killedAt(p failpoint, pass int, c killedChange) {
	must(0, k.left.stop())
	k.left.env = []string{fmt.Sprintf("%s=%s:%d", failpointVariable, p.name, pass)}
	must(0, k.left.begin())
	shown := ""
	died := k.left.serves() != nil // in the start
	if !died {
		var err error
		shown, err = k.changes(c)
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
	byOld, byNew := k.isCode(k.code), shown != "" && k.isCode(shown)
	if old == anew || byOld == byNew || c.password && c.code && anew != byNew || !c.password && anew || !c.code && byNew {
		k.Fatalf("the old password opens: %v, the new one: %v; the old code: %v, the new one: %v", old, anew, byOld, byNew)
	}
	taken := anew || byNew
	if died && taken {
		k.anew++
	} else if died {
		k.old++
	}
	if out, err := k.tries("ada-2", "", "sessions"); (err != nil) != taken || err != nil && !strings.Contains(out, "has ended") {
		k.Errorf("the change was taken: %v, and the other device gets %v, %s", taken, err, out)
	}
	if !c.code || died {
		again, err := k.changes(c)
		if err != nil {
			k.Fatal(err)
		}
		if c.code && shown != "" && again != shown {
			k.Errorf("again, and another code is shown")
		}
		shown = again
	}
	if c.code {
		if k.isCode(k.code) || !k.isCode(shown) {
			k.Fatal("again: the old code opens, or the new one does not")
		}
		k.code = shown
	}
	if c.password {
		if k.opens(k.words[0]) || !k.opens(k.words[1]) {
			k.Fatal("again: the old password opens, or the new one does not")
		}
		slices.Reverse(k.words[:])
	}
	k.must("ada", "", "post", "hello")
	if out, err := k.tries("ada-2", "", "feed"); err == nil {
		k.Errorf("the session of the other device goes on: %s", out)
	}
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
