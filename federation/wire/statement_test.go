package wire

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"reflect"
	"slices"
	"testing"
)

func TestStatementsComeBack(t *testing.T) {
	for _, o := range samples() {
		fields := o.fields()
		s := o.sign(EncodeCBOR(fields))
		got, err := o.open(s)
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		if !reflect.DeepEqual(got, fields) {
			t.Errorf("%s: got %+v, want %+v", o.name, got, fields)
		}
		if again := raw(o.label, EncodeCBOR(got), o.key); !bytes.Equal(again, s) {
			t.Errorf("%s is not signed alike twice", o.name)
		}
	}
}

// A flipped bit in any byte of a statement is refused; so is each cut.
func TestFlippedBits(t *testing.T) {
	for _, o := range samples() {
		s := o.sign(EncodeCBOR(o.fields()))
		step := 9 // every byte, and another bit in each
		if len(s) > 1000 {
			step = 233
		}
		for i := 0; i < 8*len(s); i += step {
			bad := bytes.Clone(s)
			bad[i/8] ^= 1 << (i % 8)
			if v, err := o.open(bad); err == nil || v != nil {
				t.Errorf("%s: bit %d may be flipped", o.name, i)
			}
		}
		for _, n := range []int{0, 1, 63, 64, 65, len(s) - 1} {
			if v, err := o.open(s[:n]); err == nil || v != nil {
				t.Errorf("%s: %d of %d bytes are enough", o.name, n, len(s))
			}
		}
		if v, err := o.open(append(bytes.Clone(s), 0)); err == nil || v != nil {
			t.Errorf("%s: a byte may be appended", o.name)
		}
	}
}

// No statement opens as another kind, nor under another key.
func TestStatementsAreSeparate(t *testing.T) {
	for _, o := range samples() {
		payload := EncodeCBOR(o.fields())
		for _, l := range Labels() {
			_, err := o.open(raw(l, payload, o.key))
			if want := l == o.label; (err == nil) != want {
				t.Errorf("%s signed as %s: %v", o.name, l, err)
			}
		}
		if _, err := o.open(raw("", payload, o.key)); err == nil {
			t.Errorf("%s opens without a label", o.name)
		}
		other := newSeed(seedOf("somebody else"))
		_, err := o.open(raw(o.label, payload, other))
		wantKind(t, o.name+" of another key", err, Tampered)
	}
}

func TestStatementLimits(t *testing.T) {
	for _, o := range samples() {
		payload := EncodeCBOR(o.fields())
		_, err := o.open(raw(o.label, append(payload, make([]byte, o.limit-64-len(payload)+1)...), o.key))
		wantKind(t, o.name+" over the limit", err, TooLarge)
		_, err = o.open(make(Signed, o.limit))
		if err == nil || KindOf(err) == TooLarge {
			t.Errorf("%s at the limit: %v", o.name, err)
		}
	}
}

// The statement's name leaves the signature out and holds the label.
func TestStatementHash(t *testing.T) {
	s := must(offer().Sign(aliceKey))
	want := LabelOffer.Hash(s[64:])
	bad := bytes.Clone(s)
	bad[0] ^= 1
	if s.Hash(LabelOffer) != want || Signed(bad).Hash(LabelOffer) != want {
		t.Error("the hash is not that of label and payload")
	}
	if s.Hash(LabelAccept) == want {
		t.Error("the hash does not hold the label")
	}
}

// S + L instead of S is the classic second spelling of an Ed25519 signature.
func TestSignaturesAreNotMalleable(t *testing.T) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	for _, o := range samples() {
		s := bytes.Clone(o.sign(EncodeCBOR(o.fields())))
		le := bytes.Clone(s[32:64])
		slices.Reverse(le)
		sum := new(big.Int).Add(new(big.Int).SetBytes(le), order).FillBytes(make([]byte, 32))
		slices.Reverse(sum)
		copy(s[32:64], sum)
		_, err := o.open(s)
		wantKind(t, o.name+" with S + L", err, Tampered)
	}
}

// What Sign refuses, Open refuses from who signs it nevertheless, and the other
// way round: one check for both.
func TestVersions(t *testing.T) {
	for _, o := range objects() {
		ps := pairsOf(t, EncodeCBOR(o.fields()))
		for i, name := range []string{"version", "suite"} {
			for _, v := range []byte{0, 2, 23} {
				_, err := o.open(o.sign(with(ps, i, []byte{v})))
				wantKind(t, o.name+" of another "+name, err, Update)
			}
		}
	}
}

func TestSignChecks(t *testing.T) {
	k, h, o, a, e, v, c, q, d := keyStatement(), epochEntry([]byte("b")), offer(), accept(), end(), vaultHead(), challenge(), headQuery(), nodeDocument()
	r := rootChange()
	k.Version, h.Version, o.Version, a.Version, e.Version, v.Version, c.Version, q.Version, d.Version, r.Version = 2, 2, 2, 2, 2, 2, 2, 2, 2, 2
	for name, sign := range map[string]func() (Signed, error){
		"key statement": func() (Signed, error) { return k.Sign(aliceKey) }, "recovery": func() (Signed, error) { return k.SignRecovery(aliceRecovery) },
		"entry": func() (Signed, error) { return h.Sign(aliceKey) }, "offer": func() (Signed, error) { return o.Sign(aliceKey) },
		"accept": func() (Signed, error) { return a.Sign(bobKey) }, "end": func() (Signed, error) { return e.Sign(bobKey) },
		"vault head": func() (Signed, error) { return v.Sign(aliceKey) }, "challenge": func() (Signed, error) { return c.Sign(loginKey) },
		"recovery challenge": func() (Signed, error) { return c.SignRecovery(codeKey) }, "head query": func() (Signed, error) { return q.Sign(aliceKey) },
		"node document": func() (Signed, error) { return d.Sign(rootKey) }, "root change": func() (Signed, error) { return r.Sign(rootKey) },
	} {
		s, err := sign()
		wantKind(t, name, err, Update)
		if s != nil {
			t.Errorf("%s was signed with an error", name)
		}
	}
}

func TestSignedText(t *testing.T) {
	s := must(offer().Sign(aliceKey))
	var again Signed
	if err := again.UnmarshalText(must(s.MarshalText())); err != nil || !bytes.Equal(again, s) {
		t.Errorf("got %x, %v", again, err)
	}
	if len(s) <= ed25519.SignatureSize {
		t.Error("no payload")
	}
}
