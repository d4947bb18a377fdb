package story_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A theatre is a build of the demo that plays on two ports of its own: those
// that the demo has by default may be in use.
type theatre struct {
	*testing.T
	ports [2]string
	alone string // the node's binary, without that of people beside it
	whole string // the node's binary, with it
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	th := &theatre{T: t}
	var set []string
	for i, name := range []string{"demoLeft", "demoRight"} {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		th.ports[i] = fmt.Sprintf("localhost:%d", port)
		set = append(set, fmt.Sprintf("-X main.%s=%s", name, th.ports[i]))
	}
	alone, whole := t.TempDir(), t.TempDir()
	if err := build(root, alone, "-ldflags", strings.Join(set, " "), "./"+nodeBinary); err != nil {
		t.Fatal(err)
	}
	th.alone, th.whole = filepath.Join(alone, "peerbrain-node"), filepath.Join(whole, "peerbrain-node")
	th.copies(th.alone, th.whole)
	th.copies(filepath.Join(built(t), "peerbrain"), filepath.Join(whole, "peerbrain"))
	return th
}

func (th *theatre) copies(from, to string) {
	th.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o700)
	}
	if err != nil {
		th.Fatal(err)
	}
}

// takes takes the ports of the demo.
func (th *theatre) takes() (release func()) {
	th.Helper()
	var taken []net.Listener
	for _, name := range th.ports {
		l, err := net.Listen("tcp", strings.Replace(name, "localhost", "127.0.0.1", 1))
		if err != nil {
			th.Fatalf("a port of the demo is in use: %v", err)
		}
		taken = append(taken, l)
	}
	return func() {
		for _, l := range taken {
			if err := l.Close(); err != nil {
				th.Error(err)
			}
		}
	}
}

// TestDemo plays the demo, and shows what it says where it cannot be played. Its
// own help still names the ports that it has when nobody sets them.
func TestDemo(t *testing.T) {
	t.Parallel()
	help, err := exec.Command(filepath.Join(built(t), "peerbrain-node"), "demo", "--help").Output()
	if err != nil || !strings.Contains(string(help), "serve on localhost:8081 and localhost:8082") {
		t.Errorf("got %v and %s, want both ports in the help of the demo", err, help)
	}
	th := newTheatre(t)
	th.cannot()
	th.played()
}

// played runs the demo as somebody does who ends it with Ctrl-C after the
// story: all its checks hold, and nothing is left running.
func (th *theatre) played() {
	th.Helper()
	data := filepath.Join(th.TempDir(), "data")
	demo := exec.Command(th.whole, "demo", "--data", data)
	demo.Env = append(bare(), "PEERBRAIN_HOME="+th.TempDir(), "PEERBRAIN_PASSWORD=of somebody else")
	out, err := demo.StdoutPipe()
	if err != nil {
		th.Fatal(err)
	}
	demo.Stderr = demo.Stdout
	if err := demo.Start(); err != nil {
		th.Fatal(err)
	}
	var shown strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		shown.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C ends") {
			if err := demo.Process.Signal(os.Interrupt); err != nil {
				th.Error(err)
			}
		}
	}
	if err := demo.Wait(); err != nil || !strings.Contains(shown.String(), "checks held") || strings.Contains(shown.String(), "✗") {
		th.Errorf("the demo ended with %v:\n%s", err, shown.String())
	}
	if !strings.Contains(shown.String(), th.ports[0]+" serves") {
		th.Errorf("the demo was not played on %s:\n%s", th.ports[0], shown.String())
	}
	for _, port := range th.ports {
		if !strings.Contains(shown.String(), "\n  http://"+port+"/ ") {
			th.Errorf("the demo does not say where %s is in a browser:\n%s", port, shown.String())
		}
	}
	if _, err := os.Stat(data); err != nil {
		th.Errorf("the folder that was named has to stay: %v", err)
	}
	th.takes()() // that they are free again
}

// cannot shows what the demo says where it cannot be played.
func (th *theatre) cannot() {
	th.Helper()
	full := th.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600); err != nil {
		th.Fatal(err)
	}
	release := th.takes()
	th.refused(th.alone, nil, "which is not there; make build")
	th.refused(th.whole, nil, "is another demo running?")
	release()
	th.refused(th.whole, []string{"--data", full}, "is not empty")
}

func (th *theatre) refused(binary string, args []string, want string) {
	th.Helper()
	demo := exec.Command(binary, append([]string{"demo", "--once"}, args...)...)
	demo.Env = bare()
	out, err := demo.CombinedOutput()
	if demo.ProcessState == nil || demo.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
		th.Errorf("got %v and %s, want status 1 and %q", err, out, want)
	}
}
