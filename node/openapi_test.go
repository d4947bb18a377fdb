package node

import (
	"cmp"
	"crypto/aes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestOpenAPIRoutes wants the file to have exactly the routes of the node, with
// their parameters, sessions and limits.
func TestOpenAPIRoutes(t *testing.T) {
	type row struct {
		parameters []string
		security   string
		limit      int
	}
	want := map[string]row{}
	for _, rt := range routes() {
		r := row{limit: cmp.Or(rt.limit, bodyLimit)}
		if !rt.open {
			r.security = "session"
		}
		if rt.method == "GET" || rt.method == "DELETE" {
			r.limit = 0 // the framing allows no body
		}
		for _, word := range strings.Split(rt.pattern, "/") {
			if name, ok := strings.CutPrefix(word, ":"); ok {
				r.parameters = append(r.parameters, "path "+name)
			}
		}
		for _, name := range rt.query {
			r.parameters = append(r.parameters, "query "+name)
		}
		if rt.pattern == wire.PathEvents {
			r.parameters = append(r.parameters, "header "+wire.HeaderLastEvent)
		}
		if rt.guarded || rt.method+" "+rt.pattern == "PUT "+wire.PathVault { // where the slots change
			r.parameters = append(r.parameters, "header "+wire.HeaderSecondFactor)
		}
		slices.Sort(r.parameters)
		if rt.method != "*" {
			want[rt.method+" "+rt.pattern] = r
			continue
		}
		r.security = "signature"
		for _, path := range new(federation.Server).Paths() {
			want["POST "+path] = r
		}
	}
	got := map[string]row{}
	for name, op := range theSpec(t).operations {
		got[name] = row{slices.Sorted(maps.Keys(op.parameters)), op.security, op.limit}
		if (op.request == nil) != (op.limit == 0) {
			t.Errorf("%s: it has a limit without a body, or a body without a limit", name)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is not in openapi.yaml", name)
		}
	}
	for name, r := range got {
		if !reflect.DeepEqual(r, want[name]) {
			t.Errorf("%s: openapi.yaml has %+v, the node %+v", name, r, want[name])
		}
	}
}

// apiTypes are the bodies of the routes: request and reply, nil for none.
var apiTypes = map[string][2]any{
	"GET " + wire.PathDocument:      {nil, wire.NodeDocumentReply{}},
	"GET " + wire.PathHealth:        {nil, wire.Health{}},
	"GET " + wire.PathNodeInfoLinks: {nil, wire.NodeInfoLinks{}},
	"GET " + wire.PathNodeInfo:      {nil, wire.NodeInfo{}},
	"GET " + wire.PathWebFinger:     {nil, wire.WebFinger{}},
	"GET " + wire.PathLogTop:        {nil, ""},
	"GET " + wire.PathCosigned:      {nil, ""},
	"GET " + wire.PathLogFile:       {nil, ""},
	"POST " + wire.PathWitness:      {"", ""},
	"GET " + wire.PathPage:          {nil, ""},
	"GET " + wire.PathPageSaved:     {nil, ""},
	"GET " + wire.PathPageFile:      {nil, ""},
	"GET " + wire.PathPageNode:      {nil, wire.PageNode{}},
	"POST " + wire.PathRegister:     {wire.RegisterRequest{}, wire.RegisterReply{}},
	"POST " + wire.PathChallenge:    {wire.ChallengeRequest{}, wire.ChallengeReply{}},
	"POST " + wire.PathLogin:        {wire.LoginRequest{}, wire.LoginReply{}},
	"POST " + wire.PathHeads:        {wire.HeadsRequest{}, wire.HeadsReply{}},
	"POST " + wire.PathTombstone:    {wire.DeleteRequest{}, nil},
	"GET " + wire.PathSession:       {nil, wire.SessionReply{}},
	"DELETE " + wire.PathSession:    {nil, nil},
	"GET " + wire.PathSessions:      {nil, wire.SessionsReply{}},
	"DELETE " + wire.PathSessions:   {nil, nil},
	"DELETE " + wire.PathOneOfAll:   {nil, nil},
	"GET " + wire.PathVault:         {nil, wire.VaultReply{}},
	"PUT " + wire.PathVault:         {wire.VaultUpdate{}, nil},
	"POST " + wire.PathKeys:         {wire.KeysRequest{}, wire.KeysReply{}},
	"GET " + wire.PathFactor:        {nil, wire.SecondFactorReply{}},
	"PUT " + wire.PathFactor:        {wire.SecondFactorRequest{}, nil},
	"DELETE " + wire.PathFactor:     {nil, nil},
	"PUT " + wire.PathBackup:        {wire.BackupRequest{}, nil},
	"GET " + wire.PathFriends:       {nil, wire.FriendsReply{}},
	"POST " + wire.PathFriends:      {wire.FriendRequest{}, wire.FriendReply{}},
	"POST " + wire.PathWraps:        {wire.WrapsRequest{}, nil},
	"GET " + wire.PathWrap:          {nil, wire.Wrap{}},
	"POST " + wire.PathEntries:      {wire.PublishRequest{}, wire.PublishReply{}},
	"GET " + wire.PathStream:        {nil, wire.StreamReply{}},
	"GET " + wire.PathPost:          {nil, wire.FeedItem{}},
	"GET " + wire.PathFeed:          {nil, wire.FeedReply{}},
	"GET " + wire.PathEvents:        {nil, ""},
	"POST " + wire.PathPeerKeys:     {wire.KeysRequest{}, wire.KeysReply{}},
	"POST " + wire.PathPeerFriends:  {wire.PeerFriendRequest{}, wire.PeerFriendReply{}},
	"POST " + wire.PathPeerSync:     {wire.SyncRequest{}, wire.SyncReply{}},
	"POST " + wire.PathPeerNotices:  {wire.NoticeRequest{}, wire.NoticeReply{}},
}

// TestOpenAPITypes wants each body to have the Go type of the same name, and each
// of those types to have the same members in the file: name, type, required or not.
func TestOpenAPITypes(t *testing.T) {
	s := theSpec(t)
	seen := map[string]bool{"Number": true, "Time": true}
	for name, op := range s.operations {
		types, ok := apiTypes[name]
		if !ok {
			t.Errorf("%s: its types are not known", name)
			continue
		}
		reply := op.responses[200].schema
		if _, nothing := op.responses[204]; nothing != (types[1] == nil) || nothing && reply != nil {
			t.Errorf("%s: it has an answer where there should be none, or none where there should be one", name)
		}
		for i, schema := range []map[string]any{op.request, reply} {
			var want any
			if types[i] != nil {
				want = s.derive(t, reflect.TypeOf(types[i]), seen)
			}
			if schema == nil != (want == nil) || schema != nil && !reflect.DeepEqual(any(schema), want) {
				t.Errorf("%s: got %v, want %v", name, schema, want)
			}
		}
	}
	s.derive(t, reflect.TypeFor[wire.Problem](), seen)
	for name := range s.schemas() {
		if !seen[name] {
			t.Errorf("no type leads to the schema %s", name)
		}
	}
}

// derive returns the schema of a type, and compares those of structs, which stand
// under their name, with what the file has.
func (s *spec) derive(t *testing.T, typ reflect.Type, seen map[string]bool) any {
	t.Helper()
	refer := func(name string) any {
		if _, ok := s.schemas()[name]; !ok {
			t.Errorf("there is no schema %s", name)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	inWire := strings.HasSuffix(typ.PkgPath(), "federation/wire")
	switch {
	case typ.Kind() == reflect.Pointer:
		return s.derive(t, typ.Elem(), seen)
	case inWire && typ.Kind() == reflect.Struct && !isText(typ):
		if !seen[typ.Name()] {
			seen[typ.Name()] = true
			s.compare(t, typ, seen)
		}
		return refer(typ.Name())
	case inWire:
		seen[typ.Name()] = true
		return refer(typ.Name())
	case typ.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": s.derive(t, typ.Elem(), seen)}
	case typ.Kind() == reflect.Uint64:
		return refer("Number")
	case typ.Kind() == reflect.Int64:
		return refer("Time")
	}
	simple := map[reflect.Kind]string{reflect.Int: "integer", reflect.Uint32: "integer", reflect.Bool: "boolean", reflect.String: "string"}
	return map[string]any{"type": simple[typ.Kind()]}
}

// isText reports whether a struct stands in JSON as a string.
func isText(typ reflect.Type) bool {
	return slices.Contains([]reflect.Type{
		reflect.TypeFor[wire.Token](), reflect.TypeFor[wire.Address](), reflect.TypeFor[wire.FactorCode](), reflect.TypeFor[wire.TOTPSecret](),
	}, typ)
}

// compare holds the schema of a struct to its members.
func (s *spec) compare(t *testing.T, typ reflect.Type, seen map[string]bool) {
	t.Helper()
	schema, _ := s.schemas()[typ.Name()].(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	if schema["type"] != "object" || schema["additionalProperties"] != false {
		t.Errorf("%s: a closed object was expected", typ.Name())
	}
	var required []any
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous || !f.IsExported() {
			continue // its members are visible too
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[name] = true
		if option == "" {
			required = append(required, name)
		}
		want := s.derive(t, f.Type, seen)
		if typ == reflect.TypeFor[wire.Problem]() && f.Type.Kind() == reflect.Int64 {
			want = map[string]any{"type": "integer"} // seconds
		}
		got, _ := properties[name].(map[string]any)
		if !reflect.DeepEqual(bare(got), want) {
			t.Errorf("%s.%s: openapi.yaml has %v, the type is %v", typ.Name(), name, bare(got), want)
		}
	}
	if got, _ := schema["required"].([]any); !slices.Equal(got, required) {
		t.Errorf("%s: openapi.yaml requires %v, want %v", typ.Name(), got, required)
	}
	for name := range properties {
		if !names[name] {
			t.Errorf("%s: there is no member %s", typ.Name(), name)
		}
	}
}

// bare is a schema without what is compared in TestOpenAPILimits, or no rule.
func bare(schema map[string]any) any {
	if schema == nil {
		return nil
	}
	b := map[string]any{}
	for keyword, v := range schema {
		_, limit := limitOf(keyword)
		if keyword == "items" {
			v = bare(v.(map[string]any))
		}
		if !limit && keyword != "const" && !slices.Contains(annotations, keyword) {
			b[keyword] = v
		}
	}
	return b
}

func limitOf(keyword string) (string, bool) {
	return keyword, slices.Contains([]string{"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern"}, keyword)
}

// encoded is how many characters so many bytes have in JSON.
func encoded(bytes int) int { return base64.RawURLEncoding.EncodedLen(bytes) }

// TestOpenAPILimits wants each limit in the file to be the one in the code, and
// all of them to be there.
func TestOpenAPILimits(t *testing.T) {
	statement, ends := encoded(wire.MaxStatement), maxEnds
	const most = 1<<63 - 1 // of numbers in a query
	want := map[string]int{
		"Handle maxLength": 32, "NodeName maxLength": 253, "Address maxLength": 32 + 1 + 253,
		"Number minimum": 0, "Number maximum": int(wire.MaxInteger), "Time minimum": 0, "Time maximum": 253402300799999,
		"Argon2/memory_kib minimum": int(wire.DefaultArgon2.Memory), "Argon2/memory_kib maximum": 1 << 20,
		"Argon2/time minimum": int(wire.DefaultArgon2.Time), "Argon2/time maximum": 16, "Argon2/threads minimum": 1, "Argon2/threads maximum": 4,
		"VaultRecord/head maxLength": statement, "VaultRecord/slots maxLength": encoded(wire.MaxSlots), "VaultRecord/vault maxLength": encoded(wire.MaxVault),
		"VaultUpdate/head maxLength": statement, "VaultUpdate/slots maxLength": encoded(wire.MaxSlots), "VaultUpdate/vault maxLength": encoded(wire.MaxVault), "VaultUpdate/key_statement maxLength": statement,
		"Entry/header maxLength": statement, "Entry/body maxLength": encoded(wire.MaxSealedPost),
		"Wrap/sealed minLength": encoded(wire.WrapSize), "Wrap/sealed maxLength": encoded(wire.WrapSize),
		"FriendRecord/offer_made maxLength": statement, "FriendRecord/offer_got maxLength": statement,
		"FriendRecord/accept_made maxLength": statement, "FriendRecord/accept_got maxLength": statement,
		"FriendRecord/ends_made maxItems": ends, "FriendRecord/ends_made/items maxLength": statement,
		"FriendRecord/ends_got maxItems": ends, "FriendRecord/ends_got/items maxLength": statement, "FriendRecord/undelivered minimum": 0,
		"SyncStream/readers maxItems": wire.MaxSyncReaders, "SyncedStream/closed maxItems": wire.MaxSyncReaders,
		"ClosedTo/ends maxItems": ends, "ClosedTo/ends/items maxLength": statement,
		"RegisterRequest/key_statement maxLength": statement, "LoginRequest/answer maxLength": statement,
		"LoginRequest/device minLength": 1, "LoginRequest/device maxLength": wire.MaxDeviceName,
		"HeadsRequest/query maxLength": statement, "FriendRequest/statement maxLength": statement, "PeerFriendRequest/statement maxLength": statement,
		"WrapsRequest/wraps minItems": 1, "WrapsRequest/wraps maxItems": wire.MaxWrapBatch, "PublishRequest/ends maxItems": maxEndings,
		"SyncRequest/streams maxItems": wire.MaxSyncStreams, "SyncReply/streams maxItems": wire.MaxSyncStreams, "SyncReply/changed maxItems": wire.MaxSyncStreams,
		"NoticeRequest/streams maxItems":          wire.MaxSyncStreams,
		"NodeDocumentReply/document maxLength":    encoded(wire.MaxNodeDocument),
		"NodeDocumentReply/root_changes maxItems": wire.MaxRootChanges, "NodeDocumentReply/root_changes/items maxLength": statement,
		"SessionReply/device minLength": 1, "SessionReply/device maxLength": wire.MaxDeviceName,
		"SessionInfo/device minLength": 1, "SessionInfo/device maxLength": wire.MaxDeviceName, "SessionsReply/sessions maxItems": wire.MaxSessions,
		"HeadsReply/head maxLength": statement, "VaultReply/heads maxItems": wire.MaxHeads, "VaultReply/heads/items maxLength": statement,
		"KeysReply/statements minItems": 1, "KeysReply/statements maxItems": wire.MaxKeyChain, "KeysReply/statements/items maxLength": statement,
		"FactorKind minimum": 1, "FactorKind maximum": int(wire.MaxInteger), "SecondFactorReply/backup minimum": 0, "SecondFactorReply/backup maximum": wire.BackupCodes,
		"SecondFactorRequest/backup minItems": wire.BackupCodes, "SecondFactorRequest/backup maxItems": wire.BackupCodes,
		"BackupRequest/backup minItems": wire.BackupCodes, "BackupRequest/backup maxItems": wire.BackupCodes,
		"KeysReply/proof maxLength":     encoded(wire.MaxLogProof),
		"KeysReply/tombstone maxLength": statement, "FriendRecord/tombstone maxLength": statement, "DeleteRequest/tombstone maxLength": statement,
		"FriendsReply/friends maxItems": maxFriends, "StreamReply/entries maxItems": wire.MaxPage, "FeedReply/items maxItems": wire.MaxPage,
		"FeedReply/cursor maxLength": maxCursor, "FeedReply/streams maxItems": maxStreams + maxFriends,
		"FeedReply/state minLength": encoded(aes.BlockSize), "FeedReply/state maxLength": encoded(aes.BlockSize), "Problem/retry_after_s minimum": 1,
		"GET /v1/vault query after minimum": 0, "GET /v1/vault query after maximum": most,
		"GET /v1/streams/:author/:audience query after minimum": 0, "GET /v1/streams/:author/:audience query after maximum": most,
		"GET /v1/streams/:author/:audience query before minimum": 0, "GET /v1/streams/:author/:audience query before maximum": most,
		"GET /v1/streams/:author/:audience query limit minimum": 1, "GET /v1/streams/:author/:audience query limit maximum": wire.MaxPage,
		"GET /v1/streams/:author/:audience query limit default": defaultPage,
		"GET /v1/feed query limit minimum":                      1, "GET /v1/feed query limit maximum": wire.MaxPage,
		"GET /v1/feed query limit default": defaultPage, "GET /v1/feed query before maxLength": maxCursor,
	}
	s := theSpec(t)
	got := map[string]int{}
	for name, schema := range s.schemas() {
		collectLimits(got, name, schema.(map[string]any))
	}
	for name, op := range s.operations {
		for parameter, schema := range op.parameters {
			collectLimits(got, name+" "+parameter, schema)
			if n, ok := schema["default"].(int); ok && n != 0 {
				got[name+" "+parameter+" default"] = n
			}
		}
	}
	for name, n := range want {
		if found, ok := got[name]; !ok || found != n {
			t.Errorf("%s: openapi.yaml has %d (%v), want %d", name, found, ok, n)
		}
	}
	for name, n := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: openapi.yaml has %d, which is not in this table", name, n)
		}
	}
}

func collectLimits(into map[string]int, at string, schema map[string]any) {
	for keyword, v := range schema {
		n, isNumber := v.(int)
		if _, ok := limitOf(keyword); ok && isNumber {
			into[at+" "+keyword] = n
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		collectLimits(into, at+"/items", items)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, one := range properties {
		collectLimits(into, at+"/"+name, one.(map[string]any))
	}
}

// TestOpenAPIWhole wants each component to be used, each reference to lead
// somewhere, and operations to be told apart by name and sorted by a known tag.
func TestOpenAPIWhole(t *testing.T) {
	s := theSpec(t)
	unused := map[string]bool{}
	for kind, list := range s.root["components"].(map[string]any) {
		for name := range list.(map[string]any) {
			unused["#/components/"+kind+"/"+name] = kind != "securitySchemes" // which go by name
		}
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if _, there := unused[ref]; !there {
					t.Errorf("%s leads nowhere", ref)
				}
				unused[ref] = false
			}
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(s.root)
	for ref, is := range unused {
		if is {
			t.Errorf("%s is not used", ref)
		}
	}
	var tags []string
	for _, tag := range s.root["tags"].([]any) {
		tags = append(tags, tag.(map[string]any)["name"].(string))
	}
	ids := map[any]bool{}
	for path, item := range s.root["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			o := o.(map[string]any)
			tag := o["tags"].([]any)
			if ids[o["operationId"]] || o["operationId"] == nil || o["summary"] == nil || len(tag) != 1 || !slices.Contains(tags, tag[0].(string)) {
				t.Errorf("%s %s: an operationId of its own, a summary and one known tag were expected", method, path)
			}
			ids[o["operationId"]] = true
		}
	}
}

// TestOpenAPITexts holds the patterns to the parsers, on the frozen vectors.
func TestOpenAPITexts(t *testing.T) {
	s := theSpec(t)
	parsers := map[string]func(string) error{
		"Handle":     func(v string) error { _, err := wire.ParseHandle(v); return err },
		"NodeName":   func(v string) error { _, err := wire.ParseNodeName(v); return err },
		"Address":    func(v string) error { _, err := wire.ParseAddress(v); return err },
		"AccountID":  func(v string) error { _, err := wire.ParseAccountID(v); return err },
		"EntryID":    func(v string) error { _, err := wire.ParseEntryID(v); return err },
		"AudienceID": func(v string) error { _, err := wire.ParseAudienceID(v); return err },
		"Commitment": func(v string) error { _, err := wire.ParseCommitment(v); return err },
		"Token":      func(v string) error { _, err := wire.ParseToken(v); return err },
		"Hash":       func(v string) error { return new(wire.Hash).UnmarshalText([]byte(v)) },
		"Nonce":      func(v string) error { return new(wire.Nonce).UnmarshalText([]byte(v)) },
		"Bytes":      func(v string) error { return new(wire.Bytes).UnmarshalText([]byte(v)) },
		"Signed":     func(v string) error { return new(wire.Signed).UnmarshalText([]byte(v)) },
	}
	var inputs []string
	for _, file := range []string{"ids", "names"} {
		text, err := os.ReadFile("../docs/vectors/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct{ Accepted, Refused []struct{ Input string } }
		if err := json.Unmarshal(text, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range append(vectors.Accepted, vectors.Refused...) {
			inputs = append(inputs, v.Input)
		}
	}
	// What the pattern of a node name cannot say, as its description tells.
	narrower := regexp.MustCompile(`(?:^|[.@])(?:[0-9]+|localhost|0x[a-z0-9-]*)$|localhost:[0-9]{5}$`)
	for name, parse := range parsers {
		schema := s.schemas()[name].(map[string]any)
		accepted, refused := 0, 0
		for _, input := range inputs {
			matches := len(s.faults(schema, input, "")) == 0
			parses := parse(input) == nil
			if parses {
				accepted++
			} else {
				refused++
			}
			if matches != parses && !(matches && (name == "NodeName" || name == "Address") && narrower.MatchString(input)) {
				t.Errorf("%s %q: matches %v, parses %v", name, input, matches, parses)
			}
		}
		if accepted == 0 || refused == 0 {
			t.Errorf("%s: %d inputs accepted, %d refused", name, accepted, refused)
		}
	}
}

// TestOpenAPICodes holds the codes to the vocabulary, and both to protocol.md.
func TestOpenAPICodes(t *testing.T) {
	s := theSpec(t)
	var inSpec, inText []string
	for _, code := range s.schemas()["Kind"].(map[string]any)["enum"].([]any) {
		inSpec = append(inSpec, code.(string))
	}
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z_]+) \| ([0-9]{3}) \|`).FindAllStringSubmatch(string(text), -1) {
		inText = append(inText, row[1])
		if got := wire.Kind(row[1]).Status(); fmt.Sprint(got) != row[2] {
			t.Errorf("%s: protocol.md says %s, the code %d", row[1], row[2], got)
		}
	}
	slices.Sort(inSpec)
	slices.Sort(inText)
	if !slices.Equal(inSpec, inText) || len(inSpec) == 0 {
		t.Errorf("openapi.yaml has the codes %q, protocol.md %q", inSpec, inText)
	}
	for name, op := range s.operations {
		for status, r := range op.responses {
			fixed := name == "POST "+wire.PathWitness && (status == 409 || status == 422) // by tlog-witness
			if (r.media == wire.MediaProblem) != (status >= 400 && !fixed) {
				t.Errorf("%s: %d is %q", name, status, r.media)
			}
			for _, code := range r.codes {
				framework := status == 408 || status == 431 // of the HTTP below, with the code that comes closest
				if !slices.Contains(inSpec, string(code)) || code.Status() != status && !framework {
					t.Errorf("%s: %s is answered with %d, not with %d", name, code, code.Status(), status)
				}
			}
			if want := map[string]any{"const": status}; r.codes != nil && !reflect.DeepEqual(r.schema["properties"].(map[string]any)["status"], any(want)) {
				t.Errorf("%s: the problem of %d has another status", name, status)
			}
		}
	}
}

// TestOpenAPIExamples decodes each example into its type, strictly, and checks it
// by its schema.
func TestOpenAPIExamples(t *testing.T) {
	s := theSpec(t)
	try := func(name string, schema map[string]any, example, into any) {
		if example == nil {
			t.Errorf("%s: there is no example", name)
			return
		}
		text, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		to := reflect.New(reflect.TypeOf(into))
		if err := wire.DecodeJSON(text, to.Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, fault := range s.jsonFaults(schema, text) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for path, item := range s.root["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			name := strings.ToUpper(method) + " " + braces.ReplaceAllString(path, ":$1")
			if body, ok := o.(map[string]any)["requestBody"].(map[string]any); ok {
				r := s.response(body)
				try(name, r.schema, r.example, apiTypes[name][0])
			}
			for status, r := range s.operations[name].responses {
				switch {
				case status == 200:
					try(name+" 200", r.schema, r.example, apiTypes[name][1])
				case r.media == wire.MediaProblem:
					try(fmt.Sprint(name, " ", status), r.schema, r.example, wire.Problem{})
				}
			}
		}
	}
}

// TestOpenAPIRefusals sends to every route of a running node what the layers
// before it refuse, and holds each answer to the file.
func TestOpenAPIRefusals(t *testing.T) {
	patient, slow := devConfig(t), devConfig(t)
	slow.Timeouts.Read = 100 * time.Millisecond
	node, hasty := runs(t, patient), runs(t, slow)
	id := strings.Repeat("a", 52)
	for name, op := range theSpec(t).operations {
		method, path, _ := strings.Cut(name, " ")
		path = target(path, id, id, id)
		line := method + " " + path + " HTTP/1.1"
		for _, test := range []struct {
			to     *running
			raw    string
			status int
			code   wire.Kind
		}{
			{node, head(line, "Host: a", "Host: a"), 400, wire.Invalid},
			{node, head(line, "Host: a", "Content-Encoding: gzip"), 415, wire.Media},
			{node, head(line, "Host: a", "X: "+strings.Repeat("x", 9000)), 431, wire.TooLarge},
			{hasty, line + "\r\nHost: a\r\n", 408, wire.Invalid},
			{node, head(line, "Host: a", jsonLine, fmt.Sprint("Content-Length: ", op.limit+1)) + strings.Repeat("x", op.limit+1), 413, wire.TooLarge},
			{node, head(line, "Host: a"), 401, wire.Unauthenticated},
		} {
			if test.status == 413 && op.request == nil || test.status == 401 && op.security == "" {
				continue
			}
			response, body, _ := says(t, strings.TrimPrefix(test.to.url, "http://"), test.raw)
			wantProblem(t, response, body, test.status, test.code)
			hold(t, method, path, nil, answered{response.StatusCode, response.Header, []byte(body)})
		}
	}
}
