package story_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakesRepeatNoPassword gives passwords in every wrong way, and wrong ones
// in the right ways. Each command fails, and neither what it prints nor the log of
// the node repeats any of them: terminals are recorded, and logs are sent on.
func TestMistakesRepeatNoPassword(t *testing.T) {
	undetected(t)
	t.Parallel()
	w := newWorld(t)
	ada, nobody := w.address("ada"), w.address("nobody")
	if out, errs, err := w.types("ada", "register", ada); err != nil {
		t.Fatalf("ada registers: %v %s%s", err, out, errs)
	}
	const mistake = "canary-mistake"
	short, long, latin := "canary!", strings.Repeat(mistake, 100), mistake+"\xe9"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(mistake+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env, stdin string
		args       []string
	}{
		{env: mistake, args: []string{"login", ada}},
		{env: mistake, args: []string{"login", nobody}},
		{env: mistake, args: []string{"register", ada}},
		{env: short, args: []string{"register", nobody}},
		{env: long, args: []string{"login", ada}},
		{env: latin, args: []string{"register", nobody}},
		{stdin: mistake + "\n", args: []string{"login", ada, "--password-file", "-"}},
		{stdin: latin, args: []string{"register", nobody, "--password-file", "-"}},
		{stdin: strings.Repeat(long, 9), args: []string{"login", ada, "--password-file", "-"}},
		{args: []string{"login", ada, "--password-file", file}},
		{args: []string{"register", nobody, "--password-file", filepath.Dir(file)}},
		{args: []string{"login", ada, mistake}},
		{args: []string{"register", nobody, mistake}},
		{args: []string{"login", ada, "--password", mistake}},
		{args: []string{"login", ada, "--password=" + mistake}},
		{args: []string{"register", nobody, "-p", mistake}},
		{args: []string{"register", nobody, "-p" + mistake}},
		{args: []string{"logout", mistake}},
		{args: []string{"whoami", mistake}},
		{args: []string{"feed", mistake}},
		{args: []string{"friend", "list", mistake}},
		{args: []string{"friend", "add", ada, mistake}},
		{args: []string{"read", ada, mistake}},
	} {
		out := w.mistakes(test.env, test.stdin, test.args)
		if strings.Contains(strings.ToLower(out), "canary") {
			t.Errorf("peerbrain %q repeats a password: %s", test.args, out)
		}
	}
	for _, s := range []*server{w.left, w.right} {
		if log := string(w.contents(s.log)); strings.Contains(log, "canary") || !strings.Contains(log, s.name) {
			t.Errorf("the log of %s holds a password, or nothing: %s", s.name, log)
		}
	}
}

// mistakes runs a command at a home of its own, wants it to fail, and returns all
// that it prints.
func (w *world) mistakes(env, stdin string, args []string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), newsArrive)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "peerbrain"), args...)
	cmd.Env = append(bare(), "PEERBRAIN_HOME="+w.TempDir(), "PEERBRAIN_PASSWORD="+env)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err == nil || len(out) == 0 || ctx.Err() != nil {
		w.Errorf("peerbrain %q: got %v and %s, want it to fail and to say why", args, err, out)
	}
	return string(out)
}
