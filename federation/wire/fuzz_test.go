package wire

import (
	"bytes"
	"crypto/ecdh"
	"encoding"
	"testing"
	"time"
	"unicode"
)

// FuzzStatements signs arbitrary payloads with the right key, so that the fuzzer
// gets past the signature: whatever opens re-encodes to the same bytes.
func FuzzStatements(f *testing.F) {
	all := samples()
	for i, o := range all {
		payload := EncodeCBOR(o.fields())
		f.Add(byte(i), payload)
		if o.label == LabelHeadQuery { // the shortest one
			for _, form := range otherForms(pairsOf(f, payload)) {
				f.Add(byte(i), form)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		o := all[int(kind)%len(all)]
		v, err := o.open(raw(o.label, payload, o.key))
		if err != nil {
			if v != nil {
				t.Errorf("%s: %v with %v", o.name, v, err)
			}
			return
		}
		if again := EncodeCBOR(v); !bytes.Equal(again, payload) {
			t.Errorf("%s: %x opens and is written %x", o.name, payload, again)
		}
	})
}

// signsItself has the labels of statements in which the key stands that signs them:
// anybody makes some that open.
var signsItself = map[Label]bool{LabelKeyStatement: true, LabelNodeDocument: true, LabelRootChange: true}

// FuzzSigned hands in whole statements, as a stranger without a key does: only
// the one that was signed opens.
func FuzzSigned(f *testing.F) {
	all := samples()
	var good []Signed
	for i, o := range all {
		s := o.sign(EncodeCBOR(o.fields()))
		good = append(good, s)
		f.Add(byte(i), []byte(s))
		f.Add(byte(i), []byte(s[:64]))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		i := int(kind) % len(all)
		if _, err := all[i].open(b); (err == nil) != bytes.Equal(b, good[i]) && !signsItself[all[i].label] {
			t.Errorf("%s: %x: %v", all[i].name, b, err)
		}
	})
}

// FuzzNames: what parses is its own and only spelling.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"alice@node.example", "a@localhost:8081", "A@node.example", "a@127.0.0.1", "alice", "node.example", "localhost:080", "xn--a.example", "a_b@a-b.c", "%2e%2e", "a@b.c\x00", "ａ@b.c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := ParseHandle(s); err == nil && string(h) != s || err != nil && h != "" {
			t.Errorf("handle %q of %q, %v", h, s, err)
		}
		if n, err := ParseNodeName(s); err == nil && string(n) != s || err != nil && n != "" {
			t.Errorf("node %q of %q, %v", n, s, err)
		}
		a, err := ParseAddress(s)
		if err == nil && a.String() != s || err != nil && !a.IsZero() {
			t.Errorf("address %v of %q, %v", a, s, err)
		}
		if err != nil {
			return
		}
		for i := range len(s) {
			if c := s[i]; c <= ' ' || c > '~' || c >= 'A' && c <= 'Z' {
				t.Errorf("%q holds byte %#x", s, c)
			}
		}
	})
}

// FuzzIDs: the same for ids, tokens and bytes.
func FuzzIDs(f *testing.F) {
	id := AccountID(seedOf("id")).String()
	f.Add(id)
	for _, s := range otherSpellings(id) {
		f.Add(s)
	}
	f.Add("AA==")
	f.Add("AB")
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []interface {
			encoding.TextUnmarshaler
			encoding.TextMarshaler
		}{new(Hash), new(AccountID), new(EntryID), new(AudienceID), new(Commitment), new(Nonce), new(NodeRootKey), new(Bytes), new(Signed)} {
			if err := v.UnmarshalText([]byte(s)); err != nil {
				continue
			}
			if again, err := v.MarshalText(); err != nil || string(again) != s {
				t.Errorf("%T: %q came back as %q, %v", v, s, again, err)
			}
		}
		if token, err := ParseToken(s); err == nil && token.Reveal() != s {
			t.Errorf("a token of %q is written otherwise", s)
		}
	})
}

// FuzzJSON: what decodes is written again and decodes to the same.
func FuzzJSON(f *testing.F) {
	for i, v := range apiTypes() {
		f.Add(byte(i), EncodeJSON(v))
	}
	for _, s := range []string{`{"status":"a","status":"b"}`, `{"Status":"a"}`, `{"status":null}`, `{"arrival":-0}`, `{"arrival":1e400}`, "\ufeff{}", `{}{}`, `{"status":"\ud800"}`} {
		f.Add(byte(1), []byte(s))
		f.Add(byte(22), []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		fresh := func() any { all := apiTypes(); return all[int(kind)%len(all)] }
		v, again := fresh(), fresh()
		if err := DecodeJSON(b, v); err != nil {
			return
		}
		if err := checkTokens(b); err != nil {
			t.Errorf("%q is accepted without a look at its tokens: %v", b, err)
		}
		if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) || bytes.Contains(b, []byte{0}) {
			t.Errorf("%q is accepted", b)
		}
		first := EncodeJSON(v)
		if absentNames(first) {
			return
		}
		if err := DecodeJSON(first, again); err != nil {
			t.Errorf("%q is written %q: %v", b, first, err)
		} else if second := EncodeJSON(again); !bytes.Equal(first, second) {
			t.Errorf("%q, then %q", first, second)
		}
	})
}

// absentNames reports whether names that were absent were written as empty:
// those are no names.
func absentNames(b []byte) bool {
	for _, s := range []string{`"handle":""`, `"node":""`, `"address":"@"`, `"from":"@"`, `"to":"@"`} {
		if bytes.Contains(b, []byte(s)) {
			return true
		}
	}
	return false
}

// FuzzSlots and FuzzEpochBody: the two unsigned CBOR formats.
func FuzzSlots(f *testing.F) {
	payload := EncodeCBOR(slots())
	f.Add(payload)
	for _, form := range otherForms(pairsOf(f, payload)) {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSlots(b)
		if err != nil {
			return
		}
		if again := must(s.Encode()); !bytes.Equal(again, b) {
			t.Errorf("%x is written %x", b, again)
		}
	})
}

func FuzzEpochBody(f *testing.F) {
	b := epochBody()
	f.Add(EncodeCBOR(b), uint64(0))
	b.Links = []Link{{3, filled(104, 1)}, {1, filled(104, 2)}}
	f.Add(EncodeCBOR(b), uint64(3))
	for _, form := range otherForms(pairsOf(f, EncodeCBOR(b))) {
		f.Add(form, uint64(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, prev uint64) {
		b, head, err := OpenEpochBody(laterEpoch(body), body, prev, aliceKey.Public())
		if err != nil {
			return
		}
		if again := must(b.Encode()); !bytes.Equal(again, body) {
			t.Errorf("%x is written %x", body, again)
		}
		if head.Account != alice || prev != 0 && b.Links[0].Epoch != prev {
			t.Errorf("head %+v and links %+v after epoch %d", head, b.Links, prev)
		}
	})
}

// FuzzFriendship reads statements from bytes, three a statement, and adds them up
// in two orders.
func FuzzFriendship(f *testing.F) {
	f.Add([]byte{0, 1, 5, 1, 1, 9, 3, 1, 7}, uint64(1))
	f.Add([]byte{0, 1, 5, 4, 2, 9, 2, 1, 7, 5, 2, 9}, uint64(77))
	f.Add([]byte{3, 1, 9, 3, 2, 10, 1, 2, 9}, uint64(5))
	f.Fuzz(func(t *testing.T, b []byte, order uint64) {
		var statements []said
		for ; len(b) >= 3 && len(statements) < MaxEnded; b = b[3:] {
			statements = append(statements, readSaid(b[0], b[1], b[2]))
		}
		away := append([]said(nil), statements...)
		for i := len(away) - 1; i > 0; i-- { // Fisher-Yates with a generator of 64 bits
			order = order*6364136223846793005 + 1442695040888963407
			j := int(order>>33) % (i + 1)
			away[i], away[j] = away[j], away[i]
		}
		converge(t, statements, away)
	})
}

// readSaid makes a statement of three bytes. One hash is one offer by one person
// at one time.
func readSaid(kind, hash, at byte) said {
	from := alice
	if kind&1 == 1 {
		from = bob
	}
	own := hash&^1 | 2 // never the zero hash
	if from == bob {
		own |= 1
	}
	switch kind % 3 {
	case 0:
		return offers(from, own, int64(own)/16)
	case 1:
		return accepts(from, own^1, int64(at))
	}
	return ends(from, int64(at), max(hash, 1)) // an end never names zero
}

// FuzzPublicKeys: an Ed25519 key that is imported is canonical and none of those
// that verify anything; with the X25519 half of an encryption key the standard
// library can make a secret.
func FuzzPublicKeys(f *testing.F) {
	good := encryptionKeyOf("alice encryption")
	identity := aliceKey.Public()
	f.Add(identity[:], good[1184:])
	for _, u := range []byte{0, 1, 9} {
		f.Add(append([]byte{u}, make([]byte, 31)...), append([]byte{u}, make([]byte, 31)...))
	}
	for _, last := range []byte{0x7f, 0xff} { // p, and p with the sign bit
		f.Add(append(append([]byte{0xed}, filled(30, 0xff)...), last), append(append([]byte{0xed}, filled(30, 0xff)...), last))
	}
	secret := must(ecdh.X25519().NewPrivateKey(filled(32, 7)))
	f.Fuzz(func(t *testing.T, edwards, montgomery []byte) {
		if len(edwards) != 32 || len(montgomery) != 32 {
			return
		}
		if key := IdentityKey(edwards); CheckEd25519("key", key) == nil {
			var y [32]byte
			copy(y[:], edwards)
			y[31] &= 0x7f
			if littleEndian(y[:]).Cmp(curveP) >= 0 {
				t.Errorf("%x is imported, and not canonical", key)
			}
		}
		key := good
		copy(key[1184:], montgomery)
		err := CheckEncryptionKey("key", key)
		other := must(ecdh.X25519().NewPublicKey(montgomery))
		if _, failed := secret.ECDH(other); (err == nil) && failed != nil {
			t.Errorf("%x is imported, and gives no secret: %v", montgomery, failed)
		}
	})
}

// FuzzProblem: whatever a node says of a failure is of a known kind, and fit for
// a terminal.
func FuzzProblem(f *testing.F) {
	f.Add(EncodeJSON(ProblemOf(Errorf(Invalid, "handle", "%q is too long", "x"))))
	f.Add([]byte(`{"type":"about:blank","title":"x","status":429,"code":"throttled","retry_after_s":9007199254740991}`))
	f.Add([]byte(`{"status":400,"code":"tampered","detail":"\u001b[2J\u202e"}`))
	f.Add([]byte(`{"status":400,"code":"invalid","retry_after_s":-1,"field":"\ufeff"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Problem
		if DecodeJSON(b, &p) != nil {
			return
		}
		e := p.Err()
		if e.Kind.Status() == 500 && e.Kind != Internal || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour {
			t.Errorf("%q is %q, again in %v", b, e.Kind, e.RetryAfter)
		}
		for _, r := range e.Field + e.Detail {
			if !unicode.IsPrint(r) {
				t.Errorf("%q shows %U", b, r)
			}
		}
	})
}

// FuzzFactorCodes wants codes and secrets to have one spelling.
func FuzzFactorCodes(f *testing.F) {
	for _, s := range []string{"", "287082", "0123456789ABCDEF", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseFactorCode(s); err == nil && c.Reveal() != s {
			t.Errorf("%q is read as another code", s)
		}
		var secret TOTPSecret
		if err := secret.UnmarshalText([]byte(s)); err == nil && secret.Reveal() != s {
			t.Errorf("%q is read as another secret", s)
		}
	})
}
