package story_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

// slowKinds are clients that hold a connection and do no more than they must.
var slowKinds = []struct {
	name, says string
	answered   bool
}{
	{"silent", "", false},
	{"half of a head", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: y", false},
	{"one byte of a body", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n{", false},
	{"one byte of a body between nodes", "POST /federation/v1/sync HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", false},
	{"idle after an answer", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", true},
}

// TestSlowClients holds thousands of connections open, of one slow kind after
// the other, while somebody posts and reads: they are served, and the node stays
// small. The usual 2,000 may take 150 MiB; SLOW_CLIENTS=10000 asks for more, which
// may take 250.
func TestSlowClients(t *testing.T) {
	undetected(t)
	if runtime.GOOS != "linux" {
		t.Skip("what a process has in memory is read from /proc")
	}
	count, limit := 2000, 150
	if s := os.Getenv("SLOW_CLIENTS"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		limit = 250
	}
	dir, bin := t.TempDir(), built(t)
	s, err := newServer(bin, dir, "node")
	if err != nil {
		t.Fatal(err)
	}
	s.flags = []string{"--limits-connections-per-address", strconv.Itoa(2*count + 100), "--timeouts-read", "10m", "--timeouts-idle", "10m"}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.kill(); err != nil {
			t.Error(err)
		}
	})
	w := &world{TB: t, dir: dir, bin: bin, left: s, right: s}
	play := func(a act) {
		t.Helper()
		if err := w.play(a); err != nil {
			t.Fatal(err)
		}
	}
	play(act{who: "ada", words: []string{"register", "ada@"}})
	for _, kind := range slowKinds {
		t.Run(kind.name, func(t *testing.T) {
			answer := make([]byte, len("HTTP/1.1 200"))
			for range count {
				c, err := net.Dial("tcp", s.listen)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, kind.says); err != nil {
					t.Fatal(err)
				}
				if !kind.answered {
					continue
				}
				if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 200" {
					t.Fatalf("got %q, %v", answer, err)
				}
			}
			play(act{who: "ada", words: []string{"post", "canary of " + kind.name}})
			play(act{who: "ada", words: []string{"feed"}, want: "canary of " + kind.name})
			mib := s.memory(t) >> 10
			t.Logf("%d clients: %d MiB", count, mib)
			if mib > limit {
				t.Errorf("with %d clients the node has %d MiB in memory, want at most %d", count, mib, limit)
			}
		})
	}
}

// memory is what the process of the node has in memory, in KiB.
func (s *server) memory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		t.Fatal("the system does not say how much memory the node has")
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
