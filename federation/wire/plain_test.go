package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// These have no short way of their own.
type (
	generalHeader  EntryHeader
	generalRequest PublishRequest
	generalReply   PublishReply

	generalChallenge      ChallengeRequest
	generalLogin          LoginRequest
	generalChallengeReply ChallengeReply
	generalLoginReply     LoginReply
)

// variants calls try with a text, and with everything that differs from it in one
// bit, by one byte, or ends before it.
func variants(text []byte, try func([]byte)) {
	try(text)
	for i := range text {
		try(text[:i])
		for bit := range 8 {
			other := bytes.Clone(text)
			other[i] ^= 1 << bit
			try(other)
		}
		try(append(bytes.Clone(text[:i]), text[i+1:]...))
		try(append(append(bytes.Clone(text[:i]), text[i]), text[i:]...))
	}
	try(append(bytes.Clone(text), 0))
}

// TestPlainEntry: the short way reads every header of this release, and nothing
// but what the general way accepts, to the same header.
func TestPlainEntry(t *testing.T) {
	large := postEntry(EntryID(seedOf("previous")), []byte("body"))
	large.KeySeq, large.Seq, large.Epoch, large.Created, large.BodySize = 23, 24, 255, 256, 65535
	larger := postEntry(EntryID(seedOf("previous")), []byte("body"))
	larger.KeySeq, larger.Seq, larger.Epoch, larger.Created, larger.BodySize = 65536, 1<<32-1, 1<<32, math.MaxInt64, math.MaxUint64
	targeted := postEntry(EntryID(seedOf("previous")), []byte("body"))
	targeted.Target = []byte("target")
	attached := postEntry(EntryID(seedOf("previous")), []byte("body"))
	attached.Attachments = [][]byte{{1}}
	for _, c := range []struct {
		h     *EntryHeader
		plain bool
	}{{epochEntry([]byte("body")), true}, {large, true}, {larger, true}, {&EntryHeader{}, true}, {targeted, false}, {attached, false}} {
		payload := EncodeCBOR(c.h)
		if got := new(EntryHeader); got.decodePlain(payload) != c.plain {
			t.Errorf("%x is read the short way: %v", payload, !c.plain)
		}
		bothWays[EntryHeader, generalHeader](t, "entry", payload)
	}
}

// TestPublishPlain: the same for the request that publishes a post; and its answer
// is what encoding it the general way gives.
func TestPublishPlain(t *testing.T) {
	request := PublishRequest{Entry: Entry{Header: Signed("signed header"), Body: Bytes("the body")}}
	text := EncodeJSON(request)
	for _, c := range []struct {
		text  string
		plain bool
	}{
		{string(text), true},
		{string(EncodeJSON(PublishRequest{Entry: request.Entry, Ends: []FriendRequest{{}}})), false},
		{`{"entry":{"body":"AA","header":"AA"}}`, false},
		{`{"entry":{"header":"AA","body":"AA"} }`, false},
		{`{"entry":{"header":"AA","body":"A\u0041"}}`, false},
		{`{"entry":{"header":"AA","body":"AA","body":"AA"}}`, false},
		{`{"entry":{"header":"AA","header":"AA","body":"AA"}}`, false},
		{`{"entry":{"header":"AA","body":"AA"}}` + "\n", false},
		{`{"entry":{"header":"AA","body":"AB"}}`, false},
		{`{"entry":{"header":"AA","body":"AA=="}}`, false},
		{"{\"entry\":{\"header\":\"A\nA\",\"body\":\"AA\"}}", false},
		{"{\"entry\":{\"header\":\"AA\",\"body\":\"A\r\nA\"}}", false},
	} {
		var short PublishRequest
		if short.decodePlain([]byte(c.text)) != c.plain {
			t.Errorf("%q is read the short way: %v", c.text, !c.plain)
		}
	}
	variants(text, func(b []byte) {
		var short, untouched PublishRequest
		var general generalRequest
		if !short.decodePlain(b) {
			if !bytes.Equal(EncodeJSON(short), EncodeJSON(untouched)) {
				t.Fatalf("%q is not read the short way, and leaves %+v", b, short)
			}
			return
		}
		if err := DecodeJSON(b, &general); err != nil {
			t.Fatalf("%q is accepted, which the general way does not: %v", b, err)
		}
		if got := EncodeJSON(short); !bytes.Equal(got, b) || !bytes.Equal(got, EncodeJSON(general)) {
			t.Fatalf("%q is read as %+v", b, short)
		}
	})
	for _, arrival := range []int64{0, 1, -1, t0, math.MaxInt64} {
		reply := PublishReply{EntryID(seedOf("entry")), arrival}
		want, err := json.Marshal(generalReply(reply), json.Deterministic(true))
		if got := EncodeJSON(reply); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %s, want %s, %v", got, want, err)
		}
	}
}

// plainly demands that decoding text the short way is what the general way makes of
// it, if the short way takes it; and tells whether that does.
func plainly(t *testing.T, text []byte, short interface{ decodePlain([]byte) bool }, general any) bool {
	t.Helper()
	before := string(EncodeJSON(short))
	if !short.decodePlain(text) {
		if got := string(EncodeJSON(short)); got != before {
			t.Fatalf("%q is not read the short way, and leaves %s", text, got)
		}
		return false
	}
	if err := DecodeJSON(text, general); err != nil {
		t.Fatalf("%q is accepted, which the general way does not: %v", text, err)
	}
	if got, want := EncodeJSON(short), EncodeJSON(general); !bytes.Equal(got, text) || !bytes.Equal(got, want) {
		t.Fatalf("%q is read as %s, and the general way as %s", text, got, want)
	}
	return true
}

// TestLoginPlain: the same for both steps of a log-in.
func TestLoginPlain(t *testing.T) {
	token := NewToken(seedOf("device"))
	known := LoginRequest{
		Handle: "alice", Purpose: PurposeLogin, Nonce: Nonce(seedOf("nonce")), Expires: t0, Tag: Hash(seedOf("tag")),
		Answer: Signed("the signed challenge"), Device: "alice's <laptop> & co", DeviceToken: &token,
	}
	fresh, recovery := known, known
	fresh.DeviceToken, recovery.Purpose, recovery.Expires = nil, PurposeRecovery, -1<<53+1
	for _, r := range []LoginRequest{known, fresh, recovery, {Handle: "a", Expires: 1<<53 - 1, Answer: Signed{}}} {
		text := EncodeJSON(r)
		if !new(LoginRequest).decodePlain(text) {
			t.Errorf("%s is not read the short way", text)
		}
		variants(text, func(b []byte) { plainly(t, b, new(LoginRequest), new(generalLogin)) })
	}
	for _, device := range []string{"B\u00fcro", "a\nb", `a"b`, `a\b`, "\x00", "\x7f", "a\u202eb"} {
		odd := known
		odd.Device = device
		if got := new(LoginRequest); got.decodePlain(EncodeJSON(odd)) {
			t.Errorf("device %q is read the short way", device)
		} else if err := DecodeJSON(EncodeJSON(odd), got); (err == nil) != (device != "\x00") || err == nil && got.Device != device {
			t.Errorf("device %q is read as %q, %v", device, got.Device, err)
		}
	}
	for _, r := range []ChallengeRequest{{"alice", PurposeLogin}, {"a_1", PurposeRecovery}, {Handle: "a"}} {
		text := EncodeJSON(r)
		if !new(ChallengeRequest).decodePlain(text) {
			t.Errorf("%s is not read the short way", text)
		}
		variants(text, func(b []byte) { plainly(t, b, new(ChallengeRequest), new(generalChallenge)) })
	}
	for _, c := range []string{
		`{"handle":"alice"}`, `{"purpose":"login","handle":"alice"}`, `{"handle":"alice","handle":"alice","purpose":"login"}`,
		` {"handle":"alice","purpose":"login"}`, `{"handle":"alice","purpose":"login" }`, `{"handle":null,"purpose":"login"}`,
		`{"handle":"alic\u0065","purpose":"login"}`, `{"handle":"alice","purpose":"login","more":1}`,
	} {
		if plainly(t, []byte(c), new(ChallengeRequest), new(generalChallenge)) {
			t.Errorf("%s is read the short way", c)
		}
	}
	for _, n := range []int64{0, 1, -1, t0, math.MaxInt64} {
		challenge := ChallengeReply{Nonce(seedOf("random")), Argon2{1 << 31, uint32(n), 4}, Nonce(seedOf("nonce")), n, Hash(seedOf("tag"))}
		session := LoginReply{alice, NewToken(seedOf("token")), token, n}
		for _, c := range []struct{ short, general any }{
			{challenge, generalChallengeReply(challenge)}, {session, generalLoginReply(session)}, {LoginReply{}, generalLoginReply{}},
		} {
			want, err := json.Marshal(c.general, json.Deterministic(true))
			if got := EncodeJSON(c.short); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %s, want %s, %v", got, want, err)
			}
		}
	}
}

// TestPlainSlots says of slots what TestPlainEntry says of headers.
func TestPlainSlots(t *testing.T) {
	type generalSlots Slots
	large := slots()
	large.Argon2 = Argon2{math.MaxUint32, 256, 24}
	large.PasswordSlot = nil
	for _, s := range []*Slots{slots(), large, {}} {
		payload := EncodeCBOR(s)
		if !new(Slots).decodePlain(payload) {
			t.Errorf("%x is not read the short way", payload)
		}
		try := bothWays[Slots, generalSlots](t, "slots", payload)
		argon2, memory := EncodeCBOR(s.Argon2), EncodeCBOR(s.Argon2.Memory)
		above := EncodeCBOR(uint64(math.MaxUint32 + 1 + uint64(s.Argon2.Memory)))
		try(bytes.Replace(payload, argon2, bytes.Replace(argon2, append([]byte{1}, memory...), append([]byte{1}, above...), 1), 1))
	}
}

// TestChallengeBytes compares the two ways to encode a challenge.
func TestChallengeBytes(t *testing.T) {
	for _, n := range []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, math.MaxInt64, math.MaxUint64} {
		for _, length := range []int{0, 1, 23, 24, 255, 256} {
			c := &Challenge{n, n, NodeName(strings.Repeat("n", length)), Handle(strings.Repeat("h", length)), Purpose(strings.Repeat("p", length)), seedOf("nonce"), int64(n)}
			if got, want := c.Bytes(), EncodeCBOR(c); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		}
	}
}

// bothWays holds the short way of an S to the general one, which a G goes, on a
// payload and on much that resembles it: what is read the short way is what the
// general way reads, and what is not leaves nothing. It returns what tries more.
func bothWays[S, G any, P interface {
	*S
	decodePlain([]byte) bool
}](t *testing.T, what string, payload []byte) (try func(b []byte)) {
	t.Helper()
	try = func(b []byte) {
		short, general := P(new(S)), new(G)
		if !short.decodePlain(b) {
			if !bytes.Equal(EncodeCBOR(short), EncodeCBOR(new(S))) {
				t.Fatalf("%x is not read the short way, and leaves %+v", b, short)
			}
			return
		}
		if err := DecodeCBOR(what, b, general); err != nil {
			t.Fatalf("%x is accepted, which the general way does not: %v", b, err)
		}
		if got := EncodeCBOR(short); !bytes.Equal(got, b) || !bytes.Equal(got, EncodeCBOR(general)) {
			t.Fatalf("%x is read as %+v", b, short)
		}
	}
	variants(payload, try)
	for _, form := range otherForms(pairsOf(t, payload)) {
		try(form)
	}
	for i, p := range pairsOf(t, payload) {
		for _, v := range otherValues(p) {
			try(with(pairsOf(t, payload), i, v))
		}
	}
	return try
}
