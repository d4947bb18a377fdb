package forgery

import (
	"encoding/base64"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// lowOrder is the neutral element, and universal what verifies under it whatever
// was signed: R the neutral element, S zero.
var lowOrder = wire.NodeRequestKey{1}

func universal(r *Request) {
	spell(func(string) string { return base64.StdEncoding.EncodeToString(append([]byte{1}, make([]byte, 63)...)) })(r)
}

// keys is F2 and F8, and of F10 what needs no document of its own (see
// Suite.Documents).
func keys(me, other Signer) []Forgery {
	pub := me.Request.Public()
	key, name := wire.Nonce(pub).String(), string(me.Name)
	id := func(s string) func(*Pen) { return func(p *Pen) { p.KeyID = s } }
	f := []Forgery{
		before("F2 another node's key under my key id", func(p *Pen) { p.Key = other.Request.Private() }),
		before("F2 another node's key under my name", func(p *Pen) {
			p.Key, p.KeyID = other.Request.Private(), KeyID(me.Name, other.Request.Public())
		}),
		before("F2 my key under another node's name", id(KeyID(other.Name, pub))),
		before("F2 the root key", id(name+"/"+wire.Nonce(me.Root.Public()).String())),
		before("F8 key id of 31 bytes", id(name+"/"+key[:50])),
		before("F8 key id of 33 bytes", id(name+"/"+key+"a")),
		before("F8 key id without key", id(name+"/")),
		before("F8 key id without node", id("/"+key)),
		before("F8 key id with two slashes", id(name+"//"+key)),
		before("F8 key id in capitals", id(strings.ToUpper(name+"/"+key))),
		before("F8 key id with a URL", id("http://"+name+"/"+key)),
		before("F8 key id with a port of a public name", id("a.example:8080/"+key)),
		before("F8 key id with an address", id("127.0.0.1/"+key)),
		before("F8 key id with a comma", id(name+",x/"+key)),
		before("F8 empty key id", id("")),
		{Name: "F8 low order key", Before: id(KeyID(me.Name, lowOrder)), After: universal},
		before("F8 zero key", id(KeyID(me.Name, wire.NodeRequestKey{}))),
		before("F10 unknown key", func(p *Pen) {
			s := NewSigner(me.Name)
			p.Key, p.KeyID = s.Request.Private(), KeyID(me.Name, s.Request.Public())
		}),
		before("F10 unreachable node", id(KeyID("localhost:1", pub))),
		before("F10 the verifier's own name", func(p *Pen) { p.KeyID = KeyID(wire.NodeName(p.Host), pub) }),
		before("F8 HMAC with the public key", func(p *Pen) { p.MAC = pub[:] }),
		before("F8 HMAC with the public key, and says so", func(p *Pen) { p.MAC, p.Algorithm = pub[:], "hmac-sha512" }),
	}
	for _, alg := range []string{"", "ed25519", "hmac-sha256", "rsa-sha256", "HS2019", "none"} {
		f = append(f, before("F8 algorithm "+alg, func(p *Pen) { p.Algorithm = alg }))
	}
	return f
}
