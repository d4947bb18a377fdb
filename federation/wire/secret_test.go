package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten holds all that is secret here to what secrettest asks.
func TestSecretsAreNotWritten(t *testing.T) {
	b := secrettest.Secret
	secrettest.Table{
		Secrets: []any{
			newSeed(b), NewIdentitySecret(b), NewRecoverySecret(b), NewLoginSecret(b), NewRecoveryLoginSecret(b), NewNodeRootSecret(b),
			NewNodeRequestSecret(b), NewNodeLogSecret(b), NewNodeWitnessSecret(b), NewToken(b), NewTOTPSecret(b), NewBackupCode(b), Hide(b), Hide(b[:]), Hide(string(b[:])),
		},
		Holders: []any{LoginReply{Token: NewToken(b), DeviceToken: NewToken(b)}},
		Open: []string{
			"IdentityKey", "RecoveryKey", "LoginKey", "NodeRootKey", "NodeRequestKey", "NodeLogKey", "NodeWitnessKey", "EncryptionKey", "RecoveryEncryptionKey", // public
			"NodeKey", "EpochBody.SealedSecret",
		},
		Spelled: []string{NewToken(b).Reveal()[:6], NewBackupCode(b).Reveal()[:6], NewTOTPSecret(b).Reveal()[:6]},
	}.Test(t)
	if secrettest.Redacted != Redacted {
		t.Errorf("secrets print as %q, and are tested for %q", Redacted, secrettest.Redacted)
	}
}

// TestHidden shows that CBOR alone carries what is hidden, as if it were not.
func TestHidden(t *testing.T) {
	type file struct {
		Text  Hidden[string]   `cbor:"1,keyasint"`
		Bytes Hidden[[]byte]   `cbor:"2,keyasint"`
		Seed  Hidden[[32]byte] `cbor:"3,keyasint"`
	}
	type open struct {
		Text  string   `cbor:"1,keyasint"`
		Bytes []byte   `cbor:"2,keyasint"`
		Seed  [32]byte `cbor:"3,keyasint"`
	}
	for _, o := range []open{{}, {"text", []byte("bytes"), seedOf("seed")}, {Bytes: []byte{}}} {
		hidden := file{Hide(o.Text), Hide(o.Bytes), Hide(o.Seed)}
		b := EncodeCBOR(&o)
		if got := EncodeCBOR(&hidden); !bytes.Equal(got, b) {
			t.Errorf("written as %x, want %x", got, b)
		}
		var f file
		if err := DecodeCBOR("file", b, &f); err != nil || f.Text.Reveal() != o.Text || !bytes.Equal(f.Bytes.Reveal(), o.Bytes) || f.Seed.Reveal() != o.Seed {
			t.Errorf("%x does not come back: %v", b, err)
		}
	}
	for _, wrong := range []string{"a30101024003f6", "a3016002400358200000", "a30160026003f6"} {
		b, err := hex.DecodeString(wrong)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, wrong, DecodeCBOR("file", b, new(file)), Invalid)
	}
	if v := (Hidden[[]byte]{}); v.Reveal() != nil || !bytes.Equal(EncodeCBOR(&file{}), EncodeCBOR(&open{})) {
		t.Error("what was never hidden is not zero")
	}
}

func TestSecrets(t *testing.T) {
	seed := seedOf("s")
	s := NewNodeRequestSecret(seed)
	if !bytes.Equal(s.Seed(), seed[:]) || s.IsZero() || !(NodeRequestSecret{}).IsZero() {
		t.Error("Seed or IsZero is wrong")
	}
	private := s.Private()
	want := ed25519.Sign(s.Private(), []byte("message"))
	clear(private)
	clear(s.Seed())
	if !bytes.Equal(ed25519.Sign(s.Private(), []byte("message")), want) {
		t.Error("the caller's copy is the key itself")
	}
	if s.Public() != NodeRequestKey(NewIdentitySecret(seed).Public()) || NewNodeRootSecret(seed).Public() != NodeRootKey(s.Public()) {
		t.Error("one seed gives two keys")
	}
}

func TestToken(t *testing.T) {
	b := seedOf("token")
	token := NewToken(b)
	text := token.Reveal()
	again, err := ParseToken(text)
	if err != nil || again.Reveal() != text || again.IsZero() || again.Hash(LabelToken) != LabelToken.Hash(b[:]) {
		t.Errorf("the token does not come back: %v", err)
	}
	if token.Hash(LabelToken) == token.Hash(LabelDeviceToken) {
		t.Error("a session's token is a device's token")
	}
	var zero Token
	if !zero.IsZero() || zero.Reveal() != strings.Repeat("a", 52) || zero.Hash(LabelToken) != LabelToken.Hash(make([]byte, 32)) {
		t.Error("the zero token is wrong")
	}
	for _, s := range otherSpellings(text) {
		got, err := ParseToken(s)
		wantKind(t, "a malformed token", err, Unauthenticated)
		if err != nil && strings.Contains(err.Error(), text[:8]) || !got.IsZero() {
			t.Errorf("the error tells of the token: %v", err)
		}
		err = got.UnmarshalText([]byte(s))
		wantKind(t, "a malformed token in a body", err, Invalid)
		if strings.Contains(err.Error(), text[:8]) || !got.IsZero() {
			t.Errorf("the error tells of the token: %v", err)
		}
	}
	var reply LoginReply
	if err := DecodeJSON(EncodeJSON(LoginReply{Token: token}), &reply); err != nil || reply.Token.Reveal() != text {
		t.Errorf("the token does not travel: %v", err)
	}
}
