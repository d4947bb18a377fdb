package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	acmeFolder = "acme" // in the data folder
	// After a failure, growing. CAs count failures: Let's Encrypt takes five an hour.
	acmePause     = 15 * time.Minute
	acmeMostPause = 6 * time.Hour
	acmeTimeout   = 30 * time.Second // of one request to the CA
	acmeLook      = 12 * time.Hour   // between looks at how long the certificate is still valid
)

var errNoCertificate = errors.New("there is no certificate for that name")

// An acmeCertificate is got from a CA and renewed there. The CA proves that the
// host is this node by a TLS handshake with it (TLS-ALPN-01, RFC 8737), so port
// 443 of the host has to lead to the node, and no other port. The node asks of its
// own accord: no visitor makes it, whatever names they ask for.
type acmeCertificate struct {
	host    string
	manager *autocert.Manager
	log     *slog.Logger
	got     atomic.Bool
}

func openACME(c *Config, log *slog.Logger) (*secured, error) {
	dir := filepath.Join(c.Data, acmeFolder)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is made when there is something to keep
	case err != nil:
		return nil, fmt.Errorf("tls.acme: %w", err)
	case !info.IsDir() || info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("tls.acme: %s holds private keys: a folder with mode 0700 was expected, not %v", dir, info.Mode())
	}
	a := &acmeCertificate{host: string(c.apiHost()), log: log}
	a.manager = &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(dir),
		HostPolicy: autocert.HostWhitelist(a.host),
		Client: &acme.Client{
			DirectoryURL: c.TLS.ACMEDirectory, UserAgent: "peerbrain",
			HTTPClient: &http.Client{Timeout: acmeTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		},
	}
	return secure(a.get, a.tend, acme.ALPNProto), nil
}

// get answers the CA, and visitors once there is a certificate.
func (a *acmeCertificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	switch {
	case hello.ServerName != a.host:
		return nil, errNoCertificate
	case slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}):
		return a.manager.GetCertificate(hello)
	case !a.got.Load():
		return nil, errNoCertificate
	}
	return a.certificate()
}

// certificate returns the one that there is, or gets one. It is of the one kind
// that all who speak TLS 1.2 understand, ECDSA, whoever asks.
func (a *acmeCertificate) certificate() (*tls.Certificate, error) {
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: a.host, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// tend gets the certificate, and says so when it is not renewed, which autocert
// does by itself.
func (a *acmeCertificate) tend(ctx context.Context) {
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	for tries := new(acmeTries); ; {
		err := a.obtain(ctx)
		wait := tries.next(err)
		if err != nil && ctx.Err() == nil {
			a.log.Error("no certificate; the host has to lead to this node at port 443", "host", a.host, "again", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hups:
		case <-time.After(wait):
		}
	}
}

// acmeTries tell when to look again.
type acmeTries struct{ pause time.Duration } // after the last failure, 0 after a success

// next returns how long to wait after a try that ended with err.
func (t *acmeTries) next(err error) time.Duration {
	if err == nil {
		t.pause = 0
		return acmeLook
	}
	t.pause = min(max(2*t.pause, acmePause), acmeMostPause)
	return t.pause
}

// obtain waits for the certificate, or for ctx. autocert cannot be told to end:
// what it does then goes on for five minutes at most, or until the process ends.
func (a *acmeCertificate) obtain(ctx context.Context) error {
	type result struct {
		cert *tls.Certificate
		err  error
	}
	done := make(chan result, 1)
	go func() {
		cert, err := a.certificate()
		done <- result{cert, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		leaf := r.cert.Leaf
		if !a.got.Swap(true) {
			a.log.Info("certificate obtained", "host", a.host, "until", leaf.NotAfter)
		}
		if time.Until(leaf.NotAfter) < leaf.NotAfter.Sub(leaf.NotBefore)/6 { // it was due at a third
			a.log.Error("the certificate was not renewed", "host", a.host, "until", leaf.NotAfter)
		}
		return nil
	}
}
