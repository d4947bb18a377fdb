//go:build !race

package wire

import "testing"

// TestAllocations holds what is done for each entry and each page to its
// allocations.
func TestAllocations(t *testing.T) {
	signed := must(postEntry(EntryID(seedOf("previous")), []byte("body")).Sign(aliceKey))
	key, page := aliceKey.Public(), somePage(50, 200, "cursor", true)
	id := alice.String()
	post := EncodeJSON(PublishRequest{Entry: Entry{signed, make([]byte, 1100)}})
	token := NewToken(seedOf("device"))
	challenge := EncodeJSON(ChallengeRequest{"alice", PurposeLogin})
	login := EncodeJSON(LoginRequest{Handle: "alice", Purpose: PurposeLogin, Answer: signed, Device: "laptop", DeviceToken: &token})
	for _, test := range []struct {
		name string
		most float64
		do   func()
	}{
		{"verify an entry", 2, func() { must(OpenEntryHeader(signed, key)) }},
		{"read a post", 3, func() { must(0, DecodeJSON(post, new(PublishRequest))) }},
		{"answer a post", 2, func() { EncodeJSON(PublishReply{Arrival: t0}) }},
		{"read the first step of a log-in", 4, func() { must(0, DecodeJSON(challenge, new(ChallengeRequest))) }},
		{"answer it", 2, func() { EncodeJSON(ChallengeReply{Expires: t0}) }},
		{"read the second", 18, func() { must(0, DecodeJSON(login, new(LoginRequest))) }},
		{"answer it", 2, func() { EncodeJSON(LoginReply{Expires: t0, Token: token, DeviceToken: token}) }},
		{"write an id", 1, func() { _ = alice.String() }},
		{"read an id", 2, func() { must(ParseAccountID(id)) }},
		{"hash an entry's header", 0, func() { signed.Hash(LabelEntry) }},
		{"encode a page of kept parts", 2, func() { EncodeJSON(page) }},
	} {
		if got := testing.AllocsPerRun(20, test.do); got > test.most {
			t.Errorf("%s: %v allocations, at most %v were expected", test.name, got, test.most)
		}
	}
}
