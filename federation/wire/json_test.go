package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// What docs/vectors/json.json has no room for, and that no error is longer than
// can be shown, whatever is refused. The rest of the rules stands there.
func TestDecodeJSON(t *testing.T) {
	bad := []string{`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, strings.Repeat(`{"x":`, 100_000)}
	for _, texts := range badJSON() {
		bad = append(bad, texts...)
	}
	for _, text := range bad {
		err := DecodeJSON([]byte(text), new(jsonBody))
		wantKind(t, name(text), err, Invalid)
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", name(text), len(err.Error()))
		}
	}
}

func TestJSONNumbers(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "10": 10, "-10": -10, "9007199254740991": 1<<53 - 1, "-9007199254740991": -(1<<53 - 1),
	} {
		var r PublishReply
		if err := DecodeJSON([]byte(`{"arrival":`+text+`}`), &r); err != nil || r.Arrival != want {
			t.Errorf("%s: got %d, %v", text, r.Arrival, err)
		}
	}
	for _, text := range []string{
		"-0", "-0.0", "0.0", "1.0", "1.5", "1e0", "1E3", "1e400", "-1e400", "1e-400", "00", "01", "-01", "+1", ".5", "1.", "0x10", "1_000", "NaN", "Infinity", "-",
		"9007199254740992", "9007199254740993", "-9007199254740992", "9223372036854775807", "9223372036854775808", "18446744073709551615", strings.Repeat("9", 400),
		`"1"`, "true", "null", "[1]", "{}",
	} {
		wantKind(t, "int64 "+text, DecodeJSON([]byte(`{"arrival":`+text+`}`), new(PublishReply)), Invalid)
		wantKind(t, "uint64 "+text, DecodeJSON([]byte(`{"head":`+text+`}`), new(StreamReply)), Invalid)
		wantKind(t, "uint32 "+text, DecodeJSON([]byte(`{"argon2":{"time":`+text+`}}`), new(ChallengeReply)), Invalid)
	}
	wantKind(t, "a negative count", DecodeJSON([]byte(`{"head":-1}`), new(StreamReply)), Invalid)
	wantKind(t, "uint32 above", DecodeJSON([]byte(`{"argon2":{"time":4294967296}}`), new(ChallengeReply)), Invalid)
	wantKind(t, "true for a pointer", DecodeJSON([]byte(`{"record":true}`), new(VaultReply)), Invalid)
	wantKind(t, "null for a pointer", DecodeJSON([]byte(`{"record":null}`), new(VaultReply)), Invalid)
	wantKind(t, "null in an array", DecodeJSON([]byte(`{"heads":[null]}`), new(VaultReply)), Invalid)
	wantKind(t, "null for an array", DecodeJSON([]byte(`{"heads":null}`), new(VaultReply)), Invalid)
}

// apiTypes are all bodies of the two APIs.
func apiTypes() []any {
	return []any{
		&NodeDocumentReply{}, &Health{}, &RegisterRequest{}, &RegisterReply{}, &ChallengeRequest{}, &ChallengeReply{}, &LoginRequest{}, &LoginReply{},
		&SessionReply{}, &HeadsRequest{}, &HeadsReply{}, &RecoveryRequest{}, &RecoveryReply{}, &VaultReply{}, &VaultRecord{}, &KeysRequest{}, &KeysReply{}, &FriendRecord{}, &FriendsReply{}, &FriendReply{},
		&FriendRequest{}, &WrapsRequest{}, &Wrap{}, &PublishRequest{}, &PublishReply{}, &StreamReply{}, &FeedItem{}, &FeedReply{}, &Problem{},
		&PeerFriendRequest{}, &PeerFriendReply{}, &SyncRequest{}, &SyncReply{},
	}
}

// fill sets every field below v that travels to something that is not zero.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case Handle:
		v.SetString("alice")
		return
	case NodeName:
		v.SetString("node.example")
		return
	case Token:
		v.Set(reflect.ValueOf(NewToken(seedOf("token"))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Array:
		fill(v.Index(3))
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Type())
	}
}

// Every body comes back as it was, has no null and no member with a capital.
func TestAPITypes(t *testing.T) {
	for _, v := range apiTypes() {
		typ := reflect.TypeOf(v).Elem()
		fill(reflect.ValueOf(v).Elem())
		b := EncodeJSON(v)
		again := reflect.New(typ).Interface()
		if err := DecodeJSON(b, again); err != nil {
			t.Errorf("%s: %v in %s", typ, err, b)
		} else if c := EncodeJSON(again); !bytes.Equal(b, c) {
			t.Errorf("%s: %s came back as %s", typ, b, c)
		}
		if zero := EncodeJSON(reflect.New(typ).Interface()); bytes.Contains(zero, []byte("null")) {
			t.Errorf("%s is written with null: %s", typ, zero)
		}
		lowerNames(t, typ, b)
	}
}

func lowerNames(t *testing.T, typ reflect.Type, b []byte) {
	for _, part := range bytes.Split(b, []byte(`":`)) {
		name := part[bytes.LastIndexByte(part, '"')+1:]
		if bytes.ContainsAny(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") {
			t.Errorf("%s has the member %q", typ, name)
		}
	}
}

// A body of 1 MiB of brackets, or of members, takes no more than some multiple of it.
func TestHugeJSON(t *testing.T) {
	for name, b := range map[string]string{
		"brackets": strings.Repeat("[", 1<<20), "objects": strings.Repeat(`{"status":`, 100_000), "zeros": "[" + strings.Repeat("0,", 1<<19) + "0]",
		"a member of brackets": `{"status":` + strings.Repeat("[", 1<<20), "a long name": `{"` + strings.Repeat("x", 1<<20) + `":1}`,
	} {
		n := allocated(func() { wantKind(t, name, DecodeJSON([]byte(b), new(Health)), Invalid) })
		if n > 16*uint64(len(b)) {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
}

// TestOnlyStrings wants tokens to be read again wherever checkTokens could refuse
// one, and for a post not.
func TestOnlyStrings(t *testing.T) {
	for _, s := range []string{`null`, `[null]`, `{"a":null}`, `{"a":"b","c":0}`, `[-0]`, `7`, `{"a":"\u0000"}`, `{"\u0000":"b"}`, `["\"",null]`, `["\\",1]`} {
		if onlyStrings([]byte(s)) {
			t.Errorf("%s counts as strings alone", s)
		}
	}
	for _, s := range []string{`{}`, `""`, `{"a":"null-0"}`, `[true,false,"1"]`, string(EncodeJSON(PublishRequest{Entry: Entry{Header: make(Signed, 300), Body: make(Bytes, 900)}}))} {
		if !onlyStrings([]byte(s)) {
			t.Errorf("%s counts as more than strings", s)
		}
	}
}
