package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A console is where a command reads and writes. Terminals are told from files
// and pipes, since only people at one are asked questions and shown colours.
type console struct {
	in       io.Reader
	out, err io.Writer
	prompt   io.Writer // where questions go
	asks     bool      // in is a terminal: questions can be asked
	shows    bool      // out is a terminal
	showsErr bool      // err is a terminal
	colours  bool      // and it may have colours
	env      func(string) string

	// secret reads a line that is not shown. It is set where asks is.
	secret func(context.Context) ([]byte, error)
	lines  *bufio.Reader // of in, for all questions of one command
}

// systemConsole is the console of this process.
func systemConsole() *console {
	terminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, prompt: os.Stderr, env: os.Getenv}
	c.asks = terminal(os.Stdin)
	if c.asks && !terminal(os.Stderr) { // a question in a log file would be waited for in vain
		if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
			c.prompt = tty
		}
	}
	c.shows, c.showsErr = terminal(os.Stdout), terminal(os.Stderr)
	c.colours = c.shows && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	c.secret = terminalSecret
	return c
}

// terminalSecret reads a line from the terminal without echo, and leaves the
// terminal as it was when ctx ends first.
func terminalSecret(ctx context.Context) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	line, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if ctx.Err() != nil {
		_ = term.Restore(fd, before) // it is what can still be done
	}
	return line, err
}

// interruptible returns what read returns, or the end of ctx if that is
// sooner; read then goes on alone until the process ends.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// ask puts a question and reads the line that answers it.
func (c *console) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(c.prompt, question)
	if c.lines == nil {
		c.lines = bufio.NewReader(c.in)
	}
	line, err := interruptible(ctx, func() (string, error) { return c.lines.ReadString('\n') })
	if err == io.EOF && line != "" {
		err = nil
	}
	return strings.TrimSpace(line), err
}

// askSecret puts a question and reads the line that answers it without showing it.
func (c *console) askSecret(ctx context.Context, question string) ([]byte, error) {
	fmt.Fprint(c.prompt, question)
	line, err := c.secret(ctx)
	fmt.Fprintln(c.prompt)
	return line, err
}

// note tells something that is not the result: it never goes to standard output.
func (c *console) note(format string, args ...any) {
	fmt.Fprintf(c.err, "note: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// next proposes commands to somebody who is looking; scripts do not need them.
func (c *console) next(commands ...string) {
	if !c.shows {
		return
	}
	for i, command := range commands {
		lead := "next:"
		if i > 0 {
			lead = "     "
		}
		fmt.Fprintln(c.err, lead, command)
	}
}

const (
	bold = "1"
	dim  = "2"
)

// styled is s, in a style where the terminal has any.
func (c *console) styled(style, s string) string {
	if !c.colours {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}
