package story_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// An office is one node that is two processes on one database, behind a load
// balancer that gives each request to the other in turn.
type office struct {
	processes [2]*server
	next      atomic.Uint64
	answered  [2]atomic.Int64
}

// RoundTrip implements http.RoundTripper. A process that takes no connection is passed
// over: it has seen nothing of the request.
func (o *office) RoundTrip(r *http.Request) (*http.Response, error) {
	turn := o.next.Add(1)
	var last error
	for i := range uint64(2) {
		which := (turn + i) % 2
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host = "http", o.processes[which].listen
		answer, err := http.DefaultTransport.(*http.Transport).RoundTrip(out)
		var dial *net.OpError
		if err == nil {
			o.answered[which].Add(1)
		}
		if err == nil || !errors.As(err, &dial) || dial.Op != "dial" {
			return answer, err
		}
		last = err
	}
	return nil, last
}

// inOffices makes an office of each node that is arranged.
func inOffices(t testing.TB, offices map[string]*office) func(*server) error {
	onDatabase := onMongoDB(t)
	return func(s *server) error {
		if err := onDatabase(s); err != nil {
			return err
		}
		front, err := net.Listen("tcp", s.listen)
		if err != nil {
			return err
		}
		o := &office{processes: [2]*server{s, {
			name: s.name, bin: s.bin, env: s.env, flags: s.flags, data: s.data + "-2", log: filepath.Join(filepath.Dir(s.log), "second-"+filepath.Base(s.log)),
		}}}
		for _, one := range o.processes {
			port, err := freePort()
			if err != nil {
				return err
			}
			one.listen = fmt.Sprintf("127.0.0.1:%d", port)
		}
		offices[s.name] = o
		proxy := &http.Server{Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }, Transport: o,
			ErrorLog: log.New(io.Discard, "", 0), // of processes that are killed
		}}
		done := make(chan error, 1)
		go func() { done <- proxy.Serve(front) }()
		t.Cleanup(func() {
			if err := errors.Join(proxy.Close(), o.processes[1].kill()); err != nil {
				t.Error(err)
			}
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			if t.Failed() {
				t.Logf("log of the second process of %s:\n%s", s.name, o.processes[1].tail())
			}
		})
		return o.processes[1].start()
	}
}

// TestTwoProcesses tells the whole story with two processes of each node on one
// database, whose requests reach them in turn: once in peace, and once while one of them
// is killed in each step.
func TestTwoProcesses(t *testing.T) {
	for _, test := range []struct {
		name string
		kill bool
	}{{"in peace", false}, {"one is killed during each step", true}} {
		t.Run(test.name, func(t *testing.T) {
			offices := map[string]*office{}
			w := newWorld(t, inOffices(t, offices))
			for i, a := range acts {
				err := error(nil)
				if test.kill {
					err = w.meanwhile(a, func() error {
						time.Sleep(rand.N(150 * time.Millisecond)) // somewhere within the command
						return reviveOne(offices, i)
					})
				} else {
					err = w.play(a)
				}
				if err != nil {
					t.Fatalf("step %d: %v", i+1, err)
				}
			}
			w.curtain()
			for name, o := range offices {
				wantOneDocument(t, name, o)
				for i, one := range o.processes {
					if o.answered[i].Load() == 0 {
						t.Errorf("process %d of %s answered nothing", i+1, name)
					}
					one.lookAround(t, mongotest.Get(t).Password())
				}
			}
		})
	}
}

// reviveOne kills one process of each node, by turns, and starts it again.
func reviveOne(offices map[string]*office, turn int) error {
	for _, o := range offices {
		one := o.processes[turn%2]
		if err := one.kill(); err != nil {
			return err
		}
		if err := one.start(); err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
	}
	return nil
}

// wantOneDocument wants both processes to show the same document.
func wantOneDocument(t *testing.T, name string, o *office) {
	t.Helper()
	var shown [2]string
	for i, one := range o.processes {
		r := must(http.NewRequest("GET", "http://"+one.listen+wire.PathDocument, nil))
		r.Host = name
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s, %v", answer.StatusCode, body, err)
		}
		shown[i] = string(body)
	}
	if shown[0] != shown[1] {
		t.Errorf("the processes of %s show different documents", name)
	}
}
