package federation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzSignatureHeader holds the reader to one spelling: what it accepts is
// exactly what is written for what it read.
func FuzzSignatureHeader(f *testing.F) {
	good := *header(ptr(honest()), "Signature")
	f.Add(good)
	for _, v := range forgery.Shapes() {
		if v.After != nil && v.Before == nil {
			r := v.Write(penOfA())
			for _, h := range r.Headers {
				f.Add(h[1])
			}
		}
	}
	f.Add(strings.Replace(good, "a.example", "localhost:80", 1))
	f.Fuzz(func(t *testing.T, h string) {
		c := new(claim)
		if c.readSignature(h) != nil {
			return
		}
		_, sig, _ := strings.Cut(h, `,signature="`)
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sig, `"`))
		if err != nil || len(raw) != 64 {
			t.Fatalf("a signature of %d bytes is accepted: %v", len(raw), err)
		}
		again := fmt.Sprintf(`keyId="%s",algorithm="hs2019",created=%d,expires=%d,headers="%s",signature="%s"`,
			keyID(c.node, c.key), c.created, c.expires, coveredHeaders, base64.StdEncoding.EncodeToString(raw))
		if again != h {
			t.Fatalf("accepted %q\nwhich is %q", h, again)
		}
	})
}

func ptr[T any](v T) *T { return &v }

// FuzzServe changes an honest request to one of the paths, before it is signed or
// after. What was changed before has to be judged as the specification does, in
// both directions; what was changed after passes only if it says what was signed.
// All else gets the one answer.
func FuzzServe(f *testing.F) {
	seedServe(f)
	shelf := newShelf()
	meet(f, shelf, nodeA, time.Now())
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets(string(nodeB)), Peers: shelf, Log: quiet})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	c.directory.fetch = func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error) { return nil, wire.Unavailable }
	routes := forgeryRoutes()
	f.Fuzz(func(t *testing.T, route, op, at byte, name, value string) {
		p := forgery.NewPen(signer(nodeA, testSecrets(string(nodeA))), nodeB, routes[int(route)%len(routes)], time.Now())
		if op%9 >= 7 {
			changePen(p, op%9, at, name, value)
			judgePen(t, serverOf(t, c, &markShelf{}), p)
			return
		}
		was := write(p)
		r := RawRequest{was.Method, was.Target, slices.Clone(was.Headers), bytes.Clone(was.Body)}
		change(&r, op%9, at, name, value)
		a := serverOf(t, c, &markShelf{}).Serve(t.Context(), r)
		if a.Status != 200 {
			wantThe401(t, r, a)
			return
		}
		if r.Method != was.Method || r.Target != was.Target || !bytes.Equal(r.Body, was.Body) {
			t.Fatalf("%+v passes, was signed as\n%+v", r, was)
		}
		for _, n := range []string{"Host", "Content-Type", "Digest", "Signature", "Peerbrain-Nonce"} {
			if v := *header(&r, n); v != *header(&was, n) {
				t.Fatalf("%s: %q passes", n, v)
			}
		}
	})
}

// seedServe changes each part in every way, to what it is and to something else.
func seedServe(f *testing.F) {
	for route := range byte(3) {
		for op := range byte(7) {
			f.Add(route, op, op, "Signature", "x")
			f.Add(route, op, byte(5), "Host", "a.example")
		}
		for at := range byte(12) {
			f.Add(route, byte(7), at, "", "1")
			f.Add(route, byte(8), at, "abc", "%0A")
		}
	}
	f.Add(byte(0), byte(3), byte(0), "", "/federation/v1/keys?x")
	f.Add(byte(1), byte(1), byte(0), "content-encoding", "gzip")
	for at, honest := range []string{
		"POST", wire.PathPeerKeys, "b.example", "application/json", "{}", keyID(nodeA, testSecrets(string(nodeA)).Request.Public()), "hs2019",
		"-60", "240", "", wire.Nonce{1}.String(), forgery.Covered,
	} {
		f.Add(byte(0), byte(7), byte(at), "", honest)
	}
}

// parts are all that a pen says, and times, which are s after its Now.
func parts(p *forgery.Pen) (all []*string) {
	return []*string{&p.Method, &p.Target, &p.Host, &p.ContentType, &p.Body, &p.KeyID, &p.Algorithm, &p.Created, &p.Expires, &p.Digest, &p.Nonce, &p.Covered}
}

// changePen sets one part, or puts value into it.
func changePen(p *forgery.Pen, op, at byte, name, value string) {
	all := parts(p)
	v := all[int(at)%len(all)]
	offset, err := strconv.ParseInt(value, 10, 32)
	switch {
	case op == 8:
		*v = splice(*v, name, value)
	case err == nil && (v == &p.Created || v == &p.Expires):
		*v = p.At(offset)
	default:
		*v = value
	}
}

// judgePen compares what the server says with what docs/protocol.md says of a
// request that is signed as it is.
func judgePen(t *testing.T, s *Server, p *forgery.Pen) {
	t.Helper()
	r := write(p)
	before := time.Now().Unix()
	a := s.Serve(t.Context(), r)
	now := time.Now().Unix()
	created, err1 := strconv.ParseInt(p.Created, 10, 64)
	expires, err2 := strconv.ParseInt(p.Expires, 10, 64)
	sum := sha256.Sum256([]byte(p.Body))
	nonce, err3 := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).DecodeString(p.Nonce)
	honest := p.Method == "POST" && slices.Contains(s.Paths(), p.Target) && p.Host == string(nodeB) && p.ContentType == "application/json" &&
		p.Algorithm == "hs2019" && p.Covered == forgery.Covered && p.KeyID == forgery.KeyID(nodeA, testSecrets(string(nodeA)).Request.Public()) &&
		p.Digest == "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]) &&
		err3 == nil && len(nonce) == 32 && wire.Nonce(nonce).String() == p.Nonce &&
		err1 == nil && err2 == nil && strconv.FormatInt(created, 10) == p.Created && strconv.FormatInt(expires, 10) == p.Expires &&
		created > 0 && created < expires && expires-created <= 300 && created <= now+10 && now <= expires
	switch {
	case now != before: // the second changed under way
	case !honest:
		wantThe401(t, r, a)
	case a.Status == 401:
		t.Fatalf("%+v\nis honest and refused", r)
	}
}

func wantThe401(t *testing.T, r RawRequest, a RawResponse) {
	t.Helper()
	if len(r.Body) <= MaxRequest && (a.Status != 401 || string(a.Body) != the401 || a.ContentType != wire.MediaProblem) {
		t.Fatalf("%+v\nis answered %d %s", r, a.Status, a.Body)
	}
}

// splice replaces as many bytes of v as value has, after as many as name has.
func splice(v, name, value string) string {
	n := min(len(v), len(name))
	return v[:n] + value + v[min(len(v), n+len(value)):]
}

// change does one thing to r.
func change(r *RawRequest, op, at byte, name, value string) {
	i := int(at) % len(r.Headers)
	switch op {
	case 0:
		r.Headers[i][1] = value
	case 1:
		r.Headers = slices.Insert(r.Headers, i, [2]string{name, value})
	case 2:
		r.Headers = slices.Delete(r.Headers, i, i+1)
	case 3:
		r.Target = value
	case 4:
		r.Method = value
	case 5:
		r.Body = []byte(value)
	case 6:
		r.Headers[i][1] = splice(r.Headers[i][1], name, value)
	}
}
