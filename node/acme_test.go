package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// An acmeCA is a CA that speaks ACME (RFC 8555), as much of it as a node needs: one
// order at a time, proved by TLS-ALPN-01 (RFC 8737).
type acmeCA struct {
	*testCA
	t      *testing.T
	server *httptest.Server
	node   func() string // where the host leads to

	mu      sync.Mutex
	account *ecdsa.PublicKey
	status  string // of the order
	host    string // that it is for
	der     []byte
	orders  int
	visits  []string // what was asked for, by path
}

func newACMECA(t *testing.T, node func() string) *acmeCA {
	ca := &acmeCA{testCA: newTestCA(), t: t, node: node}
	ca.server = httptest.NewServer(ca)
	t.Cleanup(ca.server.Close)
	return ca
}

const acmeToken = "dG9rZW4tb2YtYS1jaGFsbGVuZ2U"

// signed is what all requests but two carry (RFC 8555, section 6.2).
type signed struct{ Protected, Payload string }

// opens reads a part of a signed request.
func (ca *acmeCA) opens(part string, into any) {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		ca.t.Error(err)
	}
}

// ServeHTTP is http.Handler's.
func (ca *acmeCA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.visits = append(ca.visits, r.URL.Path)
	at := func(path string) string { return ca.server.URL + path }
	var in signed
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			ca.t.Error(err)
		}
	}
	w.Header().Set("Replay-Nonce", fmt.Sprint("nonce-", len(ca.visits)))
	answer := func(status int, location string, body map[string]any) {
		if location != "" {
			w.Header().Set("Location", at(location))
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}
	order := func() map[string]any {
		o := map[string]any{
			"status": ca.status, "identifiers": []any{map[string]any{"type": "dns", "value": ca.host}},
			"authorizations": []string{at("/authz")}, "finalize": at("/finalize"),
		}
		if ca.der != nil {
			o["certificate"] = at("/certificate")
		}
		return o
	}
	challenge := map[string]any{"type": "tls-alpn-01", "url": at("/challenge"), "token": acmeToken, "status": ca.proof()}
	switch r.URL.Path {
	case "/directory":
		answer(200, "", map[string]any{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"), "meta": map[string]any{"termsOfService": at("/terms")}})
	case "/nonce":
	case "/account":
		ca.opensAccount(in)
		answer(201, "/account/1", map[string]any{"status": "valid"})
	case "/order":
		var asked struct {
			Identifiers []struct{ Type, Value string }
		}
		ca.opens(in.Payload, &asked)
		ca.orders++
		ca.status, ca.host, ca.der = "pending", asked.Identifiers[0].Value, nil
		answer(201, "/order/1", order())
	case "/order/1":
		answer(200, "/order/1", order())
	case "/authz":
		answer(200, "", map[string]any{
			"status": ca.proof(), "identifier": map[string]any{"type": "dns", "value": ca.host}, "challenges": []any{challenge},
		})
	case "/challenge":
		ca.proves()
		challenge["status"] = ca.proof()
		answer(200, "", challenge)
	case "/finalize":
		ca.finalizes(in)
		answer(200, "/order/1", order())
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: ca.der})
		pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
	default:
		ca.t.Errorf("the CA was asked for %s", r.URL.Path)
		w.WriteHeader(404)
	}
}

// proof is the status of the one challenge.
func (ca *acmeCA) proof() string {
	if ca.status == "ready" {
		return "valid"
	}
	return ca.status
}

// opensAccount keeps the account's key, which is in the head of the request.
func (ca *acmeCA) opensAccount(in signed) {
	var payload struct{ TermsOfServiceAgreed bool }
	ca.opens(in.Payload, &payload)
	if !payload.TermsOfServiceAgreed {
		ca.t.Error("the terms are not accepted")
	}
	var head struct{ JWK struct{ X, Y string } }
	ca.opens(in.Protected, &head)
	x, err1 := base64.RawURLEncoding.DecodeString(head.JWK.X)
	y, err2 := base64.RawURLEncoding.DecodeString(head.JWK.Y)
	key, err3 := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err := errors.Join(err1, err2, err3); err != nil {
		ca.t.Error(err)
	}
	ca.account = key
}

// proves shakes hands with the host and looks for the proof of RFC 8737.
func (ca *acmeCA) proves() {
	ca.status = "invalid"
	conn, err := tls.Dial("tcp", ca.node(), &tls.Config{ServerName: ca.host, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true}) // it is no proof of that sort
	if err != nil {
		return
	}
	defer conn.Close()
	state := conn.ConnectionState()
	thumb, err := acme.JWKThumbprint(ca.account)
	if err != nil {
		ca.t.Error(err)
	}
	sum := sha256.Sum256([]byte(acmeToken + "." + thumb))
	want, err := asn1.Marshal(sum[:])
	if err != nil {
		ca.t.Error(err)
	}
	leaf := state.PeerCertificates[0]
	for _, e := range leaf.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && e.Critical && bytes.Equal(e.Value, want) &&
			state.NegotiatedProtocol == acme.ALPNProto && leaf.VerifyHostname(ca.host) == nil {
			ca.status = "ready"
		}
	}
}

func (ca *acmeCA) finalizes(in signed) {
	var payload struct{ CSR string }
	ca.opens(in.Payload, &payload)
	der, err := base64.RawURLEncoding.DecodeString(payload.CSR)
	if err != nil {
		ca.t.Error(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || ca.status != "ready" || len(request.DNSNames) != 1 || request.DNSNames[0] != ca.host {
		ca.t.Errorf("a certificate for %+v is asked for in an order that is %s (%v)", request, ca.status, err)
		return
	}
	ca.der, ca.status = ca.signs(ca.host, request.PublicKey, time.Now().Add(-time.Hour), time.Now().Add(2000*time.Hour)), "valid"
}

func (ca *acmeCA) config(t *testing.T) Config {
	c := devConfig(t)
	c.Dev, c.Name, c.Host = false, "node.example", "pb.node.example"
	c.TLS.ACME, c.TLS.ACMEDirectory = true, ca.server.URL+"/directory"
	return c
}

// TestACME gets a certificate for the host of the API from a CA, and nothing else
// for anybody; a node that starts again has it already.
func TestACME(t *testing.T) {
	var s *securedNode
	ready := make(chan struct{})
	ca := newACMECA(t, func() string { <-ready; return s.addr })
	c := ca.config(t)
	s = runsSecured(t, c, ca.testCA)
	if _, err := s.dials(nil); err == nil {
		t.Error("there is a certificate before the CA was convinced")
	}
	close(ready)
	waitFor(t, "the certificate", func() bool { return strings.Contains(s.log.String(), "certificate obtained") })
	var health wire.Health
	if s.succeeds(t, "GET", wire.PathHealth, nil, nil, &health); health.Node != "node.example" {
		t.Errorf("got %+v", health)
	}
	for _, change := range []func(*tls.Config){
		func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "node.example", true },
		func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "stranger.example", true },
		func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true },
		func(c *tls.Config) { c.NextProtos = []string{acme.ALPNProto} }, // the challenge is over
		func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 },
	} {
		if conn, err := s.dials(change); err == nil {
			t.Errorf("got the certificate of %q", conn.ConnectionState().PeerCertificates[0].DNSNames)
		}
	}
	rsaOnly := func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	if _, err := s.dials(rsaOnly); err == nil {
		t.Error("a visitor gets another kind of certificate")
	}
	serial := s.serial(t)
	dir := filepath.Join(c.Data, acmeFolder)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("kept are %v, %v", files, err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, files[0].Name()): 0o600, filepath.Join(dir, files[1].Name()): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	s.ends(t)
	visits := len(ca.visits)
	again := runsSecured(t, c, ca.testCA)
	waitFor(t, "the certificate", func() bool { return strings.Contains(again.log.String(), "certificate obtained") })
	if got := again.serial(t); got != serial || ca.orders != 1 || len(ca.visits) != visits {
		t.Errorf("a node that starts again has certificate %d and asked %d times for one (%v), want %d and once", got, ca.orders, ca.visits[visits:], serial)
	}
	again.ends(t)
	if log := s.log.String() + again.log.String(); strings.Contains(log, "PRIVATE") || strings.Contains(log, "127.0.0.1:0") {
		t.Errorf("the log tells too much: %s", log)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := Run(ctx, c, slog.New(slog.DiscardHandler), func(string) { stop() }); err == nil || !strings.Contains(err.Error(), "a folder with mode 0700 was expected") {
		t.Errorf("a folder that is open to others: got %v", err)
	}
}

// TestACMEFails has a CA that does not find the node: the node says so, asks no
// more than it has to whoever visits, and ends at once when it is told to.
func TestACMEFails(t *testing.T) {
	ca := newACMECA(t, func() string { return "127.0.0.1:1" })
	s := runsSecured(t, ca.config(t), ca.testCA)
	waitFor(t, "the failure", func() bool {
		return strings.Contains(s.log.String(), "no certificate; the host has to lead to this node at port 443")
	})
	for range 5 {
		if _, err := s.dials(nil); err == nil {
			t.Error("there is a certificate")
		}
	}
	ca.mu.Lock()
	orders := ca.orders
	ca.mu.Unlock()
	s.ends(t)
	if orders > 2 { // autocert sees whether a second order is ready already
		t.Errorf("%d orders were made", orders)
	}
}

// TestACMEHangs ends a node whose CA does not answer.
func TestACMEHangs(t *testing.T) {
	over, asked := make(chan struct{}), make(chan struct{}, 10)
	ca := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	c := devConfig(t)
	c.Dev, c.Name, c.TLS = false, "node.example", TLSConfig{ACME: true, ACMEDirectory: ca.URL}
	s := runsSecured(t, c, newTestCA())
	<-asked
	s.ends(t)
	close(over)
	ca.Close()
	if log := s.log.String(); strings.Contains(log, "no certificate") {
		t.Errorf("an end is taken for a failure: %s", log)
	}
}

// TestACMETries wants pauses to grow with failures in a row, and a failure after weeks
// of success to be followed by a short one.
func TestACMETries(t *testing.T) {
	var tries acmeTries
	failure := errors.New("no")
	for i, test := range []struct {
		err  error
		want time.Duration
	}{
		{failure, acmePause}, {failure, 2 * acmePause}, {failure, 4 * acmePause}, {nil, acmeLook}, {nil, acmeLook}, {nil, acmeLook},
		{failure, acmePause}, {failure, 2 * acmePause}, {failure, 4 * acmePause}, {failure, 8 * acmePause}, {failure, 16 * acmePause}, {failure, acmeMostPause}, {failure, acmeMostPause},
	} {
		if got := tries.next(test.err); got != test.want {
			t.Errorf("try %d: %v later, want %v", i, got, test.want)
		}
	}
}
