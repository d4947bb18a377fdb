package story_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// demoPorts are where the demo serves, as its help says.
var demoPorts = []string{"127.0.0.1:8081", "127.0.0.1:8082"}

// takePorts takes the demo's ports, and says whether they were free.
func takePorts(t *testing.T) (release func(), free bool) {
	t.Helper()
	var taken []net.Listener
	free = true
	for _, port := range demoPorts {
		l, err := net.Listen("tcp", port)
		if err != nil {
			free = false
			continue
		}
		taken = append(taken, l)
	}
	return func() {
		for _, l := range taken {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}, free
}

// TestDemo has one test after the other, since they share the demo's ports.
func TestDemo(t *testing.T) {
	t.Parallel()
	t.Run("cannot", demoCannot)
	t.Run("played", demoPlayed)
}

// demoPlayed runs the demo as somebody does who ends it with Ctrl-C after the
// story: all its checks hold, and nothing is left running.
func demoPlayed(t *testing.T) {
	release, free := takePorts(t)
	release()
	if !free {
		t.Skip("the ports of the demo are in use")
	}
	data := filepath.Join(t.TempDir(), "data")
	demo := exec.Command(filepath.Join(built(t), "peerbrain-node"), "demo", "--data", data)
	demo.Env = append(bare(), "PEERBRAIN_HOME="+t.TempDir(), "PEERBRAIN_PASSWORD=of somebody else")
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	demo.Stderr = demo.Stdout
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		shown.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "Ctrl-C ends") {
			if err := demo.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	if err := demo.Wait(); err != nil || !strings.Contains(shown.String(), "checks held") || strings.Contains(shown.String(), "✗") {
		t.Errorf("the demo ended with %v:\n%s", err, shown.String())
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("the folder that was named has to stay: %v", err)
	}
	release, free = takePorts(t)
	release()
	if !free {
		t.Error("after the demo its ports are still in use")
	}
}

// demoCannot shows what the demo says where it cannot be played.
func demoCannot(t *testing.T) {
	alone := filepath.Join(t.TempDir(), "peerbrain-node")
	if err := os.Link(filepath.Join(built(t), "peerbrain-node"), alone); err != nil {
		t.Skip(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release, _ := takePorts(t)
	cannot(t, alone, nil, "which is not there; make build")
	cannot(t, filepath.Join(built(t), "peerbrain-node"), nil, "is another demo running?")
	release()
	release, free := takePorts(t)
	release()
	if free {
		cannot(t, filepath.Join(built(t), "peerbrain-node"), []string{"--data", full}, "is not empty")
	}
}

func cannot(t *testing.T, binary string, args []string, want string) {
	t.Helper()
	demo := exec.Command(binary, append([]string{"demo", "--once"}, args...)...)
	demo.Env = bare()
	out, err := demo.CombinedOutput()
	if demo.ProcessState == nil || demo.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
		t.Errorf("got %v and %s, want status 1 and %q", err, out, want)
	}
}
