package story_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// front puts through between a node and everybody who talks to it, people and
// other nodes: it takes the port of the node's name, and the node another one. An
// error of through cuts the connection.
func front(t *testing.T, through func(s *server) http.RoundTripper) func(*server) error {
	return func(s *server) error {
		return standBefore(t, s, &httputil.ReverseProxy{
			Transport: through(s),
			ErrorLog:  log.New(io.Discard, "", 0),
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", s.listen, r.In.Host
			},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		})
	}
}

// standBefore serves h at the port of the node's name, and moves the node to
// another one.
func standBefore(t *testing.T, s *server, h http.Handler) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	front, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	s.listen = fmt.Sprintf("127.0.0.1:%d", port)
	servesAt(t, front, h)
	return nil
}

// servesAt serves h until the test ends.
func servesAt(t testing.TB, at net.Listener, h http.Handler) {
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(at) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// direct asks nodes as if nothing stood in between.
func direct() http.RoundTripper { return patient{&http.Transport{DisableKeepAlives: true}} }

// A patient asks once more where a connection broke before there was a whole answer, and
// not because nobody listens: on a machine that is busy with thousands of connections that
// has been seen, rarely, and what is asked is made to be asked again.
type patient struct{ *http.Transport }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close() // it was read to its end
	}
	for try := 1; ; try++ {
		if r.Body != nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, err := p.whole(r)
		if err == nil || try == 3 || r.Context().Err() != nil || errors.Is(err, syscall.ECONNREFUSED) {
			return answer, err
		}
		fmt.Fprintf(os.Stderr, "asked again: %s %s: %v\n", r.Method, r.URL.Path, err)
	}
}

// whole reads an answer to its end, if it has one.
func (p patient) whole(r *http.Request) (*http.Response, error) {
	answer, err := p.Transport.RoundTrip(r)
	if err != nil || answer.Header.Get("Content-Type") == wire.MediaEvents {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // it was read to its end, or broke
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// A recorded exchange is one request to a node and its answer.
type recorded struct {
	node          string // who was asked
	path          string
	url           string // as it stands in the request
	authorization string // the one header that may hold a token
	headers       string // the others, of request and answer
	asked         []byte // bodies
	answered      []byte
}

// A recorder keeps all exchanges with nodes.
type recorder struct {
	mu  sync.Mutex
	all []recorded
}

// of returns what goes through to s, and keeps it.
func (r *recorder) of(s *server) http.RoundTripper { return recording{r, s, direct()} }

type recording struct {
	*recorder
	to     *server
	direct http.RoundTripper
}

func (r recording) RoundTrip(request *http.Request) (*http.Response, error) {
	var asked []byte
	if request.Body != nil {
		var err error
		if asked, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(asked))
	}
	response, err := r.direct.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answered, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(answered))
	e := recorded{
		node: r.to.name, path: request.URL.Path, url: request.URL.RequestURI(), authorization: request.Header.Get("Authorization"),
		asked: asked, answered: answered,
	}
	var headers strings.Builder
	fmt.Fprintf(&headers, "Host: %s\r\n", request.Host)
	others := request.Header.Clone()
	others.Del("Authorization")
	for _, h := range []http.Header{others, response.Header} {
		if err := h.Write(&headers); err != nil {
			return nil, err
		}
	}
	e.headers = headers.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
	return response, nil
}

// exchanges returns all until now.
func (r *recorder) exchanges() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}
