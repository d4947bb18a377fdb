package node

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"golang.org/x/crypto/acme/autocert"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A TLSConfig says with what a node speaks TLS by itself: a certificate from
// files, or one that it gets from a CA. Without both it speaks plain HTTP.
type TLSConfig struct {
	CertFile      string // path of the certificate and its chain, PEM
	KeyFile       string // path of its private key, PEM
	ACME          bool
	ACMEDirectory string // URL of the CA (RFC 8555, section 7.1.1)
}

func defaultTLS() TLSConfig { return TLSConfig{ACMEDirectory: autocert.DefaultACMEDirectory} }

// tlsSettings are those of TLS by the node itself.
func tlsSettings() []Setting {
	return []Setting{
		text("tls.cert_file", "the `file` of the certificate and its chain, PEM; empty for plain HTTP behind a proxy", func(c *Config) *string { return &c.TLS.CertFile }),
		text("tls.key_file", "the `file` of the certificate's private key, PEM", func(c *Config) *string { return &c.TLS.KeyFile }),
		{Key: "tls.acme", Usage: "get a certificate from the CA at tls.acme_directory, whose terms are accepted thereby", Switch: true,
			set: func(c *Config, s string) error { return parseInto(&c.TLS.ACME, s, strconv.ParseBool, "true or false") },
			get: func(c *Config) string { return strconv.FormatBool(c.TLS.ACME) }},
		text("tls.acme_directory", "the `URL` of the CA's ACME directory", func(c *Config) *string { return &c.TLS.ACMEDirectory }),
	}
}

// apiHost is where the API is served.
func (c *Config) apiHost() wire.NodeName { return cmp.Or(c.Host, c.Name) }

func (c *Config) checkTLS() error {
	files := c.TLS.CertFile != "" || c.TLS.KeyFile != ""
	switch {
	case files && c.TLS.ACME:
		return errors.New("tls: cert_file and key_file, or acme: one of both was expected")
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return errors.New("tls: cert_file and key_file belong together")
	case c.Dev && (files || c.TLS.ACME):
		return errors.New("tls: --dev serves plain http; leave cert_file, key_file and acme away")
	case c.TLS.ACME && !isDirectory(c.TLS.ACMEDirectory):
		return fmt.Errorf("tls.acme_directory: an https URL such as %s was expected", autocert.DefaultACMEDirectory)
	}
	return nil
}

// isDirectory accepts https, and plain http for a CA on this machine.
func isDirectory(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.User == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
}
