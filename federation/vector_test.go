package federation

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectorFile = "../docs/vectors/request-signature.json"

// vectors is the file: all that is needed to sign the request, and to accept or
// refuse it and its variants.
type vectors struct {
	Comment       string          `json:"comment"`
	From          wire.NodeName   `json:"from"`
	To            wire.NodeName   `json:"to"`
	RootSeed      string          `json:"root_seed_hex"`
	RequestSeed   string          `json:"request_seed_hex"`
	RequestKey    string          `json:"request_key"`
	Document      wire.Signed     `json:"document"` // of From
	Nonce         wire.Nonce      `json:"nonce"`
	SigningString string          `json:"signing_string"`
	Accepted      vectorRequest   `json:"accepted"`
	Refused       []vectorRequest `json:"refused"`
}

type vectorRequest struct {
	Name    string   `json:"name"`
	Now     int64    `json:"now"` // Unix time at the receiver, s
	Method  string   `json:"method"`
	Target  string   `json:"target"`
	Headers []string `json:"headers"`
	Body    string   `json:"body"`
}

const vectorTime = 1767225600 // 2026-01-01T00:00:00Z

func vectorOf(name string, now int64, r RawRequest) vectorRequest {
	var lines []string
	for _, h := range r.Headers {
		lines = append(lines, h[0]+": "+h[1])
	}
	return vectorRequest{name, now, r.Method, r.Target, lines, string(r.Body)}
}

func (v vectorRequest) raw() RawRequest {
	r := RawRequest{Method: v.Method, Target: v.Target, Body: []byte(v.Body)}
	for _, l := range v.Headers {
		name, value, _ := strings.Cut(l, ": ")
		add(&r, name, value)
	}
	return r
}

// makeVectors runs at vectorTime.
func makeVectors(t *testing.T) vectors {
	s := testSecrets(string(nodeA))
	v := vectors{
		Comment:     "A signed request between nodes and variants that are refused; docs/protocol.md has the rules. Texts are UTF-8, keys and nonces base32, the document base64url.",
		From:        nodeA,
		To:          nodeB,
		RootSeed:    hex.EncodeToString(s.Root.Seed()),
		RequestSeed: hex.EncodeToString(s.Request.Seed()),
		RequestKey:  wire.Nonce(s.Request.Public()).String(),
		Document:    testDocument(t, nodeA, s, 0, time.Now()),
	}
	for i := range v.Nonce {
		v.Nonce[i] = byte(i)
	}
	body := []byte(keysBody())
	h, err := sign(nodeA, nodeB, s.Request, wire.PathPeerKeys, body, v.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	r := RawRequest{Method: "POST", Target: wire.PathPeerKeys, Body: body}
	for _, name := range []string{"Host", "Content-Type", headerDigest, headerNonce, headerSignature} {
		add(&r, name, h.Get(name))
	}
	v.Accepted = vectorOf("honest", vectorTime, r)
	p := fixedPen()
	write(p) // for the digest
	v.SigningString = p.SigningString()
	for _, f := range vectorForgeries() {
		v.Refused = append(v.Refused, vectorOf(f.Name, vectorTime, RawRequest(f.Write(fixedPen()))))
	}
	v.Refused = append(v.Refused, vectorOf("one second after it expired", vectorTime+requestLifetime+1, r), vectorOf("eleven seconds before it was created", vectorTime-11, r))
	return v
}

// fixedPen writes the accepted request.
func fixedPen() *forgery.Pen {
	p := newPen(nodeA, nodeB, testSecrets(string(nodeA)), time.Unix(vectorTime, 0))
	p.Expires = "1767225720"
	var n wire.Nonce
	for i := range n {
		n[i] = byte(i)
	}
	p.Nonce = n.String()
	return p
}

// vectorForgeries are those of the list that depend on nothing but the request.
func vectorForgeries() (out []forgery.Forgery) {
	thief := testSecrets("thief")
	before := func(name string, change func(*forgery.Pen)) forgery.Forgery {
		return forgery.Forgery{Name: name, Before: change}
	}
	after := func(name string, change func(*forgery.Request)) forgery.Forgery {
		return forgery.Forgery{Name: name, After: change}
	}
	for _, f := range slices.Concat(forgery.Unsigned(), forgery.Digests(keysRoute()), forgery.Shapes()) {
		if !strings.Contains(f.Name, "base64url") { // its body is not the one of the others
			out = append(out, f)
		}
	}
	return append(out,
		before("F2 another key under this key id", func(p *forgery.Pen) { p.Key = thief.Request.Private() }),
		after("F3 other host", func(r *forgery.Request) { *r.Header("Host") = "other.example" }),
		before("F3 other host, signed", func(p *forgery.Pen) { p.Host = "other.example" }),
		after("F4 method", func(r *forgery.Request) { r.Method = "PUT" }),
		after("F4 other path", func(r *forgery.Request) { r.Target = wire.PathPeerSync }),
		before("F4 signed query", func(p *forgery.Pen) { p.Target += "?a=b" }),
		before("F4 escape", func(p *forgery.Pen) { p.Target = "/federation%2Fv1/keys" }),
		after("F4 line break in the path", func(r *forgery.Request) { r.Target += "%0A(created): 1" }),
		before("F7 a life of 301 s", func(p *forgery.Pen) { p.Expires = "1767225901" }),
		before("F7 2^63", func(p *forgery.Pen) { p.Expires = "9223372036854775808" }),
		before("F7 leading zero", func(p *forgery.Pen) { p.Created = "0" + p.Created }),
		before("F8 algorithm ed25519", func(p *forgery.Pen) { p.Algorithm = "ed25519" }),
		before("F8 key id of 31 bytes", func(p *forgery.Pen) { p.KeyID = p.KeyID[:len(p.KeyID)-2] }),
	)
}

// TestVectors makes the vectors anew and finds the same, and judges each of
// those in the file.
func TestVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(vectorTime, 0)))
		made, err := json.MarshalIndent(makeVectors(t), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, '\n')
		if *update {
			if err := os.WriteFile(vectorFile, made, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		file, err := os.ReadFile(vectorFile)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file, made) {
			t.Error("the code makes other vectors than those in " + vectorFile)
		}
		var v vectors
		if err := json.Unmarshal(file, &v); err != nil {
			t.Fatal(err)
		}
		if len(v.Refused) < 80 {
			t.Errorf("%d refused variants, want at least 80", len(v.Refused))
		}
		judge(t, v, v.Accepted, 200)
		for _, r := range v.Refused {
			judge(t, v, r, 401)
		}
	})
}

// judge serves r at its time, to a node that knows the document.
func judge(t *testing.T, v vectors, r vectorRequest, want int) {
	t.Helper()
	doc, err := wire.OpenNodeDocument(v.Document, v.From)
	if err != nil {
		t.Fatal(err)
	}
	shelf := newShelf()
	now := func() time.Time { return time.Unix(r.Now, 0) }
	shelf.m[v.From] = PeerRecord{Name: v.From, Root: doc.Root, Document: v.Document, Fetched: now()}
	c, err := NewClient(ClientOptions{Self: v.To, Secrets: testSecrets("b"), Peers: shelf, Now: now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.directory.fetch = func(context.Context, wire.NodeName) (*wire.NodeDocumentReply, error) { return nil, wire.Unavailable }
	s, err := NewServer(ServerOptions{Self: v.To, Client: c, Replay: &markShelf{}, Now: now, Log: quiet, For: new(recorder).bind})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, r.Name, s, r.raw(), want)
}
