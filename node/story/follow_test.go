package story_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A screen is what a command prints while it runs.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// shows waits until the screen has a text, once.
func (s *screen) shows(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(newsArrive); strings.Count(s.String(), text) != 1; time.Sleep(nextLook) {
		if time.Now().After(deadline) {
			t.Fatalf("the screen does not show %q once:\n%s", text, s)
		}
	}
}

// TestFollow plays ann on one node and bob on another, who follows his feed: posts
// come to his screen as they are written, also after either node was killed, each
// once; he posts from the same device meanwhile; and a new friend's past is no news.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	play := func(who, want string, words ...string) {
		t.Helper()
		if err := w.play(act{who: who, words: words, want: want}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ann", "bob", "cat"} {
		play(name, "", "register", name+"@")
	}
	play("cat", "", "post", "before you knew me")
	play("ann", "", "friend", "add", "bob@")
	play("bob", "", "friend", "accept", "ann@")
	play("ann", "", "post", "an old one")
	page := new(screen)
	cmd := exec.Command(filepath.Join(w.bin, "peerbrain"), "--home", w.home("bob"), "feed", "--follow")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(bare(), w.env...), page, page
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	page.shows(t, "an old one")
	play("ann", "", "post", "the first new one")
	page.shows(t, "the first new one")
	play("bob", "", "post", "from the same device")
	page.shows(t, "from the same device")
	for _, node := range []*server{w.right, w.left} {
		if err := node.kill(); err != nil {
			t.Fatal(err)
		}
		text := "while " + node.name + " was away"
		if node == w.right {
			play("ann", "", "post", text)
		}
		if err := node.start(); err != nil {
			t.Fatal(err)
		}
		if node == w.left {
			play("ann", "", "post", text)
		}
		page.shows(t, text)
	}
	play("cat", "", "friend", "add", "bob@")
	play("bob", "", "friend", "accept", "cat@")
	play("cat", "", "post", "now that you know me")
	page.shows(t, "now that you know me")
	if strings.Contains(page.String(), "before you knew me") {
		t.Errorf("a new friend's past is shown as news:\n%s", page)
	}
	for _, text := range []string{"an old one", "the first new one", "from the same device"} {
		page.shows(t, text)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("an interrupted feed --follow ends with %v:\n%s", err, page)
	}
}

// watching is an event stream of a member over a bare connection.
type watching struct {
	member *member
	conn   net.Conn
	lines  *bufio.Reader
}

// watches opens an event stream and reads what comes first.
func (m *member) watches() (*watching, error) {
	dial := m.home.dial
	if dial == nil {
		dial = func() (net.Conn, error) { return net.Dial("tcp", m.home.listen) }
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	w := &watching{m, conn, bufio.NewReaderSize(conn, 4096)}
	if _, err := conn.Write(m.request("GET", wire.PathEvents, nil)); err != nil {
		return nil, err
	}
	status, err := w.lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, fmt.Sprint("HTTP/1.1 ", http.StatusOK)) {
		return nil, fmt.Errorf("an event stream begins with %q, %v", status, err)
	}
	return w, w.feed()
}

// feed waits for the next event about the feed.
func (w *watching) feed() error {
	if err := w.conn.SetReadDeadline(time.Now().Add(newsArrive)); err != nil {
		return err
	}
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "event: "+wire.EventFeed+"\n" {
			return nil
		}
	}
}

// waitsFor waits until an entry of a friend can be read.
func (w *watching) waitsFor(author *member, seq uint64) error {
	for {
		var reply wire.StreamReply
		path := fmt.Sprintf("/v1/streams/%s/%s?limit=1&after=%d", author.account, author.audience, seq-1)
		if w.member.ask("GET", path, nil, &reply); len(reply.Entries) == 1 {
			return nil
		}
		if err := w.feed(); err != nil {
			return fmt.Errorf("entry %d of %s did not arrive: %w", seq, author.address(), err)
		}
	}
}

// TestManyWatch holds many idle event streams at one node, which has to stay
// small, and has to tell all of a post. The usual 1,000 may take 100 MiB;
// WATCHERS=10000 asks for more, which may take 250.
func TestManyWatch(t *testing.T) { manyWatch(t, func(*server) error { return nil }, 250) }

// TestManyWatchOverTLS is the same with a node that speaks TLS by itself, of which
// each stream keeps more: 10,000 may take 450 MiB.
func TestManyWatchOverTLS(t *testing.T) {
	manyWatch(t, func(s *server) error { return speaksTLS(t, s) }, 450)
}

// speaksTLS has a node speak TLS, as who watches does, and puts before it what
// speaks TLS for all others, connection by connection.
func speaksTLS(t *testing.T, s *server) error {
	s.name = "node.example"
	plain := s.listen
	port, err := freePort()
	if err != nil {
		return err
	}
	s.listen = fmt.Sprintf("127.0.0.1:%d", port)
	certFile, keyFile, roots := certified(t, s.name)
	s.args = append([]string{"serve", "--name", s.name, "--listen", s.listen, "--data", s.data, "--registration", "open", "--tls-cert-file", certFile, "--tls-key-file", keyFile}, s.flags...)
	front, err := net.Listen("tcp", plain)
	if err != nil {
		return err
	}
	secure := s.listen
	s.dial = func() (net.Conn, error) {
		return tls.Dial("tcp", secure, &tls.Config{ServerName: s.name, RootCAs: roots})
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		if err := front.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	s.listen = plain
	all.Go(func() {
		for {
			near, err := front.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer near.Close()
				far, err := s.dial()
				if err != nil {
					return // it does not serve yet
				}
				all.Go(func() {
					defer far.Close()
					_, _ = io.Copy(far, near) // ends with either of them
				})
				_, _ = io.Copy(near, far)
			})
		}
	})
	return nil
}

// certified makes a certificate for a name that signs itself, in two files of PEM.
func certified(t *testing.T, name string) (certFile, keyFile string, roots *x509.CertPool) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{name}}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		must(0, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	roots = x509.NewCertPool()
	roots.AddCert(must(x509.ParseCertificate(der)))
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))), roots
}

// manyWatch prepares a node, and wants so many MiB for 10,000 streams at most.
func manyWatch(t *testing.T, prepare func(*server) error, most int) {
	undetected(t)
	if runtime.GOOS != "linux" {
		t.Skip("what a process has in memory is read from /proc")
	}
	count, limit := 1000, 100
	if s := os.Getenv("WATCHERS"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		limit = most
	}
	const each = 4 // of one person
	s, err := newServer(built(t), t.TempDir(), "node")
	if err != nil {
		t.Fatal(err)
	}
	s.flags = []string{"--proxies", "127.0.0.1", "--limits-connections-per-address", strconv.Itoa(2*count + 1000), "--limits-connections", strconv.Itoa(2*count + 1000)}
	if err := prepare(s); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		memberClient.CloseIdleConnections()
		if err := s.kill(); err != nil {
			t.Error(err)
		}
	})
	readers, author := newMembers(t, s, "reader", count/each), newMember(t, s, "author")
	author.befriends(readers)
	publish([]*member{author}, 1)
	var all []*watching
	for _, m := range readers {
		for range each {
			w, err := m.watches()
			if err != nil {
				t.Fatal(err)
			}
			defer w.conn.Close()
			all = append(all, w)
		}
	}
	mib := resident(s.cmd.Process.Pid, "RssAnon") // the system takes back what else is there, pages of the store
	t.Logf("%d idle event streams: %.0f MiB", len(all), mib)
	if mib > float64(limit) {
		t.Errorf("with %d event streams the node has %.0f MiB in memory, want at most %d", len(all), mib, limit)
	}
	author.publishes(author.post())
	for _, w := range all {
		if err := w.waitsFor(author, author.stream.Seq); err != nil {
			t.Fatal(err)
		}
	}
}
