package client

import (
	"os"
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
