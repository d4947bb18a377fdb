package federation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A pen signs requests by hand, so that it can sign what sign would not.
type pen struct {
	method, target, host, contentType, body string
	keyID, algorithm                        string
	key                                     ed25519.PrivateKey
	created, expires                        string
	digest                                  string // "" for the right one
	nonce                                   string
	covered                                 string
	extra                                   [][2]string
}

func keysBody() string {
	return string(wire.EncodeJSON(wire.KeysRequest{Address: wire.Address{Handle: "bob", Node: "b.example"}}))
}

// newPen is ready to write an honest request.
func newPen(from, to wire.NodeName, s Secrets, now time.Time) *pen {
	return &pen{
		method: "POST", target: wire.PathPeerKeys, host: string(to), contentType: wire.MediaJSON, body: keysBody(),
		keyID: keyID(from, s.Request.Public()), algorithm: "hs2019", key: s.Request.Private(),
		created: strconv.FormatInt(now.Unix(), 10), expires: strconv.FormatInt(now.Unix()+60, 10),
		nonce: newNonce().String(), covered: coveredHeaders,
	}
}

func (p *pen) signingString() string {
	var lines []string
	for _, h := range strings.Fields(p.covered) {
		value := map[string]string{
			"(request-target)": strings.ToLower(p.method) + " " + p.target, "(created)": p.created, "(expires)": p.expires,
			"host": p.host, "digest": p.digest, "peerbrain-nonce": p.nonce, "content-type": p.contentType,
		}[h]
		lines = append(lines, h+": "+value)
	}
	return strings.Join(lines, "\n")
}

func (p *pen) write() RawRequest {
	if p.digest == "" {
		sum := sha256.Sum256([]byte(p.body))
		p.digest = "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(p.key, []byte(p.signingString())))
	return RawRequest{Method: p.method, Target: p.target, Body: []byte(p.body), Headers: append([][2]string{
		{"Host", p.host}, {"Content-Type", p.contentType}, {"Content-Length", strconv.Itoa(len(p.body))},
		{"Digest", p.digest}, {"Peerbrain-Nonce", p.nonce},
		{"Signature", fmt.Sprintf(`keyId="%s",algorithm="%s",created=%s,expires=%s,headers="%s",signature="%s"`, p.keyID, p.algorithm, p.created, p.expires, p.covered, sig)},
	}, p.extra...)}
}

// header returns a pointer to the first value of name.
func header(r *RawRequest, name string) *string {
	for i := range r.Headers {
		if r.Headers[i][0] == name {
			return &r.Headers[i][1]
		}
	}
	panic("no header " + name)
}

func drop(r *RawRequest, name string) {
	for i := range r.Headers {
		if r.Headers[i][0] == name {
			r.Headers = append(r.Headers[:i:i], r.Headers[i+1:]...)
			return
		}
	}
}

func add(r *RawRequest, name, value string) {
	r.Headers = append(r.Headers, [2]string{name, value})
}

// the401 is what every forgery gets.
var the401 = string(wire.EncodeJSON(wire.ProblemOf(wire.Unauthenticated)))
