package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestIdleConnections says nothing after an answer: the server hangs up long
// before the time that a request may take.
func TestIdleConnections(t *testing.T) {
	addr := testServer(t, echoRoutes(nil), serverOptions{idle: 100 * time.Millisecond}, nil, nil)
	c := must(net.Dial("tcp", addr))
	defer c.Close()
	io.WriteString(c, head("GET /echo HTTP/1.1", "Host: a"))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 200 || response.Close {
		t.Fatalf("got %+v, %v", response, err)
	}
	io.Copy(io.Discard, response.Body)
	if _, err := r.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still there")
	}
}

// TestReaderWhoDoesNotRead asks for more than lies between two ends of a
// connection, and takes nothing of it: it is not kept for ever.
func TestReaderWhoDoesNotRead(t *testing.T) {
	large := strings.Repeat("x", 24<<20)
	table := []route{{method: "GET", pattern: "/large", open: true, serve: func(context.Context, *api, *incoming) (any, error) { return large, nil }}}
	var capped *cappedListener
	addr := testServer(t, table, serverOptions{write: 100 * time.Millisecond}, nil, func(l net.Listener) net.Listener {
		capped = newCappedListener(l, 10, 10, nil)
		return capped
	})
	c := must(net.Dial("tcp", addr))
	defer c.Close()
	io.WriteString(c, head("GET /large HTTP/1.1", "Host: a"))
	if line := must(bufio.NewReaderSize(c, 16).ReadString('\n')); !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		t.Fatalf("got %q", line)
	}
	waitFor(t, "the server to give up", func() bool {
		capped.mu.Lock()
		defer capped.mu.Unlock()
		return len(capped.open) == 0
	})
}

// TestServerHoldsItsLimit opens connections that no listener caps: the server
// takes one more than it was told to expect, which a capped listener may let in
// while another one ends.
func TestServerHoldsItsLimit(t *testing.T) {
	addr := testServer(t, echoRoutes(nil), serverOptions{connections: 3}, nil, func(l net.Listener) net.Listener { return l })
	served := 0
	for range 8 {
		c := must(net.Dial("tcp", addr))
		defer c.Close()
		io.WriteString(c, head("GET /echo HTTP/1.1", "Host: a"))
		if response, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && response.StatusCode == 200 {
			served++
		}
	}
	if served != 4 {
		t.Errorf("%d of 8 connections were served, want 4", served)
	}
}

// TestMemoryOfSilence counts what a connection holds that has said nothing yet:
// no buffer is taken before bytes arrive (ReduceMemoryUsage; 15,000 bytes else).
func TestMemoryOfSilence(t *testing.T) {
	const count, most = 400, 10_000
	addr := testServer(t, echoRoutes(nil), serverOptions{connections: 2 * count}, nil, nil)
	before := living()
	for range count {
		c := must(net.Dial("tcp", addr))
		defer c.Close()
	}
	says(t, addr, head("GET /echo HTTP/1.1", "Host: a")) // those before it were accepted
	if each := (living() - before) / count; each > most {
		t.Errorf("both ends of a connection hold %d bytes, want at most %d", each, most)
	}
}

// living is what lives, in bytes.
func living() int {
	runtime.GC()
	runtime.GC() // what pools keep survives one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
