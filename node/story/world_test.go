package story_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// Deadlines of the stories: what takes longer has failed.
const (
	nodeStarts = 30 * time.Second
	newsArrive = 60 * time.Second
	nextLook   = 100 * time.Millisecond
	startLook  = 2 * time.Millisecond // a node starts in 14 ms
)

func TestMain(m *testing.M) {
	if page := os.Getenv(plainVariable); page != "" {
		servePlain(page)
	}
	goleak.VerifyTestMain(mongotest.M{M: m}, goleak.Cleanup(func(status int) {
		if dir := binaries.dir; dir != "" {
			_ = os.RemoveAll(dir) // a leftover in the temporary folder fails nothing
		}
		os.Exit(status)
	}))
}

// binaries are both commands, built once for all stories that ask for them.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

// built returns the folder of both commands, made as by `make build`.
func built(t testing.TB) string {
	t.Helper()
	b := &binaries
	b.once.Do(func() {
		var root string
		if root, b.err = houseRoot(); b.err != nil {
			return
		}
		if b.dir, b.err = os.MkdirTemp("", "peerbrain-story-"); b.err != nil {
			return
		}
		b.err = build(root, b.dir, slices.Concat(detector, []string{"-tags", "nethttpomithttp2", "-trimpath", "-ldflags", "-s -w", "./" + nodeBinary, "./" + peerBinary})...) // as make build does
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.dir
}

// build puts binaries of the repository into dir; args are what go build takes.
func build(root, dir string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, args...)...)
	cmd.Dir, cmd.Env = root, os.Environ()
	if !slices.Contains(args, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// A server is a node in a process of its own, which can be killed and started
// again.
type server struct {
	name   string // localhost:port
	listen string // 127.0.0.1:port, of another port where something stands in between
	bin    string
	data   string
	log    string // path
	env    []string
	flags  []string // of serve, beside the usual
	args   []string // of the command, instead of serve and its flags
	dir    string   // where it runs, if not here
	moves  func()   // gives it an empty place for its records, if that is not the data folder

	cmd  *exec.Cmd
	end  chan error               // what Wait returned
	dial func() (net.Conn, error) // how members who watch connect; nil for plain HTTP
}

// newServer reserves a name for a node that lies in dir.
func newServer(bin, dir, name string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return &server{
		name: fmt.Sprintf("localhost:%d", port), listen: fmt.Sprintf("127.0.0.1:%d", port), bin: bin,
		data: filepath.Join(dir, name), log: filepath.Join(dir, name+".log"),
	}, nil
}

var ports = struct {
	sync.Mutex
	taken map[int]bool
}{taken: make(map[int]bool)}

// freePort finds a port below those that systems hand out by themselves, so
// that it is still free when a killed node wants it back.
func freePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if ports.taken[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		ports.taken[port] = true
		return port, nil
	}
	return 0, errors.New("no free port found")
}

// start runs the node and waits until it serves.
func (s *server) start() error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.serves()
}

// begin runs the node.
func (s *server) begin() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	args := s.args
	if args == nil {
		args = append([]string{"serve", "--dev", "--name", s.name, "--listen", s.listen, "--data", s.data}, s.flags...)
	}
	s.cmd = exec.Command(filepath.Join(s.bin, "peerbrain-node"), args...)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(bare(), s.env...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.end = make(chan error, 1)
	go func(cmd *exec.Cmd, end chan<- error) { end <- cmd.Wait() }(s.cmd, s.end)
	return nil
}

func (s *server) serves() error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: nodeStarts}
	for deadline := time.Now().Add(nodeStarts); time.Now().Before(deadline); {
		answer, err := client.Get("http://" + s.listen + "/healthz")
		if err == nil {
			_ = answer.Body.Close() // only the status counts
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-s.end:
			s.cmd = nil
			return fmt.Errorf("node %s ended: %w\n%s", s.name, err, s.tail())
		case <-time.After(startLook):
		}
	}
	return fmt.Errorf("node %s does not serve after %s\n%s", s.name, nodeStarts, s.tail())
}

// kill ends the node as a power cut would.
func (s *server) kill() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.end
	s.cmd = nil
	return nil
}

// stop ends the node as its operator would, and wants it to end well.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	cmd := s.cmd
	s.cmd = nil
	select {
	case err := <-s.end:
		if err != nil {
			return fmt.Errorf("node %s ended badly: %w\n%s", s.name, err, s.tail())
		}
		return nil
	case <-time.After(nodeStarts):
		_ = cmd.Process.Kill() // it is what can still be done
		return fmt.Errorf("node %s does not end", s.name)
	}
}

// tail is the end of the node's log.
func (s *server) tail() string {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-4000):])
}

// bare is the environment without what is meant for other people and nodes. A process
// that is looked at by the race detector ends with the first race.
func bare() (env []string) {
	env = append(env, "GORACE=halt_on_error=1")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PEERBRAIN_") {
			env = append(env, v)
		}
	}
	return env
}

// A world is two nodes and the people on them.
type world struct {
	testing.TB
	dir         string
	bin         string
	left, right *server
	env         []string        // of the people's commands
	typed       func(command)   // is told of each, if not nil
	anew        map[string]bool // whose password is another by now
}

// A command is one that somebody typed, and what it printed.
type command struct {
	who            string
	args           []string
	stdout, stderr string
}

// newWorld starts two nodes, which end with the test. Each is first given to
// arrange, which may put something in front of it.
func newWorld(t testing.TB, arrange ...func(*server) error) *world {
	w := &world{TB: t, dir: t.TempDir(), bin: built(t)}
	w.left, w.right = w.node("left", arrange...), w.node("right", arrange...)
	return w
}

// node starts a node, which lies in a folder of that name and ends with the test.
func (w *world) node(name string, arrange ...func(*server) error) *server {
	w.Helper()
	s, err := newServer(w.bin, w.dir, name)
	for _, do := range append(slices.Clone(arrange), (*server).start) {
		if err == nil {
			err = do(s)
		}
	}
	if err != nil {
		w.Fatal(err)
	}
	t := w.TB // that of the whole test, whatever is set later
	t.Cleanup(func() {
		if err := s.kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.name, s.tail())
		}
	})
	return s
}

// address is where a person of the stories is found.
func (w *world) address(who string) string {
	if who == "bob" || who == "eve" {
		return who + "@" + w.right.name
	}
	return who + "@" + w.left.name
}

func (w *world) home(who string) string { return filepath.Join(w.dir, "home-"+who) }

// password is that of a person, on whatever device: ada and ada-2 share one.
func password(who string) string {
	return "canary-password-of-" + person(who)
}

// newPassword is what takes its place.
func newPassword(who string) string { return password(who) + "-anew" }

// passwordOf is the password of the moment.
func (w *world) passwordOf(who string) string {
	if w.anew[person(who)] {
		return newPassword(who)
	}
	return password(who)
}

// person is who uses a device: ada-2 is another one of ada.
func person(device string) string {
	name, _, _ := strings.Cut(device, "-")
	return name
}

// types runs peerbrain as who, and returns both outputs.
func (w *world) types(who string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), newsArrive)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "peerbrain"), args...)
	cmd.Env = append(append(bare(), "PEERBRAIN_HOME="+w.home(who), "PEERBRAIN_PASSWORD="+w.passwordOf(who), "PEERBRAIN_NEW_PASSWORD="+newPassword(who)), w.env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if w.typed != nil {
		w.typed(command{who, cmd.Args, out.String(), errs.String()})
	}
	return out.String(), errs.String(), err
}
