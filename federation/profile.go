package federation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-fed/httpsig"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The profile of draft-cavage that nodes speak. A request looks like this, the
// Signature header on one line:
//
//	POST /federation/v1/keys HTTP/1.1
//	Host: b.example
//	Content-Type: application/json
//	Digest: SHA-256=<44 characters of base64>
//	Peerbrain-Nonce: <52 characters of base32>
//	Signature: keyId="a.example/<52 characters of base32>",algorithm="hs2019",
//	  created=1767225600,expires=1767225720,
//	  headers="(request-target) (created) (expires) host digest peerbrain-nonce",
//	  signature="<88 characters of base64>"
//
// and what is signed is
//
//	(request-target): post /federation/v1/keys
//	(created): 1767225600
//	(expires): 1767225720
//	host: b.example
//	digest: SHA-256=...
//	peerbrain-nonce: ...
//
// TestVectors holds both to docs/vectors/request-signature.json.
const (
	coveredHeaders  = "(request-target) (created) (expires) host digest peerbrain-nonce"
	headerNonce     = "Peerbrain-Nonce"
	headerDigest    = "Digest"
	headerSignature = "Signature"

	// requestLifetime is what our own requests are given, in seconds: enough for
	// a receiver whose clock is ahead of ours, and not long to remember.
	requestLifetime = 120
)

var paths = []string{wire.PathPeerKeys, wire.PathPeerFriends, wire.PathPeerSync, wire.PathPeerNotices}

var (
	base64Digest = base64.StdEncoding.Strict()
	covered      = strings.Fields(coveredHeaders)
)

// sign returns the headers of a POST of body to path at host.
func sign(self, host wire.NodeName, key wire.NodeRequestSecret, path string, body []byte, nonce wire.Nonce) (http.Header, error) {
	signer, algorithm, err := httpsig.NewSigner([]httpsig.Algorithm{httpsig.ED25519}, httpsig.DigestSha256, covered, httpsig.Signature, requestLifetime)
	if err != nil || algorithm != httpsig.ED25519 {
		return nil, fmt.Errorf("making a signer for %q: %w", algorithm, err)
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}, Header: http.Header{
		"Host":         {string(host)},
		"Content-Type": {wire.MediaJSON},
		headerNonce:    {nonce.String()},
	}}
	if body == nil {
		body = []byte{} // a nil body gets no digest
	}
	if err := signer.SignRequest(key.Private(), keyID(self, key.Public()), r, body); err != nil {
		return nil, fmt.Errorf("signing a request to %q: %w", host, err)
	}
	return r.Header, nil
}

// keyID writes the node and its public key; it holds no comma.
func keyID(n wire.NodeName, k wire.NodeRequestKey) string {
	return string(n) + "/" + wire.Nonce(k).String()
}

// A claim is a request whose form is right. Nothing in it is proved; the name of
// the node is judged by Client.checkPeer.
type claim struct {
	node             wire.NodeName
	key              wire.NodeRequestKey
	created, expires int64 // s since 1970
	nonce            wire.Nonce
	http             http.Request // for the library: what is covered, and no more
}

// fields are the header lines that the profile speaks of.
type fields struct{ host, contentType, digest, nonce, signature, length string }

// readClaim checks everything about the form of r. The errors are for the log.
func readClaim(r RawRequest, hosts []wire.NodeName) (*claim, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("method %q", r.Method)
	}
	if !slices.Contains(paths, r.Target) { // byte for byte: no query, no escape, no absolute form
		return nil, fmt.Errorf("target %q", r.Target)
	}
	f, err := readFields(r.Headers)
	if err != nil {
		return nil, err
	}
	if f.contentType != wire.MediaJSON {
		return nil, fmt.Errorf("content type %q", f.contentType)
	}
	if f.length != "" && f.length != strconv.Itoa(len(r.Body)) {
		return nil, fmt.Errorf("content length %q with a body of %d bytes", f.length, len(r.Body))
	}
	if !slices.Contains(hosts, wire.NodeName(f.host)) {
		return nil, fmt.Errorf("host %q is not ours", f.host)
	}
	c := new(claim)
	if err := c.nonce.UnmarshalText([]byte(f.nonce)); err != nil {
		return nil, err
	}
	if err := c.readSignature(f.signature); err != nil {
		return nil, err
	}
	if !digestFits(f.digest, r.Body) {
		return nil, errors.New("the digest is not that of the body")
	}
	c.http = http.Request{Method: http.MethodPost, URL: &url.URL{Path: r.Target}, Header: http.Header{
		"Host":          {f.host},
		headerDigest:    {f.digest},
		headerNonce:     {f.nonce},
		headerSignature: {f.signature},
	}}
	return c, nil
}

// readFields picks the headers out: each at most once, and none of those that
// would make two readers see two requests.
func readFields(headers [][2]string) (f fields, err error) {
	for _, h := range headers {
		var field *string
		switch textproto.CanonicalMIMEHeaderKey(h[0]) {
		case "Host":
			field = &f.host
		case "Content-Type":
			field = &f.contentType
		case headerDigest:
			field = &f.digest
		case headerNonce:
			field = &f.nonce
		case headerSignature:
			field = &f.signature
		case "Content-Length":
			field = &f.length
		case "Authorization", "Content-Encoding", "Transfer-Encoding", "Trailer", "Upgrade":
			return f, fmt.Errorf("a header %q", h[0])
		default:
			continue
		}
		if *field != "" || h[1] == "" {
			return f, fmt.Errorf("header %q is empty or there twice", h[0])
		}
		*field = h[1]
	}
	return f, nil
}

// digestFits compares in constant time, and accepts one spelling.
func digestFits(header string, body []byte) bool {
	sum := sha256.Sum256(body)
	var want [8 + 44]byte
	copy(want[:], "SHA-256=")
	base64Digest.Encode(want[8:], sum[:])
	return subtle.ConstantTimeCompare([]byte(header), want[:]) == 1
}

// readSignature accepts the one spelling of a Signature header.
func (c *claim) readSignature(h string) error {
	id, h, ok := between(h, `keyId="`, `",`)
	created, h, ok1 := between(h, `algorithm="hs2019",created=`, `,`)
	expires, h, ok2 := between(h, `expires=`, `,`)
	list, h, ok3 := between(h, `headers="`, `",`)
	sig, rest, ok4 := between(h, `signature="`, `"`)
	if !ok || !ok1 || !ok2 || !ok3 || !ok4 || rest != "" {
		return errors.New("the signature header has another form")
	}
	if list != coveredHeaders {
		return fmt.Errorf("the signature covers %q", list)
	}
	if err := c.readKeyID(id); err != nil {
		return err
	}
	if c.created, ok = parseSecond(created); !ok {
		return fmt.Errorf("created %q", created)
	}
	if c.expires, ok = parseSecond(expires); !ok {
		return fmt.Errorf("expires %q", expires)
	}
	raw, err := base64Digest.DecodeString(sig)
	if err != nil || len(raw) != ed25519.SignatureSize || base64Digest.EncodeToString(raw) != sig {
		return errors.New("the signature is not 64 bytes in strict base64")
	}
	return nil
}

func (c *claim) readKeyID(id string) error {
	node, key, ok := strings.Cut(id, "/")
	if !ok {
		return fmt.Errorf("key id %q", id)
	}
	c.node = wire.NodeName(node)
	return (*wire.Nonce)(&c.key).UnmarshalText([]byte(key))
}

// between cuts prefix, a value without end, and end from the front of s.
func between(s, prefix, end string) (value, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, prefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, end)
}

// parseSecond accepts positive numbers in decimal, without sign or leading zero.
func parseSecond(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == s
}

// checkTimes holds c against the clock.
func (c *claim) checkTimes(now time.Time) error {
	s := now.Unix()
	switch {
	case c.expires <= c.created || c.expires-c.created > int64(wire.SignatureLifetime/time.Second):
		return fmt.Errorf("a lifetime of %d s", c.expires-c.created)
	case c.created-s > int64(wire.SignatureAhead/time.Second):
		return fmt.Errorf("created %d s ahead", c.created-s)
	case s > c.expires:
		return fmt.Errorf("expired %d s ago", s-c.expires)
	}
	return nil
}

// checkSignature verifies c under its own key id, which the caller has found in
// the node's document.
func (c *claim) checkSignature() error {
	v, err := httpsig.NewVerifier(&c.http)
	if err != nil {
		return err
	}
	return v.Verify(ed25519.PublicKey(c.key[:]), httpsig.ED25519)
}
