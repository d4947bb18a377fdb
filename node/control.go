package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// The process that serves a node has its embedded store to itself, and knows what
// it noticed of other nodes. So it listens at a socket in the data folder, where its
// operator's other commands ask for what only it can give. Who connects has to be
// the same user, or root.
//
// Whoever connects says one line. The answer is "ok\n" and what was asked for, or
// "no ", the reason and "\n". What was asked for: of "backup" an archive (package
// archive), whose end proves that it is whole; of "rotate" a line of the node's name
// and of two times, in ms since 1970: when the new key signs, and when the old one
// ends; of "rotate root" a line of JSON; of "peer ..." (admin.go) JSON.
const (
	controlFile       = "control.sock"
	controlBackup     = "backup"
	controlRotate     = "rotate"
	controlRotateRoot = "rotate root"
	controlAtOnce     = 4                // connections
	controlTimeout    = 5 * time.Second  // for the request
	controlStalled    = 30 * time.Second // for somebody to take what was sent
	controlEnding     = time.Second      // for a backup that nobody reads any more to end
	maxControlLine    = 8 << 10
)

var errUnknownRequest = errors.New("this release of peerbrain-node does not know the request")

// A control serves the control socket.
type control struct {
	listener net.Listener
	node     *Node
	own      store.Store // nil if it is not copied here
	log      *slog.Logger
	stop     context.CancelFunc
	places   chan struct{}
	copying  chan struct{} // has room for one backup
	work     sync.WaitGroup
}

// openControl begins to serve the socket of a data folder that this process has
// to itself, until close.
func openControl(dir string, n *Node, own store.Store, log *slog.Logger) (*control, error) {
	path := filepath.Join(dir, controlFile)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if conn, err := net.Dial("unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("another process answers at %s; choose a folder of its own for each with --data", path), conn.Close())
		}
		if err := os.Remove(path); err != nil { // of a process that was killed
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, controlError(path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &control{listener: l, node: n, own: own, log: log, stop: stop, places: make(chan struct{}, controlAtOnce), copying: make(chan struct{}, 1)}
	c.work.Go(func() { c.accept(ctx) })
	return c, nil
}

// controlError says what is wrong with a path that a socket cannot have.
func controlError(path string, err error) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path %s has %d bytes, and a socket's at most %d; choose a shorter folder with --data", path, len(path), maxSocketPath)
	}
	return err
}

// close ends what is under way and removes the socket.
func (c *control) close() error {
	c.stop()
	err := c.listener.Close()
	c.work.Wait()
	return err
}

func (c *control) accept(ctx context.Context) {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if ctx.Err() == nil {
				c.log.Error("the control socket is not served any more", "error", err)
			}
			return
		}
		select {
		case c.places <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		c.work.Go(func() {
			defer func() { <-c.places }()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			c.answer(ctx, conn)
		})
	}
}

func (c *control) answer(ctx context.Context, conn net.Conn) {
	if err := conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return
	}
	request, err := readControlLine(bufio.NewReader(conn))
	if err != nil {
		return
	}
	err = sameUser(conn)
	switch {
	case err != nil:
	case request == controlBackup:
		err = c.answerBackup(ctx, conn)
	case request == controlRotate:
		err = c.answerRotate(ctx, conn)
	case request == controlRotateRoot:
		err = c.answerRotateRoot(ctx, conn)
	default:
		err = c.answerOperator(ctx, conn, request)
	}
	if err != nil {
		fmt.Fprintf(conn, "no %s\n", strings.Join(strings.Fields(err.Error()), " ")) // who does not hear it is gone
	}
}

// answerOperator does what package node's Operator asks for, or returns why not.
func (c *control) answerOperator(ctx context.Context, conn net.Conn, request string) error {
	said, err := c.node.administer(ctx, request)
	if err != nil {
		return err
	}
	_, _ = patient{conn}.Write(append([]byte("ok\n"), said...)) // who does not hear it is gone
	return nil
}

// answerBackup writes a backup, or returns why there is none.
func (c *control) answerBackup(ctx context.Context, conn net.Conn) error {
	if c.own == nil {
		return errors.New("a node on MongoDB is copied from its database")
	}
	if !c.begin() {
		return errors.New("another backup of this node is under way")
	}
	defer func() { <-c.copying }()
	c.log.Info("backup begins")
	to := patient{conn}
	_, err := io.WriteString(to, "ok\n")
	if err == nil {
		err = backup(ctx, c.own, to, time.Now())
	}
	if err != nil {
		c.log.Error("backup failed", "error", err)
		return nil
	}
	c.log.Info("backup ended")
	return nil
}

// answerRotate gives the node another request key, or returns why it has none.
func (c *control) answerRotate(ctx context.Context, conn net.Conn) error {
	r, err := c.node.Rotate(ctx)
	if err != nil {
		c.log.Error("the request key could not be changed", "error", err)
		return err
	}
	fmt.Fprintf(conn, "ok\n%s %d %d\n", r.Node, r.Signs.UnixMilli(), r.Ends.UnixMilli()) // who does not hear it may look at the document
	return nil
}

// readRotation reads the answer.
func readRotation(reply *controlReply) (r Rotation, err error) {
	defer func() { err = errors.Join(err, reply.Close()) }()
	line, err := readControlLine(reply.Reader)
	if err != nil {
		return r, err
	}
	var signs, ends int64
	if _, err := fmt.Sscanf(line, "%s %d %d", &r.Node, &signs, &ends); err != nil {
		return r, fmt.Errorf("%q was its answer", line)
	}
	r.Signs, r.Ends = time.UnixMilli(signs), time.UnixMilli(ends)
	return r, nil
}

// answerRotateRoot gives the node another root key, or returns why it has none.
func (c *control) answerRotateRoot(ctx context.Context, conn net.Conn) error {
	r, err := c.node.RotateRoot(ctx)
	if err != nil {
		c.log.Error("the root key could not be changed", "error", err)
		return err
	}
	fmt.Fprintf(conn, "ok\n%s\n", wire.EncodeJSON(r)) // who does not hear it may look at the document
	return nil
}

// readRootRotation reads the answer.
func readRootRotation(reply *controlReply) (r RootRotation, err error) {
	defer func() { err = errors.Join(err, reply.Close()) }()
	line, err := readControlLine(reply.Reader)
	if err != nil {
		return r, err
	}
	if err := wire.DecodeJSON([]byte(line), &r); err != nil {
		return r, fmt.Errorf("%q was its answer", line)
	}
	return r, nil
}

// begin waits a moment for a backup that is just ending.
func (c *control) begin() bool {
	select {
	case c.copying <- struct{}{}:
		return true
	case <-time.After(controlEnding):
		return false
	}
}

// readControlLine reads the first line that the other end says, without its end.
func readControlLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < maxControlLine {
		b, err := r.ReadByte()
		if err != nil {
			return "", fmt.Errorf("its answer: %w", err)
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
	return "", errors.New("its answer is too long")
}

// allowed says whether somebody with a user id may ask this process.
func allowed(uid int) error {
	if uid != os.Getuid() && uid != 0 {
		return fmt.Errorf("the node runs as user %d and user %d asks; only the same user or root may", os.Getuid(), uid)
	}
	return nil
}

// patient writes as long as somebody reads: a copy that nobody takes must not
// hold its moment of the store for ever.
type patient struct{ net.Conn }

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(controlStalled)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// A refusedError is the reason of a process that serves, and does not want to.
type refusedError struct{ why string }

// Error implements error.
func (e *refusedError) Error() string { return "the running node refuses: " + e.why }

// dialControl asks the process that serves a data folder for something. The error
// is a *refusedError when it does not want to, and another one when nobody is there.
func dialControl(ctx context.Context, dir, request string) (*controlReply, error) {
	path := filepath.Join(dir, controlFile)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, controlError(path, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r := &controlReply{bufio.NewReader(conn), conn, stop}
	if _, err := io.WriteString(conn, request+"\n"); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	line, err := readControlLine(r.Reader)
	if err == nil && line == "ok" {
		return r, nil
	}
	if why, ok := strings.CutPrefix(line, "no "); ok && err == nil {
		err = &refusedError{why}
	} else if err == nil {
		err = &refusedError{fmt.Sprintf("%q was its answer", line)}
	}
	return nil, errors.Join(err, r.Close())
}

// A controlReply is the rest of an answer.
type controlReply struct {
	*bufio.Reader
	conn net.Conn
	stop func() bool
}

// Close implements io.Closer.
func (r *controlReply) Close() error {
	r.stop()
	return ignoreClosed(r.conn.Close())
}
