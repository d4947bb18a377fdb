package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Deadlines of the demo. Nothing waits this long unless it fails.
const (
	nodeStarts   = 20 * time.Second
	nodeEnds     = 10 * time.Second
	newsArrive   = 30 * time.Second
	betweenLooks = 100 * time.Millisecond
)

// A stage is where the demo takes place: child processes that are nodes, and
// one home for each person.
type stage struct {
	dir       string
	peerbrain string // path of the binary
	out       io.Writer
	colours   bool
	children  []*child
	checks    int
	failed    []string
}

// A child is a node in a process of its own.
type child struct {
	name string // such as localhost:8081
	data string
	log  *os.File
	stop context.CancelFunc
	end  chan struct{} // closed when the process has ended
	err  error         // of the process, once end is closed
}

// portsFree says which of the nodes' ports is in use.
func portsFree(nodes []string) error {
	for _, name := range nodes {
		l, err := net.Listen("tcp", loopback(name))
		if err != nil {
			return fmt.Errorf("the demo needs %s, and cannot have it (%w); is another demo running?", name, err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// loopback is where a development node listens.
func loopback(name string) string { return "127.0.0.1" + strings.TrimPrefix(name, "localhost") }

// startNode starts a node as a child of this process and waits until it serves.
func (st *stage) startNode(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	folder := "node-" + strings.ReplaceAll(name, ":", "-")
	c := &child{name: name, data: filepath.Join(st.dir, folder), end: make(chan struct{})}
	if c.log, err = os.OpenFile(filepath.Join(st.dir, folder+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	args := []string{"serve", "--dev", "--name", name, "--listen", loopback(name), "--data", c.data}
	st.command("", "peerbrain-node", args)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	cmd := exec.CommandContext(life, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = nodeEnds
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.Env = withoutOurs(os.Environ())
	if err := cmd.Start(); err != nil {
		stop()
		return errors.Join(err, c.log.Close())
	}
	st.children = append(st.children, c)
	go func() {
		c.err = cmd.Wait()
		close(c.end)
	}()
	return c.serves(ctx)
}

// serves waits until the node answers.
func (c *child) serves(ctx context.Context) error {
	deadline := time.Now().Add(nodeStarts)
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.name+"/healthz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = answer.Body.Close() // only the status counts
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.end:
			return fmt.Errorf("the node %s has ended (%v): %s", c.name, c.err, c.lastWords())
		case <-time.After(betweenLooks):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the node %s does not serve after %s: %w", c.name, nodeStarts, err)
		}
	}
}

// lastWords is the end of the node's log.
func (c *child) lastWords() string {
	log, err := os.ReadFile(c.log.Name())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(log[max(0, len(log)-2000):]))
}

// close ends the nodes, kindly at first.
func (st *stage) close() (err error) {
	for _, c := range st.children {
		c.stop()
	}
	for _, c := range st.children {
		<-c.end // comes within nodeEnds, since the process is killed then
		err = errors.Join(err, c.log.Close())
	}
	return err
}

// home is the PEERBRAIN_HOME of one person.
func (st *stage) home(who string) string { return filepath.Join(st.dir, who) }

// password is that of one person of the demo, on whatever device.
func password(who string) string {
	name, _, _ := strings.Cut(who, "-")
	return "the password of " + name
}

// types runs the peerbrain command as who and returns what it printed.
func (st *stage) types(ctx context.Context, who string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, st.peerbrain, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = nodeEnds
	cmd.Env = append(withoutOurs(os.Environ()), "PEERBRAIN_HOME="+st.home(who), "PEERBRAIN_PASSWORD="+password(who), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// withoutOurs drops the settings that are meant for others than the demo's processes.
func withoutOurs(env []string) (rest []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "PEERBRAIN_") {
			rest = append(rest, v)
		}
	}
	return rest
}

func (st *stage) say(format string, args ...any) { fmt.Fprintf(st.out, format+"\n", args...) }

// command shows a command as it is typed.
func (st *stage) command(who, name string, args []string) {
	words := []string{name}
	for _, arg := range args {
		words = append(words, shellWord(arg))
	}
	st.say("  %s %s", st.styled("1", strings.TrimSpace(who+" $")), strings.Join(words, " "))
}

// answer shows what a command printed.
func (st *stage) answer(out string) {
	for line := range strings.Lines(out) {
		st.say("  %s %s", st.styled("2", "|"), strings.TrimRight(line, "\n"))
	}
}

// check shows whether something holds, and remembers if it does not.
func (st *stage) check(holds bool, format string, args ...any) {
	st.checks++
	what := fmt.Sprintf(format, args...)
	if holds {
		st.say("  %s %s", st.styled("32", "✓"), what)
		return
	}
	st.failed = append(st.failed, what)
	st.say("  %s %s", st.styled("31", "✗"), what)
}

func (st *stage) styled(style, s string) string {
	if !st.colours {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// colourful tells whether w is a terminal that wants colours.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
