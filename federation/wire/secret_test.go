package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// holder keeps a secret where fmt cannot call its methods.
type holder struct {
	hidden any
	token  Token
	key    IdentitySecret
}

func TestSecretsDoNotPrint(t *testing.T) {
	bytes32 := seedOf("a secret to be kept")
	secrets := map[string]any{
		"identity": NewIdentitySecret(bytes32), "recovery": NewRecoverySecret(bytes32), "login": NewLoginSecret(bytes32),
		"recovery login": NewRecoveryLoginSecret(bytes32), "node root": NewNodeRootSecret(bytes32), "node request": NewNodeRequestSecret(bytes32),
		"token": NewToken(bytes32),
	}
	for name, s := range secrets {
		inside := []any{&s, []any{s}, map[string]any{"k": s}, struct{ S any }{s}}
		hidden := []any{holder{hidden: s, token: NewToken(bytes32), key: NewIdentitySecret(bytes32)}, &holder{hidden: s}, []holder{{token: NewToken(bytes32)}}}
		for _, verb := range strings.Split("v +v #v s q x X d o b c U e f g t T p z 20v -5s 010x .3s", " ") {
			got := fmt.Sprintf("%"+verb, s)
			if verb != "T" && verb != "p" && got != Redacted {
				t.Errorf("%s under %%%s prints %q", name, verb, got)
			}
			for _, v := range append(append([]any{s}, inside...), hidden...) {
				leaks(t, name+" under %"+verb, fmt.Sprintf("%"+verb, v), bytes32)
			}
		}
		for _, v := range append(inside, hidden...) {
			leaks(t, name, fmt.Sprint(v)+fmt.Errorf("%v", v).Error(), bytes32)
		}
		leaks(t, name+" in a log", logged(s), bytes32)
		b, _ := json.Marshal([]any{s, holder{hidden: s}})
		leaks(t, name+" as JSON", string(b), bytes32)
		if reflect.TypeOf(s).Comparable() {
			t.Errorf("%s can be compared with ==", name)
		}
	}
}

func logged(v any) string {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	return out.String()
}

// leaks fails when 4 bytes of the secret stand in a text in any usual form.
func leaks(t *testing.T, where, text string, secret [32]byte) {
	t.Helper()
	list := strings.Trim(fmt.Sprint(secret[:4]), "[]")
	plain := NewToken(secret).Reveal()
	for _, form := range []string{
		list, strings.ReplaceAll(list, " ", ", "), hex.EncodeToString(secret[:4]), strings.ToUpper(hex.EncodeToString(secret[:4])), plain[:6],
		strings.Trim(fmt.Sprintf("%#v", secret[:4]), "[]byte{}"), string(secret[:4]), strings.Trim(fmt.Sprintf("%x", [][]byte{secret[:1], secret[1:2], secret[2:3], secret[3:4]}), "[]"),
		strings.Trim(fmt.Sprintf("%o", secret[:4]), "[]"), strings.Trim(fmt.Sprintf("%b", secret[:4]), "[]"),
	} {
		if strings.Contains(text, form) {
			t.Errorf("%s leaks %q: %.200q", where, form, text)
		}
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
	}
	var reply LoginReply
	if err := DecodeJSON(EncodeJSON(LoginReply{Token: token}), &reply); err != nil || reply.Token.Reveal() != text {
		t.Errorf("the token does not travel: %v", err)
	}
}
