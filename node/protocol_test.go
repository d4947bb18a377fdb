package node

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What docs/protocol.md says in tables is held to openapi.yaml, which is held to
// the code, or to the code itself.

func protocolText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableRows returns the cells of all rows of tables, without the empty ones at
// both ends.
func tableRows(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") || !strings.HasSuffix(line, "|") {
			continue
		}
		cells := strings.Split(line[1:len(line)-1], "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

var (
	quotedRequest = regexp.MustCompile("`(GET|POST|PUT|DELETE) (/[^`? ]*)[^`]*`")
	quotedWord    = regexp.MustCompile("`([a-zA-Z_0-9]+\\??)`")
	limitsInWords = map[string]int{"": 0, "1 MiB": bodyLimit, "4 MiB": vaultLimit, "64 KiB": witnessLimit}
)

func quoted(cell string) []string {
	words := []string{}
	for _, m := range quotedWord.FindAllStringSubmatch(cell, -1) {
		words = append(words, m[1])
	}
	slices.Sort(words)
	return words
}

// schemaName is the last word of a reference, 204 for no body.
func schemaName(schema map[string]any, none string) string {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return none
	}
	return ref[strings.LastIndex(ref, "/")+1:]
}

// replyName is the name of the schema of an answer, 204 for no body, and of what is
// no JSON the type of the content.
func replyName(r response) string {
	if r.media != "" && r.media != wire.MediaJSON {
		return "`" + r.media + "`"
	}
	return schemaName(r.schema, "204")
}

// TestProtocolRoutes wants the two tables of routes to say what openapi.yaml says,
// each route once, and no route to be mentioned anywhere that is not there.
func TestProtocolRoutes(t *testing.T) {
	s, text := theSpec(t), protocolText(t)
	found := map[string]bool{}
	for _, row := range tableRows(text) {
		m := quotedRequest.FindStringSubmatch(row[0])
		if m == nil || m[0] != row[0] || len(row) != 7 && len(row) != 4 {
			continue
		}
		name := m[1] + " " + braces.ReplaceAllString(m[2], ":$1")
		op, ok := s.operations[name]
		if !ok || found[name] {
			t.Errorf("%s is not a route, or there twice", name)
			continue
		}
		found[name] = true
		var query []string
		for p := range op.parameters {
			if q, ok := strings.CutPrefix(p, "query "); ok {
				query = append(query, q)
			}
		}
		slices.Sort(query)
		want := []string{schemaName(op.request, ""), replyName(op.responses[200]), fmt.Sprint(s.ownCodes(op))}
		got := []string{row[len(row)-3], row[len(row)-2], fmt.Sprint(quoted(row[len(row)-1]))}
		if len(row) == 7 {
			want = append(want, fmt.Sprint(query), op.security, fmt.Sprint(op.limit))
			got = append(got, fmt.Sprint(quoted(row[1])), map[string]string{"yes": "session"}[row[2]], fmt.Sprint(limitsInWords[row[3]]))
		} else if op.security != "signature" {
			t.Errorf("%s is not signed", name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: protocol.md has %q, openapi.yaml %q", name, got, want)
		}
	}
	for name := range s.operations {
		if !found[name] {
			t.Errorf("%s has no row in protocol.md", name)
		}
	}
	for _, m := range quotedRequest.FindAllStringSubmatch(text, -1) {
		path := strings.TrimPrefix(m[2], "https://NAME")
		if _, ok := s.operations[m[1]+" "+braces.ReplaceAllString(path, ":$1")]; !ok {
			t.Errorf("%s is mentioned and not there", m[0])
		}
	}
}

// ownCodes are the codes of an operation but for those that protocol.md leaves
// out: what any route of its sort may answer.
func (s *spec) ownCodes(op operation) []string {
	own := []string{}
	for status, r := range op.responses {
		for _, code := range r.codes {
			switch {
			case r.common, status == 408, status == 431, code == wire.Invalid, code == wire.Media, code == wire.Internal:
			case code == wire.Unauthenticated && op.security != "":
			case code == wire.TooLarge && !s.limitsInside(op):
			default:
				own = append(own, string(code))
			}
		}
	}
	slices.Sort(own)
	return own
}

// limitsInside reports whether TooLarge can mean more than the length of the
// body: where the node opens statements, or counts streams.
func (s *spec) limitsInside(op operation) bool {
	return slices.Contains([]string{
		"POST " + wire.PathRegister, "PUT " + wire.PathVault, "POST " + wire.PathFriends, "POST " + wire.PathEntries,
		"POST " + wire.PathPeerFriends, "POST " + wire.PathPeerSync, "POST " + wire.PathPeerNotices,
	}, op.name)
}

// TestProtocolBodies wants each body to have a row with exactly its members,
// those that may be absent with a question mark.
func TestProtocolBodies(t *testing.T) {
	s := theSpec(t)
	rows := map[string][]string{}
	for _, row := range tableRows(protocolText(t)) {
		if schema, ok := s.schemas()[row[0]].(map[string]any); ok && len(row) == 2 && schema["type"] == "object" {
			rows[row[0]] = quoted(row[1])
		}
	}
	for name, one := range s.schemas() {
		schema := one.(map[string]any)
		if schema["type"] != "object" {
			continue
		}
		required, _ := schema["required"].([]any)
		var want []string
		for member := range schema["properties"].(map[string]any) {
			if !slices.Contains(required, any(member)) {
				member += "?"
			}
			want = append(want, member)
		}
		slices.Sort(want)
		if !slices.Equal(rows[name], want) {
			t.Errorf("%s: protocol.md has %q, openapi.yaml %q", name, rows[name], want)
		}
	}
}

// TestProtocolBudgets holds the table of budgets to the code.
func TestProtocolBudgets(t *testing.T) {
	got := map[budgetName]budget{}
	for _, row := range tableRows(protocolText(t)) {
		if _, ok := budgets[budgetName(row[0])]; !ok || len(row) != 3 {
			continue
		}
		b := budget{backoff: row[2] == "yes"}
		for i, one := range strings.Split(row[1], ", ") {
			count, span, _ := strings.Cut(one, " in ")
			fmt.Sscan(count, &b.rates[i].count)
			b.rates[i].span, _ = time.ParseDuration(span) // 0, which is no budget
		}
		got[budgetName(row[0])] = b
	}
	if !maps.Equal(got, budgets) {
		t.Errorf("protocol.md has %v, the code %v", got, budgets)
	}
}

// TestProtocolNamesTests wants each test that a document names to exist.
func TestProtocolNamesTests(t *testing.T) {
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			declared[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1) {
			if named++; !declared[name] {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	}
	if named < 100 {
		t.Errorf("%d tests are named, which cannot be all", named)
	}
}

// TestProtocolConversation reads the recorded conversation as HTTP, holds it to
// openapi.yaml, and wants what was published to be what is read.
func TestProtocolConversation(t *testing.T) {
	_, text, _ := strings.Cut(protocolText(t), "### A conversation\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var raw strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, "    ") || line == "" && raw.Len() > 0 {
			raw.WriteString(strings.TrimPrefix(line, "    ") + "\r\n")
		}
	}
	in := bufio.NewReader(strings.NewReader(raw.String()))
	var challenge wire.ChallengeReply
	var login wire.LoginRequest
	var session wire.LoginReply
	var published wire.PublishRequest
	var receipt wire.PublishReply
	var feed wire.FeedReply
	for _, into := range [][2]any{{new(wire.ChallengeRequest), &challenge}, {&login, &session}, {&published, &receipt}, {nil, &feed}} {
		request, err := http.ReadRequest(skipEmpty(t, in))
		if err != nil {
			t.Fatal(err)
		}
		sent := readAll(t, request.Body)
		token := ""
		if !session.Token.IsZero() {
			token = "Bearer " + session.Token.Reveal()
		}
		if got := request.Header.Get("Authorization"); got != token {
			t.Errorf("%s %s: the token is %q, want %q", request.Method, request.RequestURI, got, token)
		}
		response, err := http.ReadResponse(skipEmpty(t, in), request)
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, response.Body)
		hold(t, request.Method, request.RequestURI, sent, answered{response.StatusCode, response.Header, got})
		wantHeaders(t, response)
		if into[0] != nil {
			err = wire.DecodeJSON(sent, into[0])
		}
		if err == nil {
			err = wire.DecodeJSON(got, into[1])
		}
		if err != nil {
			t.Fatalf("%s %s: %v", request.Method, request.RequestURI, err)
		}
	}
	var signed wire.Challenge
	if err := wire.DecodeCBOR("challenge", login.Answer[64:], &signed); err != nil {
		t.Fatal(err)
	}
	want := wire.Challenge{Version: 1, Suite: 1, Node: signed.Node, Handle: login.Handle, Purpose: login.Purpose, Nonce: challenge.Nonce, Expires: challenge.Expires}
	if signed != want || !signed.Node.Development() {
		t.Errorf("signed is %+v, want %+v", signed, want)
	}
	if len(feed.Items) != 1 || !bytes.Equal(feed.Items[0].Entry.Header, published.Entry.Header) ||
		!bytes.Equal(feed.Items[0].Entry.Body, published.Entry.Body) || feed.Items[0].Entry.ID() != receipt.ID || feed.Items[0].Author != session.Account {
		t.Errorf("what is read is not what was published as %s", receipt.ID)
	}
}

// skipEmpty leaves out the lines between messages.
func skipEmpty(t *testing.T, in *bufio.Reader) *bufio.Reader {
	t.Helper()
	for {
		next, err := in.Peek(2)
		if err != nil {
			t.Fatal(err)
		}
		if string(next) != "\r\n" {
			return in
		}
		in.Discard(2)
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
