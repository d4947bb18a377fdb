// Package mongotest gives tests a MongoDB server, or skips them loudly.
//
// The server is the one that PEERBRAIN_TEST_MONGODB_URI names, or else mongod
// or ferretdb, whichever is on the PATH: one process for each test binary, at
// a free port of the loopback, with a folder that goes with it. It ends with M:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.M{M: m}) }
//
// FerretDB (https://www.ferretdb.com) understands what a node asks for,
// but is not atomic where many change one record at once: see Atomic.
//
// It is for tests only; no binary links it.
package mongotest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Variable names a server that runs already.
const Variable = "PEERBRAIN_TEST_MONGODB_URI"

// Who may use a ferretdb that Get starts.
const (
	user     = "peerbrain"
	password = "canary-password-of-the-database"
)

const starts = 30 * time.Second

// A Server is one that answers.
type Server struct {
	URI  string
	real bool // not a server that only speaks like MongoDB
}

var running struct {
	sync.Mutex
	server  *Server
	err     error
	process *exec.Cmd
	ended   chan struct{}
	dir     string
}

var errNone = errors.New("no mongod or ferretdb is on the PATH, and " + Variable + " is not set")

// Get returns the server, and starts it for the first test that asks. Where
// there is none, the test is skipped.
func Get(t testing.TB) *Server {
	t.Helper()
	r := &running
	r.Lock()
	defer r.Unlock()
	if r.server == nil && r.err == nil {
		r.server, r.err = begin()
	}
	if errors.Is(r.err, errNone) {
		t.Skipf("SKIPPED, NOT PROVED HERE: %v", r.err)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.server
}

// M runs tests, and ends the server after them if Get started one.
type M struct{ *testing.M }

// Run implements what goleak.VerifyTestMain asks for.
func (m M) Run() int {
	defer stop()
	return m.M.Run()
}

func stop() {
	r := &running
	r.Lock()
	defer r.Unlock()
	if r.ended != nil {
		_ = r.process.Process.Kill() // it may have ended
		<-r.ended
	}
	if r.dir != "" {
		_ = os.RemoveAll(r.dir) // a leftover in the temporary folder fails nothing
	}
}

// Atomic skips a test of what only a real mongod does: many change one record
// at once under the same condition, and one of them wins.
func (s *Server) Atomic(t testing.TB) {
	t.Helper()
	if !s.real {
		t.Skip("SKIPPED, NOT PROVED HERE: it needs a real mongod; this server is not atomic when many change one record at once")
	}
}

// Database returns the name of a new database, which is dropped after the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:12])
	t.Cleanup(func() {
		err := s.with(func(ctx context.Context, c *mongo.Client) error { return c.Database(name).Drop(ctx) })
		if err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return name
}

// with connects for as long as do takes.
func (s *Server) with(do func(context.Context, *mongo.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), starts)
	defer cancel()
	c, err := mongo.Connect(options.Client().ApplyURI(s.URI))
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, c), c.Disconnect(ctx))
}

// begin finds or starts a server, and asks what it is.
func begin() (*Server, error) {
	s := &Server{URI: os.Getenv(Variable)}
	if s.URI == "" {
		var err error
		if s.URI, err = start(); err != nil {
			return nil, err
		}
	}
	var info struct {
		FerretDB string `bson:"ferretdbVersion"`
	}
	err := s.with(func(ctx context.Context, c *mongo.Client) error {
		return c.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	})
	s.real = info.FerretDB == ""
	return s, err
}

// Password is the one in the URI, or empty if nobody has to say who they are.
func (s *Server) Password() string {
	u, err := url.Parse(s.URI)
	if err != nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// start runs a server and waits until it listens.
func start() (uri string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	r := &running
	if r.dir, err = os.MkdirTemp("", "peerbrain-mongo-"); err != nil {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	var login string
	if r.process, login, err = command(r.dir, port); err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(r.dir, "log"))
	if err != nil {
		return "", err
	}
	defer log.Close() // the process has its own
	r.process.Stdout, r.process.Stderr = log, log
	endWithUs(r.process)
	if err := r.process.Start(); err != nil {
		return "", err
	}
	r.ended = make(chan struct{})
	go func(p *exec.Cmd, ended chan<- struct{}) { _ = p.Wait(); close(ended) }(r.process, r.ended) // it is killed in the end
	for deadline := time.Now().Add(starts); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", address); err == nil {
			return "mongodb://" + login + address + "/?directConnection=true", c.Close()
		}
		select {
		case <-r.ended:
			said, _ := os.ReadFile(log.Name()) // as far as it can be read
			return "", fmt.Errorf("mongotest: the server ended: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return "", errors.New("mongotest: the server does not listen")
}

// command is whichever server there is, and what its URI says of the user.
func command(dir string, port int) (c *exec.Cmd, login string, err error) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	if path, err := exec.LookPath("mongod"); err == nil {
		return exec.Command(path, "--port", fmt.Sprint(port), "--bind_ip", "127.0.0.1", "--dbpath", dir, "--nounixsocket"), "", nil
	}
	path, err := exec.LookPath("ferretdb")
	if err != nil {
		return nil, "", errNone
	}
	return exec.Command(path, "--handler=sqlite", "--sqlite-url=file:"+dir+"/", "--listen-addr="+address, "--state-dir="+dir,
		"--telemetry=disable", "--mode=normal", "--debug-addr=-", "--log-level=ERROR",
		"--test-enable-new-auth", "--setup-database=admin", "--setup-username="+user, "--setup-password="+password), user + ":" + password + "@", nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close() // the server takes it at once
	return l.Addr().(*net.TCPAddr).Port, nil
}
