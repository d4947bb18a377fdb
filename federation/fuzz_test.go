package federation

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
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

// FuzzServe changes honest requests. What passes says what was signed; all else
// gets the one answer.
func FuzzServe(f *testing.F) {
	for op := range byte(7) {
		f.Add(op, byte(op), "Signature", "x")
		f.Add(op, byte(5), "Host", "a.example")
	}
	f.Add(byte(3), byte(0), "", "/federation/v1/keys?x")
	f.Add(byte(1), byte(0), "content-encoding", "gzip")
	shelf := newShelf()
	meet(f, shelf, nodeA, time.Now())
	c, err := NewClient(ClientOptions{Self: nodeB, Secrets: testSecrets(string(nodeB)), Peers: shelf, Log: quiet})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	c.directory.fetch = func(context.Context, wire.NodeName) (wire.Signed, error) { return nil, wire.Unavailable }
	f.Fuzz(func(t *testing.T, op, at byte, name, value string) {
		was := honest()
		r := RawRequest{was.Method, was.Target, slices.Clone(was.Headers), bytes.Clone(was.Body)}
		change(&r, op, at, name, value)
		a := serverOf(t, c, &markShelf{}).Serve(t.Context(), r)
		if a.Status != 200 {
			if a.Status != 401 || string(a.Body) != the401 || a.ContentType != wire.MediaProblem {
				t.Fatalf("%+v\nis answered %d %s", r, a.Status, a.Body)
			}
			return
		}
		if r.Method != was.Method || r.Target != was.Target || !bytes.Equal(r.Body, was.Body) {
			t.Fatalf("%+v passes, was signed as\n%+v", r, was)
		}
		for _, h := range was.Headers[:1] {
			if !slices.Contains(r.Headers, h) {
				t.Fatalf("%v passes without %v", r.Headers, h)
			}
		}
		for _, n := range []string{"Host", "Digest", "Signature", "Peerbrain-Nonce"} {
			if v := *header(&r, n); v != *header(&was, n) {
				t.Fatalf("%s: %q passes", n, v)
			}
		}
	})
}

// change does one thing to r.
func change(r *RawRequest, op, at byte, name, value string) {
	i := int(at) % len(r.Headers)
	switch op % 7 {
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
	case 6: // replace a part of a value
		v := r.Headers[i][1]
		n := min(len(v), len(name))
		r.Headers[i][1] = v[:n] + value + v[min(len(v), n+len(value)):]
	}
}
