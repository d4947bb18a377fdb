package node

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A testCA issues certificates that the clients of a test trust.
type testCA struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	roots  *x509.CertPool
	serial atomic.Int64
}

func newTestCA() *testCA {
	ca := &testCA{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA of tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, ca.key.Public(), ca.key))))
	ca.roots.AddCert(ca.cert)
	ca.serial.Store(1)
	return ca
}

// signs makes a certificate for a key, with a serial number of its own.
func (ca *testCA) signs(host string, key any, from, until time.Time) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial.Add(1)), NotBefore: from, NotAfter: until, DNSNames: []string{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return must(x509.CreateCertificate(rand.Reader, template, ca.cert, key, ca.key))
}

// issues makes a key and a certificate of some days, both in PEM.
func (ca *testCA) issues(host string, from, until time.Duration) (cert, key []byte) {
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := ca.signs(host, k.Public(), time.Now().Add(from), time.Now().Add(until))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k))})
}

// current makes one that is valid now.
func (ca *testCA) current(host string) (cert, key []byte) {
	return ca.issues(host, -time.Hour, time.Hour)
}

// A securedNode is a node of a public name that speaks TLS by itself, on loopback.
type securedNode struct {
	*running
	addr string
	ca   *testCA
	c    Config
}

// securedConfig is for a node whose files have a good certificate for its name.
func securedConfig(t *testing.T, ca *testCA) Config {
	c := devConfig(t)
	c.Dev, c.Name = false, "node.example"
	c.TLS.CertFile, c.TLS.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	cert, key := ca.current("node.example")
	writes(t, &c, cert, key)
	return c
}

// writes replaces what is in the files of a certificate.
func writes(t *testing.T, c *Config, cert, key []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(c.TLS.CertFile, cert, 0o600), os.WriteFile(c.TLS.KeyFile, key, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// runsSecured starts a node, and reaches it by its name wherever it listens.
func runsSecured(t *testing.T, c Config, ca *testCA) *securedNode {
	t.Helper()
	r := runs(t, c)
	s := &securedNode{running: r, addr: strings.TrimPrefix(r.url, "http://"), ca: ca, c: c}
	r.url, r.name = "https://"+string(c.apiHost()), c.Name
	r.http.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.addr)
		},
	}
	return s
}

// dials shakes hands with the node, as change says.
func (s *securedNode) dials(change func(*tls.Config)) (*tls.Conn, error) {
	c := &tls.Config{RootCAs: s.ca.roots, ServerName: string(s.c.apiHost())}
	if change != nil {
		change(c)
	}
	return tls.Dial("tcp", s.addr, c)
}

// serial is the number of the certificate that is served now.
func (s *securedNode) serial(t *testing.T) int64 {
	t.Helper()
	conn, err := s.dials(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestTLS registers, logs in and follows events over TLS, and tries who may speak.
func TestTLS(t *testing.T) {
	ca := newTestCA()
	s := runsSecured(t, securedConfig(t, ca), ca)
	ann := newVisitor(t, s.name, "ann", time.Now())
	s.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	token := s.logsIn(t, ann).Token
	var session wire.SessionReply
	if s.succeeds(t, "GET", wire.PathSession, &token, nil, &session); session.Handle != "ann" {
		t.Errorf("got %+v", session)
	}
	large := make([]byte, 64<<10)
	if status, p := s.asks(t, "POST", wire.PathKeys, &token, map[string][]byte{"unknown": large}, nil); status != 400 {
		t.Errorf("a large body: got %d %+v, want 400", status, p)
	}
	for _, test := range []struct {
		name   string
		change func(*tls.Config)
		speaks bool
	}{
		{"TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, true},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		{"HTTP/2 or HTTP/1.1", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, true},
		{"HTTP/2 alone", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		{"challenges of a CA", func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }, false},
	} {
		conn, err := s.dials(test.change)
		if (err == nil) != test.speaks {
			t.Errorf("%s: got %v", test.name, err)
		}
		if err != nil {
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got == "h2" {
			t.Errorf("%s: %s is spoken", test.name, got)
		}
		io.WriteString(conn, head("GET "+wire.PathHealth+" HTTP/1.1", "Host: node.example"))
		if response, body, _ := hears(t, conn); response.StatusCode != 200 {
			t.Errorf("%s: got %d %s", test.name, response.StatusCode, body)
		}
		conn.Close()
	}
	plain := must(net.Dial("tcp", s.addr))
	defer plain.Close()
	io.WriteString(plain, head("GET "+wire.PathHealth+" HTTP/1.1", "Host: node.example"))
	if got, _ := io.ReadAll(plain); strings.Contains(string(got), "HTTP/1.1 200") || strings.Contains(string(got), "node.example") {
		t.Errorf("plain HTTP is answered with %q", got)
	}
	if log := s.log.String(); strings.Contains(log, "127.0.0.1:") && strings.Contains(log, plain.LocalAddr().String()) {
		t.Errorf("the log has the address of somebody: %s", log)
	}
}

// TestEventsOverTLS follows events over TLS until the session ends, and until the
// node does.
func TestEventsOverTLS(t *testing.T) {
	ca := newTestCA()
	s := runsSecured(t, securedConfig(t, ca), ca)
	ann := newVisitor(t, s.name, "ann", time.Now())
	s.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	watch := func(token wire.Token) *bufio.Reader {
		r := must(http.NewRequestWithContext(t.Context(), "GET", s.url+wire.PathEvents, nil))
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		response := must(s.http.Do(r))
		t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != 200 || response.Header.Get("Content-Type") != wire.MediaEvents || response.TLS == nil {
			t.Fatalf("got %d %v", response.StatusCode, response.Header)
		}
		firstEvent(t, response.Body)
		return bufio.NewReader(response.Body)
	}
	first, second := s.logsIn(t, ann).Token, s.logsIn(t, ann).Token
	ended, open := watch(first), watch(second)
	s.asks(t, "DELETE", wire.PathSession, &first, nil, nil)
	if rest, err := io.ReadAll(ended); err != nil || len(rest) > 0 {
		t.Errorf("after the session: %q, %v", rest, err)
	}
	s.stop()
	if rest, err := io.ReadAll(open); err != nil || strings.Trim(string(rest), ":\n") != "" { // but for signs of life
		t.Errorf("after the node: %q, %v", rest, err)
	}
	s.ends(t)
}

// TestLimitsUnderTLS holds handshakes and requests inside of TLS to the limits of
// connections and times.
func TestLimitsUnderTLS(t *testing.T) {
	ca := newTestCA()
	c := securedConfig(t, ca)
	c.Limits.PerAddress = 3
	c.Timeouts.Read, c.Timeouts.Idle = 300*time.Millisecond, 300*time.Millisecond
	s := runsSecured(t, c, ca)
	ends := func(what string, conn net.Conn) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is still there", what)
		}
		conn.Close()
	}
	silent, half := must(net.Dial("tcp", s.addr)), must(net.Dial("tcp", s.addr))
	half.Write([]byte{22, 3, 1, 1, 0, 1, 0}) // of a hello
	ends("no handshake", silent)
	ends("half a handshake", half)
	slow := must(s.dials(nil))
	io.WriteString(slow, "GET "+wire.PathHealth+" HTTP/1.1\r\n")
	ends("half a request", slow)
	idle := must(s.dials(nil))
	io.WriteString(idle, head("GET "+wire.PathHealth+" HTTP/1.1", "Host: node.example"))
	ends("nothing after an answer", idle)

	patient := securedConfig(t, ca)
	patient.Limits.PerAddress = 3
	s = runsSecured(t, patient, ca)
	for range 2 {
		defer must(net.Dial("tcp", s.addr)).Close() // a handshake that does not begin counts
	}
	third := must(s.dials(nil))
	if _, err := s.dials(nil); err == nil {
		t.Error("a fourth connection of one address is served")
	}
	third.Close()
	waitFor(t, "the place of the third", func() bool {
		again, err := s.dials(nil)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}

// TestCertificateIsReloaded replaces the certificate of a running node: at HUP new
// connections get the new one, those from before go on, and what is wrong is not
// taken.
func TestCertificateIsReloaded(t *testing.T) {
	// A HUP that nobody waits for any more must not end the tests.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	ca := newTestCA()
	c := securedConfig(t, ca)
	s := runsSecured(t, c, ca)
	before := s.serial(t)
	old := must(s.dials(nil))
	defer old.Close()
	asks := func() {
		t.Helper()
		io.WriteString(old, head("GET "+wire.PathHealth+" HTTP/1.1", "Host: node.example"))
		if response, _, closed := hears(t, old); response.StatusCode != 200 || closed {
			t.Errorf("the connection from before: got %d (closed %v)", response.StatusCode, closed)
		}
	}
	asks()
	cert, key := ca.current("node.example")
	writes(t, &c, cert, key)
	hup := func(what string, ok func() bool) {
		t.Helper()
		waitFor(t, what, func() bool {
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			return ok()
		})
	}
	hup("the new certificate", func() bool { return s.serial(t) == before+1 })
	asks()
	if got := old.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != before {
		t.Errorf("the connection from before has certificate %d, want %d", got, before)
	}
	_, other := ca.current("node.example")
	writes(t, &c, cert, other)
	hup("the log to say so", func() bool {
		return strings.Contains(s.log.String(), "certificate not reloaded: the one from before is served on") && strings.Contains(s.log.String(), "tls.key_file")
	})
	if got := s.serial(t); got != before+1 {
		t.Errorf("after bad files certificate %d is served, want %d", got, before+1)
	}
	asks()
}

// TestCertificateFilesAreWatched looks at files that change in steps, as tools
// that renew certificates replace them.
func TestCertificateFilesAreWatched(t *testing.T) {
	ca := newTestCA()
	c := securedConfig(t, ca)
	log := new(safeBuffer)
	f := &certificateFiles{cert: c.TLS.CertFile, key: c.TLS.KeyFile, host: c.Name, log: slog.New(slog.NewTextHandler(log, nil))}
	pair, found, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	f.tried = found
	f.current.Store(pair)
	looks := func(times int) {
		for range times {
			f.reload(false)
		}
	}
	lines := func(want int, what string) {
		t.Helper()
		if got := strings.Count(log.String(), "\n"); got != want {
			t.Errorf("%s: the log has %d lines, want %d:\n%s", what, got, want, log.String())
		}
	}
	looks(2)
	lines(0, "unchanged")
	cert, key := ca.current("node.example")
	writes(t, &c, cert, must(os.ReadFile(c.TLS.KeyFile)))
	looks(3)
	lines(1, "a certificate without its key")
	writes(t, &c, cert, key)
	looks(2)
	lines(2, "and its key")
	if got := f.current.Load(); got == pair || !strings.Contains(log.String(), "certificate reloaded") {
		t.Errorf("the new certificate is not taken: %s", log.String())
	}
	now := f.current.Load()
	expired, its := ca.issues("node.example", -2*time.Hour, -time.Hour)
	writes(t, &c, expired, its)
	looks(2)
	lines(3, "an expired certificate")
	os.Remove(c.TLS.CertFile)
	looks(2)
	lines(4, "no certificate")
	f.reload(true)
	f.reload(true)
	lines(6, "asked for")
	if f.current.Load() != now {
		t.Error("what is wrong was taken")
	}
	for what, tell := range map[string]func(chan<- time.Time, chan<- os.Signal){
		"a look": func(look chan<- time.Time, _ chan<- os.Signal) { look <- time.Time{} },
		"a HUP":  func(_ chan<- time.Time, hups chan<- os.Signal) { hups <- syscall.SIGHUP },
	} {
		cert, key := ca.current("node.example")
		writes(t, &c, cert, key)
		before, look, hups := f.current.Load(), make(chan time.Time), make(chan os.Signal)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.watch(ctx, look, hups)
		}()
		tell(look, hups)
		stop()
		<-done
		if f.current.Load() == before {
			t.Errorf("after %s the certificate is that of before", what)
		}
	}
}

// TestTLSRefuses starts nodes with certificates that cannot be served: one
// sentence, and nothing is started or made.
func TestTLSRefuses(t *testing.T) {
	ca := newTestCA()
	good, goodKey := ca.current("node.example")
	other, otherKey := ca.current("other.example")
	expired, expiredKey := ca.issues("node.example", -2*time.Hour, -time.Hour)
	early, earlyKey := ca.issues("node.example", time.Hour, 2*time.Hour)
	rubbish := []byte("canary")
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rubbish})
	for _, test := range []struct {
		name      string
		cert, key []byte
		change    func(*Config)
		want      string
	}{
		{"a missing certificate", nil, goodKey, nil, "tls.cert_file: open "},
		{"a missing key", good, nil, nil, "tls.key_file: open "},
		{"no certificate", rubbish, goodKey, nil, "tls.cert_file: a certificate in PEM was expected at the beginning of "},
		{"a broken certificate", broken, goodKey, nil, "tls.cert_file: the certificate in "},
		{"the key first", append(goodKey[:len(goodKey):len(goodKey)], good...), goodKey, nil, "tls.cert_file: a certificate in PEM was expected"},
		{"no key", good, rubbish, nil, "tls.key_file: the private key, in PEM, that fits the certificate in "},
		{"the key of another certificate", good, otherKey, nil, "tls.key_file: the private key, in PEM, that fits the certificate in "},
		{"an expired certificate", expired, expiredKey, nil, "has expired on "},
		{"a certificate for later", early, earlyKey, nil, "is valid from "},
		{"the certificate of another host", other, otherKey, nil, `tls.cert_file: a certificate for node.example was expected in `},
		{"the certificate of the name", good, goodKey, func(c *Config) { c.Host = "pb.node.example" }, `a certificate for pb.node.example was expected in `},
		{"both kinds", good, goodKey, func(c *Config) { c.TLS.ACME = true }, "tls: cert_file and key_file, or acme: one of both was expected"},
		{"a certificate alone", good, goodKey, func(c *Config) { c.TLS.KeyFile = "" }, "tls: cert_file and key_file belong together"},
		{"a key alone", good, goodKey, func(c *Config) { c.TLS.CertFile = "" }, "tls: cert_file and key_file belong together"},
		{"development", good, goodKey, func(c *Config) { c.Dev, c.Name = true, "" }, "tls: --dev serves plain http"},
		{"a CA of plain http elsewhere", nil, nil, func(c *Config) {
			c.TLS = TLSConfig{ACME: true, ACMEDirectory: "http://ca.example/directory"}
		}, "tls.acme_directory: an https URL such as "},
		{"no CA", nil, nil, func(c *Config) { c.TLS = TLSConfig{ACME: true} }, "tls.acme_directory: an https URL such as "},
		{"a CA with a password", nil, nil, func(c *Config) {
			c.TLS = TLSConfig{ACME: true, ACMEDirectory: "https://a:canary@ca.example/"}
		}, "tls.acme_directory: an https URL such as "},
	} {
		c := securedConfig(t, ca)
		for path, text := range map[string][]byte{c.TLS.CertFile: test.cert, c.TLS.KeyFile: test.key} {
			if err := errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600)); err != nil {
				t.Fatal(err)
			}
			if text == nil {
				os.Remove(path)
			}
		}
		if test.change != nil {
			test.change(&c)
		}
		ctx, stop := context.WithCancel(t.Context())
		err := Run(ctx, c, slog.New(slog.DiscardHandler), func(string) { stop() }) // nil, if it serves
		stop()
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if _, err := os.Stat(c.Data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the data folder was made (%v)", test.name, err)
		}
	}
}
