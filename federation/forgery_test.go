package federation

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A forgery changes an honest request before or after it is signed.
type forgery struct {
	name   string
	before func(*pen)
	after  func(*RawRequest)
}

func seconds(d int64) string { return strconv.FormatInt(time.Now().Unix()+d, 10) }

func md5Digest(s string) string {
	sum := md5.Sum([]byte(s))
	return "MD5=" + base64.StdEncoding.EncodeToString(sum[:])
}

// edit replaces old in the Signature header.
func edit(old, new string) func(*RawRequest) {
	return func(r *RawRequest) {
		h := header(r, "Signature")
		if !strings.Contains(*h, old) {
			panic("nothing to edit: " + old)
		}
		*h = strings.Replace(*h, old, new, 1)
	}
}

func signatureOf(r *RawRequest) string {
	_, s, _ := strings.Cut(*header(r, "Signature"), `signature="`)
	return strings.TrimSuffix(s, `"`)
}

func (f forgery) write(p *pen) RawRequest {
	if f.before != nil {
		f.before(p)
	}
	r := p.write()
	if f.after != nil {
		f.after(&r)
	}
	return r
}

func set(name, value string) func(*RawRequest) {
	return func(r *RawRequest) { *header(r, name) = value }
}

func body(s string) func(*RawRequest) {
	return func(r *RawRequest) {
		r.Body = []byte(s)
		set("Content-Length", strconv.Itoa(len(s)))(r)
	}
}

func unsigned() []forgery {
	return []forgery{
		{"F1 unsigned", nil, func(r *RawRequest) { drop(r, "Signature") }},
		{"F1 empty signature", nil, set("Signature", "")},
		{"F1 signature in Authorization", nil, func(r *RawRequest) {
			add(r, "Authorization", "Signature "+*header(r, "Signature"))
			drop(r, "Signature")
		}},
		{"F1 Authorization beside it", nil, func(r *RawRequest) { add(r, "Authorization", "Bearer x") }},
		{"F1 nonsense", nil, set("Signature", "yes")},
	}
}

func targets() []forgery {
	f := []forgery{
		{"F3 other host", nil, set("Host", "other.example")},
		{"F3 other host, signed", func(p *pen) { p.host = "other.example" }, nil},
		{"F3 host of the sender", func(p *pen) { p.host, _, _ = strings.Cut(p.keyID, "/") }, nil},
		{"F3 host in capitals", func(p *pen) { p.host = strings.ToUpper(p.host) }, nil},
		{"F3 host with dot", func(p *pen) { p.host += "." }, nil},
		{"F3 second host", nil, func(r *RawRequest) { add(r, "Host", "other.example") }},
		{"F3 same host twice", nil, func(r *RawRequest) { add(r, "host", *header(r, "Host")) }},
		{"F3 no host", nil, func(r *RawRequest) { drop(r, "Host") }},
		{"F4 other path after signing", nil, func(r *RawRequest) { r.Target = wire.PathPeerSync }},
		{"F4 query after signing", nil, func(r *RawRequest) { r.Target += "?a=b" }},
	}
	for _, m := range []string{"GET", "PUT", "DELETE", "post", "HEAD", "OPTIONS", "PATCH"} {
		f = append(f,
			forgery{"F4 method " + m, nil, func(r *RawRequest) { r.Method = m }},
			forgery{"F4 signed method " + m, func(p *pen) { p.method = m }, nil})
	}
	for _, to := range []string{
		wire.PathPeerKeys + "?", wire.PathPeerKeys + "?a=b", wire.PathPeerKeys + "/", wire.PathPeerKeys + "%0A", wire.PathPeerKeys + "%00",
		wire.PathPeerKeys + "%3F", wire.PathPeerKeys + "#x", "/federation%2Fv1/keys", "/federation/v1%2fkeys", "//federation/v1/keys", "/federation//v1/keys",
		"/federation/./v1/keys", "/x/../federation/v1/keys", "/Federation/v1/keys", "/federation/v1/%6beys", "/federation/v1/keys;x", "/federation/v1",
		"/", "*", wire.PathDocument + "x", wire.PathKeys, "http://b.example" + wire.PathPeerKeys, "federation/v1/keys",
	} {
		f = append(f,
			forgery{"F4 target " + to, nil, func(r *RawRequest) { r.Target = to }},
			forgery{"F4 signed target " + to, func(p *pen) { p.target = to }, nil})
	}
	return f
}

func digests() []forgery {
	other := strings.Replace(keysBody(), "bob", "eve", 1)
	sum := sha256.Sum256([]byte(keysBody()))
	b64 := base64.StdEncoding.EncodeToString(sum[:])
	without := strings.Replace(coveredHeaders, " digest", "", 1)
	return []forgery{
		{"F5 body swapped", nil, body(other)},
		{"F5 body emptied", nil, body("")},
		{"F5 body longer", nil, body(keysBody() + " ")},
		{"F5 body added to an empty one", func(p *pen) { p.body = "" }, body(keysBody())},
		{"F5 body and digest swapped", nil, func(r *RawRequest) {
			sum := sha256.Sum256([]byte(other))
			body(other)(r)
			set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))(r)
		}},
		{"F5 digest of another body, signed", func(p *pen) { p.digest = "SHA-256=" + strings.Repeat("A", 43) + "=" }, nil},
		{"F5 no digest", nil, func(r *RawRequest) { drop(r, "Digest") }},
		{"F5 no digest, not covered", func(p *pen) { p.covered = without }, func(r *RawRequest) { drop(r, "Digest") }},
		{"F5 digest not covered", func(p *pen) { p.covered = without }, nil},
		{"F5 body swapped, digest not covered", func(p *pen) { p.covered = without }, body(other)},
		{"F5 digest twice", nil, func(r *RawRequest) { add(r, "Digest", *header(r, "Digest")) }},
		{"F5 digest listed twice", func(p *pen) { p.digest = "SHA-256=" + b64 + ",SHA-256=" + b64 }, nil},
		{"F5 md5", func(p *pen) { p.digest = md5Digest(p.body) }, nil},
		{"F5 md5 beside", func(p *pen) { p.digest = "SHA-256=" + b64 + "," + md5Digest(p.body) }, nil},
		{"F5 sha-256 in lower case", func(p *pen) { p.digest = "sha-256=" + b64 }, nil},
		{"F5 digest unpadded", func(p *pen) { p.digest = "SHA-256=" + strings.TrimRight(b64, "=") }, nil},
		{"F5 digest in base64url", func(p *pen) {
			p.body = `{"k":50}` // its digest has both + and /
			s := sha256.Sum256([]byte(p.body))
			p.digest = "SHA-256=" + base64.URLEncoding.EncodeToString(s[:])
			if !strings.ContainsAny(p.digest, "_") {
				panic("choose another body")
			}
		}, nil},
		{"F5 digest in hex", func(p *pen) { p.digest = fmt.Sprintf("SHA-256=%x", sum) }, nil},
		{"F5 empty digest", nil, set("Digest", "")},
		{"F5 content length differs", nil, func(r *RawRequest) {
			r.Headers = append([][2]string{{"Content-Length", "3"}}, r.Headers...)
		}},
		{"F5 content encoding", func(p *pen) { p.extra = [][2]string{{"Content-Encoding", "gzip"}} }, nil},
		{"F5 identity encoding", func(p *pen) { p.extra = [][2]string{{"content-encoding", "identity"}} }, nil},
		{"F5 transfer encoding", func(p *pen) { p.extra = [][2]string{{"Transfer-Encoding", "chunked"}} }, nil},
		{"F5 trailer", func(p *pen) { p.extra = [][2]string{{"Trailer", "Digest"}} }, nil},
		{"F5 other content type", func(p *pen) { p.contentType = "text/plain" }, nil},
		{"F5 content type with charset", func(p *pen) { p.contentType += "; charset=utf-8" }, nil},
		{"F5 no content type", nil, func(r *RawRequest) { drop(r, "Content-Type") }},
	}
}

func times() []forgery {
	at := func(created, expires string) func(*pen) {
		return func(p *pen) { p.created, p.expires = created, expires }
	}
	ms := strconv.FormatInt(time.Now().UnixMilli(), 10)
	uncovered := func(name string) func(*pen) {
		return func(p *pen) { p.covered = strings.Replace(coveredHeaders, name+" ", "", 1) }
	}
	return []forgery{
		{"F7 301 s old", at(seconds(-301), seconds(-1)), nil},
		{"F7 301 s old with a long life", at(seconds(-301), seconds(60)), nil},
		{"F7 a life of 301 s", at(seconds(0), seconds(301)), nil},
		{"F7 12 s ahead", at(seconds(12), seconds(60)), nil}, // 12: the second may change under way
		{"F7 expires before it was created", at(seconds(5), seconds(4)), nil},
		{"F7 no life", at(seconds(0), seconds(0)), nil},
		{"F7 of 2001", at("1000000000", "1000000100"), nil},
		{"F7 ms", at(ms, ms[:len(ms)-1]+"9"), nil},
		{"F7 created in ms", at(ms, seconds(60)), nil},
		{"F7 negative", at("-1", seconds(60)), nil},
		{"F7 both negative", at("-100", "-50"), nil},
		{"F7 zero", at("0", seconds(60)), nil},
		{"F7 2^63", at("9223372036854775808", seconds(60)), nil},
		{"F7 expires 2^63", at(seconds(0), "9223372036854775808"), nil},
		{"F7 2^63-1", at("9223372036854775807", "9223372036854775807"), nil},
		{"F7 expires overflows", at("-9223372036854775808", "9223372036854775807"), nil},
		{"F7 empty", at("", seconds(60)), nil},
		{"F7 plus sign", at("+"+seconds(0), seconds(60)), nil},
		{"F7 leading zero", at("0"+seconds(0), seconds(60)), nil},
		{"F7 quoted", at(`"`+seconds(0)+`"`, seconds(60)), nil},
		{"F7 fraction", at(seconds(0)+".5", seconds(60)), nil},
		{"F7 space", at(" "+seconds(0), seconds(60)), nil},
		{"F7 created not covered", uncovered("(created)"), nil},
		{"F7 expires not covered", uncovered("(expires)"), nil},
		{"F7 created absent", nil, func(r *RawRequest) {
			h := header(r, "Signature")
			i, j := strings.Index(*h, "created="), strings.Index(*h, "expires=")
			*h = (*h)[:i] + (*h)[j:]
		}},
		{"F7 created respelled with zero", nil, edit("created=", "created=0")},
		{"F7 created respelled with plus", nil, edit("created=", "created=+")},
		{"F7 expires respelled with zero", nil, edit("expires=", "expires=0")},
		{"F7 life prolonged", nil, func(r *RawRequest) {
			h := header(r, "Signature")
			i := strings.Index(*h, "expires=") + len("expires=")
			*h = (*h)[:i] + seconds(200) + (*h)[i+10:]
		}},
	}
}

func shapes() []forgery {
	spell := func(f func(string) string) func(*RawRequest) {
		return func(r *RawRequest) {
			s := signatureOf(r)
			n := f(s)
			if s == n {
				n = f(s) + "!"
			}
			edit(`signature="`+s, `signature="`+n)(r)
		}
	}
	f := []forgery{
		{"F9 second signature header", nil, func(r *RawRequest) { add(r, "Signature", *header(r, "Signature")) }},
		{"F9 second header, other case", nil, func(r *RawRequest) { add(r, "SIGNATURE", "x") }},
		{"F9 an empty signature first", nil, func(r *RawRequest) { r.Headers = append([][2]string{{"Signature", ""}}, r.Headers...) }},
		{"F9 an empty nonce first", nil, func(r *RawRequest) { r.Headers = append([][2]string{{headerNonce, ""}}, r.Headers...) }},
		{"F9 two in one header", nil, func(r *RawRequest) { h := header(r, "Signature"); *h += "," + *h }},
		{"F9 other order", nil, func(r *RawRequest) {
			h := header(r, "Signature")
			p := strings.SplitN(*h, ",", 3)
			*h = p[1] + "," + p[0] + "," + p[2]
		}},
		{"F9 space after comma", nil, edit(`",algorithm`, `", algorithm`)},
		{"F9 parameter twice", nil, edit(`algorithm="hs2019",`, `algorithm="hs2019",algorithm="hs2019",`)},
		{"F9 key id twice", nil, func(r *RawRequest) { h := header(r, "Signature"); *h = `keyId="other.example/x",` + *h }},
		{"F9 unknown parameter", nil, func(r *RawRequest) { h := header(r, "Signature"); *h += `,opaque="x"` }},
		{"F9 comma at the end", nil, func(r *RawRequest) { *header(r, "Signature") += "," }},
		{"F9 covered list in capitals", nil, edit("host digest", "Host Digest")},
		{"F9 two spaces", nil, edit("host digest", "host  digest")},
		{"F9 url alphabet", nil, spell(strings.NewReplacer("+", "-", "/", "_").Replace)},
		{"F9 unpadded", nil, spell(func(s string) string { return strings.TrimRight(s, "=") })},
		{"F9 more padding", nil, spell(func(s string) string { return s + "=" })},
		{"F9 line break", nil, spell(func(s string) string { return s[:40] + "\n" + s[40:] })},
		{"F9 65 bytes", nil, spell(func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 65)) })},
		{"F9 63 bytes", nil, spell(func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 63)) })},
		{"F9 no bytes", nil, spell(func(string) string { return "" })},
		{"F9 zeros", nil, spell(func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, 64)) })},
		{"F9 one bit", nil, spell(func(s string) string {
			b, _ := base64.StdEncoding.DecodeString(s)
			b[10] ^= 4
			return base64.StdEncoding.EncodeToString(b)
		})},
		{"F9 nonce not covered", func(p *pen) { p.covered = strings.TrimSuffix(coveredHeaders, " peerbrain-nonce") }, nil},
		{"F9 nonce changed", nil, func(r *RawRequest) { *header(r, "Peerbrain-Nonce") = wire.Nonce{1}.String() }},
		{"F9 nonce twice", nil, func(r *RawRequest) { add(r, "peerbrain-nonce", wire.Nonce{1}.String()) }},
		{"F9 no nonce", nil, func(r *RawRequest) { drop(r, "Peerbrain-Nonce") }},
		{"F9 short nonce", func(p *pen) { p.nonce = p.nonce[:51] }, nil},
		{"F9 nonce in capitals", func(p *pen) { p.nonce = strings.ToUpper(p.nonce) }, nil},
		{"F9 nonce with spare bits", func(p *pen) { p.nonce = p.nonce[:51] + "b" }, nil},
	}
	for i := 1; i < 16; i++ { // the 4 spare bits of 64 bytes in base64
		f = append(f, forgery{fmt.Sprintf("F9 spelling %d", i), nil, spell(func(s string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			last := strings.IndexByte(alphabet, s[85])
			return s[:85] + string(alphabet[last&^15|(last+i)&15]) + s[86:]
		})})
	}
	list := strings.Fields(coveredHeaders)
	for i := range list {
		dropped := append(append([]string{}, list[:i]...), list[i+1:]...)
		twice := append(append([]string{}, list[:i+1]...), list[i:]...)
		swapped := append([]string{}, list...)
		swapped[i], swapped[(i+1)%len(list)] = swapped[(i+1)%len(list)], swapped[i]
		for how, l := range [][]string{dropped, twice, swapped} {
			name := "F9 " + list[i] + []string{" dropped", " twice", " reordered"}[how]
			f = append(f, forgery{name, func(p *pen) { p.covered = strings.Join(l, " ") }, nil})
		}
	}
	return append(f,
		forgery{"F9 more covered", func(p *pen) { p.covered += " content-type" }, nil},
		forgery{"F9 nothing covered", func(p *pen) { p.covered = "" }, nil},
		forgery{"F9 date only", func(p *pen) { p.covered = "date" }, nil})
}

func keys(a, other *testNode) []forgery {
	pub := a.secrets.Request.Public()
	id := func(s string) func(*pen) { return func(p *pen) { p.keyID = s } }
	key := wire.Nonce(pub).String()
	f := []forgery{
		{"F2 another node's key under my key id", func(p *pen) { p.key = other.secrets.Request.Private() }, nil},
		{"F2 another node's key under my name", func(p *pen) {
			p.key, p.keyID = other.secrets.Request.Private(), keyID(a.name, other.secrets.Request.Public())
		}, nil},
		{"F2 my key under another node's name", id(keyID(other.name, pub)), nil},
		{"F2 the root key", func(p *pen) {
			p.keyID = string(a.name) + "/" + wire.Nonce(a.secrets.Root.Public()).String()
		}, nil},
		{"F8 key id of 31 bytes", id(string(a.name) + "/" + key[:50]), nil},
		{"F8 key id of 33 bytes", id(string(a.name) + "/" + key + "a"), nil},
		{"F8 key id without key", id(string(a.name) + "/"), nil},
		{"F8 key id without node", id("/" + key), nil},
		{"F8 key id with two slashes", id(string(a.name) + "//" + key), nil},
		{"F8 key id in capitals", id(strings.ToUpper(string(a.name) + "/" + key)), nil},
		{"F8 key id with a URL", id("http://" + string(a.name) + "/" + key), nil},
		{"F8 key id with a port of a public name", id("a.example:8080/" + key), nil},
		{"F8 key id with an address", id("127.0.0.1/" + key), nil},
		{"F8 key id with a comma", id(string(a.name) + ",x/" + key), nil},
		{"F8 empty key id", id(""), nil},
		{"F8 low order key", func(p *pen) { p.keyID = keyID(a.name, wire.NodeRequestKey{1}) }, nil},
		{"F8 zero key", func(p *pen) { p.keyID = keyID(a.name, wire.NodeRequestKey{}) }, nil},
		{"F10 unknown key", func(p *pen) {
			s := testSecrets("new")
			p.key, p.keyID = s.Request.Private(), keyID(a.name, s.Request.Public())
		}, nil},
		{"F10 unreachable node", id(keyID("localhost:1", pub)), nil},
		{"F10 the verifier's own name", func(p *pen) { p.keyID = keyID(wire.NodeName(p.host), pub) }, nil},
	}
	for _, alg := range []string{"", "ed25519", "hmac-sha256", "rsa-sha256", "HS2019", "none"} {
		f = append(f, forgery{"F8 algorithm " + alg, func(p *pen) { p.algorithm = alg }, nil})
	}
	return f
}

// TestForgeries sends every forgery over HTTP. Each gets the same answer, none
// reaches the API or changes what is stored, and the honest request passes
// before and after.
func TestForgeries(t *testing.T) {
	a, b, other := startNode(t), startNode(t), startNode(t)
	honest := func() {
		t.Helper()
		for _, path := range b.server.Paths() {
			p := newPen(a.name, b.name, a.secrets, time.Now())
			p.target = path
			if status, got := b.send(p.write()); status == 401 {
				t.Fatalf("the honest request to %s is refused: %s", path, got)
			}
		}
		if status, got := b.send(newPen(a.name, b.name, a.secrets, time.Now()).write()); status != 200 {
			t.Fatalf("the honest request is refused: %d %s", status, got)
		}
		if b.api.from.Load() != a.name {
			t.Fatalf("it came from %v, want %s", b.api.from.Load(), a.name)
		}
	}
	honest()
	if status, got := b.send(newPen(other.name, b.name, other.secrets, time.Now()).write()); status != 200 {
		t.Fatalf("the honest request of the other node: %d %s", status, got)
	}
	calls, stored := b.api.calls.Load(), b.peers.all()
	all := [][]forgery{unsigned(), targets(), digests(), times(), shapes(), keys(a, other)}
	count := 0
	for _, group := range all {
		for _, f := range group {
			count++
			r := f.write(newPen(a.name, b.name, a.secrets, time.Now()))
			status, got := b.send(r)
			if strings.Contains(f.name, "line break") { // no such line can be sent
				a := b.server.Serve(t.Context(), r)
				status, got = a.Status, string(a.Body)
			}
			if status != 401 || got != the401 {
				t.Errorf("%s: got %d %s", f.name, status, got)
			}
		}
	}
	if n := b.api.calls.Load(); n != calls {
		t.Errorf("%d forgeries reached the API", n-calls)
	}
	if !reflect.DeepEqual(b.peers.all(), stored) {
		t.Error("forgeries changed the store")
	}
	if n := a.fetches.Load() + other.fetches.Load(); n > 2 {
		t.Errorf("%d documents were fetched, want 2: one a host", n)
	}
	honest()
	t.Logf("%d forgeries", count)
}
