package load

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestReadAnswer: answers of a node, and of what may stand in front of it, and
// what is none.
func TestReadAnswer(t *testing.T) {
	const date = "Tue, 14 Nov 2023 22:13:20 GMT"
	for text, want := range map[string]struct {
		status int
		keep   bool
		body   string
	}{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: " + date + "\r\n\r\nhi":                 {200, true, "hi"},
		"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n":                                   {204, true, ""},
		"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n":                                          {200, true, ""},
		"HTTP/1.1 503 x\r\nRetry-After: 3\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno": {503, false, "no"},
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi":                                       {200, false, "hi"},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n":  {200, false, "hi!"},
		"HTTP/1.1 200 OK\r\n\r\nuntil the end":                                                 {200, false, "until the end"},
	} {
		a, keep, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if err != nil || a.status != want.status || keep != want.keep || string(a.body) != want.body {
			t.Errorf("%q: got %d, %t, %q, %v, want %+v", text, a.status, keep, a.body, err, want)
		}
		if told := strings.Contains(text, "Retry-After"); a.told != told || told && a.retry != 3*time.Second {
			t.Errorf("%q: to be left alone: %t, %s", text, a.told, a.retry)
		}
		if dated := strings.Contains(text, date); dated == a.date.IsZero() || dated && a.date.Unix() != 1_700_000_000 {
			t.Errorf("%q: the clock says %s", text, a.date)
		}
	}
	for _, text := range []string{
		"", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 abc x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxAnswer+1),
	} {
		if a, _, err := readAnswer(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%.60q: got %+v", text, a)
		}
	}
}

// waiter answers every request on a connection in the same words.
func waiter(c net.Conn, body string) {
	in, text := bufio.NewReader(c), []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: 2\r\n\r\n"+body)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) == 2 { // a request without a body is over
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	}
}

// TestRequestAllocations: what a request allocates here is taken from a node on
// the same machine.
func TestRequestAllocations(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			waiter(c, "{}")
		}
	}()
	defer l.Close()
	n, err := parseNode("http://localhost" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	n.spread(1)
	defer n.close()
	r := &request{method: "GET", path: wire.PathFeed, token: wire.NewToken([32]byte{1})}
	got := testing.AllocsPerRun(100, func() {
		if a, err := n.ask(t.Context(), r, time.Minute); err != nil || a.status != 200 {
			t.Fatal(a.status, err)
		}
	})
	if most := 6.0; got > most {
		t.Errorf("a request took %.0f allocations, want %.0f at most", got, most)
	}
}

func BenchmarkReadAnswer(b *testing.B) {
	text := strings.NewReader("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: 2\r\n\r\n{}")
	in := bufio.NewReader(text)
	for b.Loop() {
		text.Seek(0, io.SeekStart)
		in.Reset(text)
		if _, _, err := readAnswer(in); err != nil {
			b.Fatal(err)
		}
	}
}
