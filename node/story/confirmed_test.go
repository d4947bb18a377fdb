package story_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestConfirmedByWitnesses: ada and bob, on two nodes, both have friends on two more. These
// nodes cosign the log of bob's, by themselves, and so ada's device shows his keys as
// confirmed. They stay so on all her devices when the nodes are gone.
func TestConfirmedByWitnesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	third, fourth := w.node("third"), w.node("fourth")
	homes := map[string]*server{"ada": w.left, "bob": w.right, "cid": third, "dot": fourth}
	types := func(device, command string) string {
		t.Helper()
		words := strings.Fields(command)
		for i, word := range words {
			if name, ok := strings.CutSuffix(word, "@"); ok {
				words[i] = word + homes[name].name
			}
		}
		out, errs, err := w.types(device, words...)
		if err != nil {
			t.Fatalf("%s types %q: %v, %s%s", device, command, err, out, errs)
		}
		return out
	}
	until := func(device, command, pattern string) {
		t.Helper()
		want := regexp.MustCompile("(?m)" + pattern)
		for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
			out := types(device, command)
			if want.MatchString(out) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s sees %s, want %s", device, out, pattern)
			}
		}
	}
	befriend := func(a, b string) {
		t.Helper()
		types(a, "friend add "+b+"@")
		until(b, "friend list", `^`+a+`@\S+ +asks you, keys new;`)
		types(b, "friend accept "+a+"@")
		until(a, "friend list", `^`+b+`@\S+ +friend, keys`)
	}
	for who := range homes {
		types(who, "register "+who+"@")
	}
	befriend("ada", "bob")
	if out := types("ada", "friend list"); !strings.Contains(out, "friend, keys pinned") {
		t.Errorf("without witnesses: %s", out)
	}
	for _, who := range []string{"cid", "dot"} {
		befriend("ada", who)
		befriend("bob", who)
	}
	until("ada", "friend list", `^bob@\S+ +friend, keys confirmed$`)
	until("bob", "friend list --json", `"address":"ada@\S+","state":"friend","verified":false,"keys":"confirmed"}$`)
	for _, s := range []*server{w.right, third} {
		if err := s.kill(); err != nil {
			t.Fatal(err)
		}
	}
	until("ada", "friend list", `^bob@\S+ +friend, keys confirmed$`)
	types("ada-2", "login ada@")
	until("ada-2", "friend list", `^bob@\S+ +friend, keys confirmed$`)
	until("ada-2", "friend list", `^cid@\S+ +friend, keys \w+$`)
}
