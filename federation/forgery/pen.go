package forgery

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Covered is the one list of headers that a signature covers.
const Covered = "(request-target) (created) (expires) host digest peerbrain-nonce"

// A Signer is a node whose keys the test has.
type Signer struct {
	Name    wire.NodeName
	Root    wire.NodeRootSecret
	Request wire.NodeRequestSecret
}

// NewSigner makes new keys.
func NewSigner(name wire.NodeName) Signer {
	return Signer{name, wire.NewNodeRootSecret(random()), wire.NewNodeRequestSecret(random())}
}

// random never fails: crypto/rand ends the process instead.
func random() (b [32]byte) {
	rand.Read(b[:])
	return b
}

// KeyID writes a node and a key as the parameter keyId has it.
func KeyID(n wire.NodeName, k wire.NodeRequestKey) string {
	return string(n) + "/" + wire.Nonce(k).String()
}

// A Pen holds all that a request says, each to be changed at will before Write.
type Pen struct {
	Now                                     time.Time // at which the request is honest
	Method, Target, Host, ContentType, Body string
	KeyID, Algorithm                        string
	Key                                     ed25519.PrivateKey
	MAC                                     []byte // if set, the secret of an HMAC-SHA-512 in place of the signature: 64 bytes as well
	Created, Expires                        string // s since 1970
	Digest                                  string // "" for the right one
	Nonce                                   string
	Covered                                 string
	Extra                                   [][2]string // more headers
}

// NewPen is ready to write an honest request of from to the node called to, with
// a life of a minute.
func NewPen(from Signer, to wire.NodeName, route Route, now time.Time) *Pen {
	p := &Pen{
		Now: now, Method: "POST", Target: route.Path, Host: string(to), ContentType: wire.MediaJSON, Body: route.Body,
		KeyID: KeyID(from.Name, from.Request.Public()), Algorithm: "hs2019", Key: from.Request.Private(),
		Nonce: wire.Nonce(random()).String(), Covered: Covered,
	}
	p.Created, p.Expires = p.At(0), p.At(60)
	return p
}

// At is the second d s after Now.
func (p *Pen) At(d int64) string { return strconv.FormatInt(p.Now.Unix()+d, 10) }

// SigningString is what Write signs; it needs the digest that Write fills in.
func (p *Pen) SigningString() string {
	values := map[string]string{
		"(request-target)": strings.ToLower(p.Method) + " " + p.Target, "(created)": p.Created, "(expires)": p.Expires,
		"host": p.Host, "digest": p.Digest, "peerbrain-nonce": p.Nonce, "content-type": p.ContentType,
	}
	var lines []string
	for _, h := range strings.Fields(p.Covered) {
		lines = append(lines, h+": "+values[h])
	}
	return strings.Join(lines, "\n")
}

// Write signs what p says.
func (p *Pen) Write() Request {
	if p.Digest == "" {
		p.Digest = "SHA-256=" + digest(p.Body)
	}
	sig := base64.StdEncoding.EncodeToString(p.sign([]byte(p.SigningString())))
	return Request{Method: p.Method, Target: p.Target, Body: []byte(p.Body), Headers: append([][2]string{
		{"Host", p.Host}, {"Content-Type", p.ContentType}, {"Content-Length", strconv.Itoa(len(p.Body))},
		{"Digest", p.Digest}, {"Peerbrain-Nonce", p.Nonce},
		{"Signature", fmt.Sprintf(`keyId="%s",algorithm="%s",created=%s,expires=%s,headers="%s",signature="%s"`,
			p.KeyID, p.Algorithm, p.Created, p.Expires, p.Covered, sig)},
	}, p.Extra...)}
}

func (p *Pen) sign(message []byte) []byte {
	if p.MAC == nil {
		return ed25519.Sign(p.Key, message)
	}
	m := hmac.New(sha512.New, p.MAC)
	m.Write(message)
	return m.Sum(nil)
}

// digest is the SHA-256 of body in base64.
func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}
