package node

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TLS by the node itself. The certificate comes from files, which are read again
// when they change, or from an ACME CA (acme.go). Either way it is for the host
// of the API.

// certificateLook is how long it takes until changed files are noticed.
const certificateLook = 10 * time.Second

// secured is how a node speaks TLS by itself.
type secured struct {
	config *tls.Config
	tend   func(context.Context) // keeps the certificate fresh until the context ends
}

// openTLS returns nil for a node that speaks plain HTTP.
func openTLS(c *Config, log *slog.Logger) (*secured, error) {
	switch {
	case c.TLS.ACME:
		return openACME(c, log)
	case c.TLS.CertFile != "":
		return openCertificateFiles(c, log)
	}
	return nil, nil
}

// secure makes what a listener needs of what has the certificate. Clients are
// told that HTTP/1.1 is spoken here, and nothing else.
func secure(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), tend func(context.Context), others ...string) *secured {
	return &secured{&tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     append([]string{"http/1.1"}, others...),
		GetCertificate: get,
	}, tend}
}

// certificateFiles are a certificate with its chain and its key, in PEM.
type certificateFiles struct {
	cert, key string
	host      wire.NodeName
	log       *slog.Logger
	tried     string // what was found last, good or bad
	current   atomic.Pointer[tls.Certificate]
}

func openCertificateFiles(c *Config, log *slog.Logger) (*secured, error) {
	f := &certificateFiles{cert: c.TLS.CertFile, key: c.TLS.KeyFile, host: c.apiHost(), log: log}
	pair, found, err := f.load()
	if err != nil {
		return nil, err
	}
	f.tried = found
	f.current.Store(pair)
	return secure(f.get, f.tend), nil
}

func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load(), nil
}

// load reads and judges both files, and tells in few bytes what it found.
func (f *certificateFiles) load() (pair *tls.Certificate, found string, err error) {
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return nil, err.Error(), fmt.Errorf("tls.cert_file: %w", err)
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return nil, err.Error(), fmt.Errorf("tls.key_file: %w", err)
	}
	sums := sha256.Sum256(cert)
	sum := sha256.Sum256(append(sums[:], key...))
	pair, err = f.judge(cert, key)
	return pair, string(sum[:]), err
}

func (f *certificateFiles) judge(cert, key []byte) (*tls.Certificate, error) {
	block, _ := pem.Decode(cert)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("tls.cert_file: a certificate in PEM was expected at the beginning of %s", f.cert)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("tls.cert_file: the certificate in %s is malformed", f.cert)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tls.key_file: the private key, in PEM, that fits the certificate in %s was expected in %s", f.cert, f.key)
	}
	if now := time.Now(); now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("tls.cert_file: the certificate in %s has expired on %s", f.cert, leaf.NotAfter.UTC().Format(time.DateTime))
	} else if now.Before(leaf.NotBefore) {
		return nil, fmt.Errorf("tls.cert_file: the certificate in %s is valid from %s on only", f.cert, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	if leaf.VerifyHostname(string(f.host)) != nil {
		return nil, fmt.Errorf("tls.cert_file: a certificate for %s was expected in %s; it is for %q", f.host, f.cert, leaf.DNSNames)
	}
	return &pair, nil
}

// reload takes what is in the files now, unless it was tried before and nobody
// asks for it. What is wrong with it changes nothing.
func (f *certificateFiles) reload(asked bool) {
	pair, found, err := f.load()
	if found == f.tried && !asked {
		return
	}
	f.tried = found
	if err != nil {
		f.log.Error("certificate not reloaded: the one from before is served on", "error", err)
		return
	}
	f.current.Store(pair)
	f.log.Info("certificate reloaded", "until", pair.Leaf.NotAfter)
}

// tend reloads when the files change and at HUP.
func (f *certificateFiles) tend(ctx context.Context) {
	look := time.NewTicker(certificateLook)
	defer look.Stop()
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	f.watch(ctx, look.C, hups)
}

func (f *certificateFiles) watch(ctx context.Context, look <-chan time.Time, hups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-look:
			f.reload(false)
		case <-hups:
			f.reload(true)
		}
	}
}
