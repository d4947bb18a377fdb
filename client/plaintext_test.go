package client

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func protocolText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPlaintexts holds the tables of what is inside of vaults and posts, which
// another client of the same person has to read, to the types.
func TestPlaintexts(t *testing.T) {
	text := protocolText(t)
	numbered := regexp.MustCompile(`\b([0-9]+) ([a-z_]+)`)
	for name, v := range map[string]any{
		"post": postBody{}, "vault": vault{}, "audience": audience{}, "epoch": epochMembers{}, "friend": friend{}, "statement": statement{},
		"friendship": wire.Friendship{}, "side": wire.Side{}, "ended": wire.Ended{},
	} {
		_, section, _ := strings.Cut(text, "\n### Plaintexts\n")
		_, row, ok := strings.Cut(section, "\n| "+name+" | ")
		row, _, _ = strings.Cut(row, "\n")
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		var got, want []string
		for _, m := range numbered.FindAllStringSubmatch(row, -1) {
			if m[1] == fmt.Sprint(len(got)+1) { // other numbers are in the words
				got = append(got, m[2])
			}
		}
		for i, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			key, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
			if key != fmt.Sprint(i+1) {
				t.Errorf("%s.%s has key %s, want %d", name, f.Name, key, i+1)
			}
			want = append(want, strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(f.Name, "${1}_$2")))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: protocol.md has %v, the type %v", name, got, want)
		}
	}
	if !bytes.Contains((&vault{}).encode(), []byte{6, 0xf6, 7, 0xf6, 8, 0xa0}) {
		t.Error("empty arrays of a vault are not null, and empty settings no empty map, as protocol.md says")
	}
}

// TestConversation answers the challenge of the recorded conversation with the
// password that protocol.md names.
func TestConversation(t *testing.T) {
	_, text, _ := strings.Cut(protocolText(t), "\n### A conversation\n")
	part := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("there is no %s", pattern)
		}
		return m[1]
	}
	var challenge wire.ChallengeReply
	var login wire.LoginRequest
	if err := wire.DecodeJSON([]byte(part(`(?m)^ +(\{"random".*)$`)), &challenge); err != nil {
		t.Fatal(err)
	}
	if err := wire.DecodeJSON([]byte(part(`(?m)^ +(\{"handle".*"answer".*)$`)), &login); err != nil {
		t.Fatal(err)
	}
	at := wire.Address{Handle: login.Handle, Node: wire.NodeName(part(`Host: (\S+)`))}
	secret, _, err := seal.DerivePassword([]byte(part("password `([^`]+)`")), at, challenge.Argon2, challenge.Random)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := wire.OpenChallenge(login.Answer, secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Challenge{Version: wire.Version, Suite: wire.Suite, Node: at.Node, Handle: at.Handle, Purpose: wire.PurposeLogin, Nonce: challenge.Nonce, Expires: challenge.Expires}
	if *answer != want {
		t.Errorf("got %+v, want %+v", *answer, want)
	}
}
