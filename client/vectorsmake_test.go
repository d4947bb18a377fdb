package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// fixed makes 32 bytes of a name, the same in each run.
func fixed(name string) [32]byte { return sha256.Sum256([]byte("peerbrain test seed: " + name)) }

func diagnostic(t testing.TB, b []byte) string {
	d, err := cbor.Diagnose(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func postVectors(t testing.TB) vectorFile {
	f := vectorFile{About: "The plaintext of posts, before padding and sealing. A payload goes on with times bytes then."}
	good := func(name, text string) {
		b := encodePost(text)
		f.Accepted = append(f.Accepted, vector{Name: name, Text: text, Payload: hex.EncodeToString(b), Diagnostic: diagnostic(t, b)})
	}
	good("hi", "hi")
	good("a line break, a tab, quotes and NUL", "a\n\t\"b\"\x00")
	good("other scripts", "gr\u00fcne W\u00e4lder \U0001f332")
	bad := func(name, why string, k wire.Kind, payload []byte) {
		f.Refused = append(f.Refused, vector{Name: name, Payload: hex.EncodeToString(payload), Error: k, Why: why})
	}
	bad("no text", "a text has 1 byte at least", wire.Invalid, encodePost(""))
	bad("nothing", "it is no map", wire.Invalid, nil)
	bad("no member of text", "both members are needed", wire.Invalid, []byte{0xa1, 1, 1})
	bad("version 2", "version 2 needs a newer release", wire.Update, []byte{0xa2, 1, 2, 2, 0x62, 'h', 'i'})
	bad("version 2 with a new member", "version 2 needs a newer release", wire.Update, []byte{0xa3, 1, 2, 2, 0x62, 'h', 'i', 3, 0})
	bad("version 2 with another text", "version 2 needs a newer release", wire.Update, []byte{0xa2, 1, 2, 2, 0x81, 0x62, 'h', 'i'})
	bad("a new member", "a key that the table does not have", wire.Invalid, []byte{0xa3, 1, 1, 2, 0x62, 'h', 'i', 3, 0})
	bad("bad UTF-8", "a text is UTF-8", wire.Invalid, []byte{0xa2, 1, 1, 2, 0x62, 0xc3, 0x28})
	bad("a surrogate", "a text is UTF-8", wire.Invalid, []byte{0xa2, 1, 1, 2, 0x63, 0xed, 0xa0, 0x80})
	bad("bytes for text", "a text is a text string", wire.Invalid, []byte{0xa2, 1, 1, 2, 0x42, 'h', 'i'})
	bad("a long head", "the head is not in its shortest form", wire.Invalid, []byte{0xa2, 1, 1, 2, 0x78, 2, 'h', 'i'})
	bad("a text in pieces", "indefinite lengths are refused", wire.Invalid, []byte{0xa2, 1, 1, 2, 0x7f, 0x61, 'h', 0x61, 'i', 0xff})
	bad("members swapped", "keys are not in ascending order", wire.Invalid, []byte{0xa2, 2, 0x62, 'h', 'i', 1, 1})
	bad("a trailing byte", "a byte follows the map", wire.Invalid, append(encodePost("hi"), 0))
	long := func(name string, n int) vector {
		b := encodePost(strings.Repeat("a", n))
		return vector{Name: name, Payload: hex.EncodeToString(b[:len(b)-n]), Then: "61", Times: n}
	}
	f.Accepted = append(f.Accepted, long("as long as can be", MaxText))
	tooLong := long("too long", MaxText+1)
	tooLong.Error, tooLong.Why = wire.TooLarge, "a text has 65,000 bytes at most"
	f.Refused = append(f.Refused, tooLong)
	return f
}

// vaultAccount owns the vaults of the vectors.
var vaultAccount = wire.AccountID(fixed("account alice"))

// fullVault holds one of everything: a friend with whom the past is shared, an
// offer that may not have reached the node, and a friendship that has ended.
func fullVault(t testing.TB) *vault {
	friends := fixed("audience of alice")
	identity, encryption, self := fixed("alice identity"), fixed("alice encryption"), fixed("alice self key")
	key := wire.NewIdentitySecret(identity)
	v := &vault{
		Version: vaultVersion, Identity: wire.Hide(identity[:]), Encryption: wire.Hide(encryption[:]), Self: wire.Hide(self[:]), KeySeq: 1,
		Audiences: []audience{{ID: friends, Name: friendsName}},
	}
	person := func(handle wire.Handle) *friend {
		id := wire.AccountID(fixed("account " + string(handle)))
		return v.add(friend{
			Account: id, Handle: handle, Node: "other.example", PinHash: fixed("key statement of " + string(handle)),
			Friendship: wire.Friendship{Me: vaultAccount, Other: id},
		})
	}
	const at = int64(1_790_000_000_000)
	say := func(f *friend, at int64) (wire.Signed, *wire.Offer) {
		o := &wire.Offer{
			Version: wire.Version, Suite: wire.Suite, From: vaultAccount, FromHandle: "alice", FromNode: "node.example", KeySeq: 1,
			To: f.Account, ToHandle: f.Handle, ToNode: f.Node, Audience: friends, Created: at,
		}
		s, err := o.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Friendship.AddOffer(o, s.Hash(wire.LabelOffer)); err != nil {
			t.Fatal(err)
		}
		return s, o
	}
	add := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	bob := person("bob")
	s, _ := say(bob, at)
	bob.History, bob.Verified, bob.Compared = true, true, bob.PinHash
	add(bob.Friendship.AddAccept(&wire.Accept{From: bob.Account, To: vaultAccount, Offer: s.Hash(wire.LabelOffer), Audience: fixed("audience of bob"), Created: at + 1}))
	carol := person("carol")
	s, _ = say(carol, at+2)
	carol.Pending = []statement{{Kind: kindOffer, Signed: s}}
	dave := person("dave")
	s, _ = say(dave, at+3)
	add(dave.Friendship.AddEnd(&wire.End{From: dave.Account, To: vaultAccount, Offers: []wire.Hash{s.Hash(wire.LabelOffer)}, Created: at + 4}))
	members := []wire.AccountID{}
	for _, f := range v.Friends {
		if f.entitled() {
			members = append(members, f.Account)
		}
	}
	v.friends().Epochs = []epochMembers{
		{Content: fixed("first content commitment"), Members: []wire.AccountID{v.friend(fixed("account bob")).Account}},
		{Content: fixed("content commitment"), Members: members, Owed: []wire.AccountID{v.friend(fixed("account carol")).Account}},
	}
	return v
}

// vaultFaults spoil a full vault; the name says which check refuses it.
func vaultFaults() map[string]func(v *vault) {
	return map[string]func(v *vault){
		"a short identity key": func(v *vault) { v.Identity = wire.Hide(v.Identity.Reveal()[1:]) },
		"no encryption key":    func(v *vault) { v.Encryption = hidden{} },
		"more keys of before than key statements": func(v *vault) {
			v.KeySeq, v.Older = 0, []oldKeys{{v.Encryption, v.Self}}
		},
		"a short encryption key of before": func(v *vault) { v.Older = []oldKeys{{wire.Hide(v.Encryption.Reveal()[1:]), v.Self}} },
		"a self key of before of zeros":    func(v *vault) { v.Older = []oldKeys{{v.Encryption, wire.Hide(make([]byte, 32))}} },
		"a self key of zeros":              func(v *vault) { v.Self = wire.Hide(make([]byte, 32)) },
		"key_seq above 2^53-1":             func(v *vault) { v.KeySeq = wire.MaxInteger + 1 },
		"no audience":                      func(v *vault) { v.Audiences = nil },
		"no audience of friends":           func(v *vault) { v.Audiences[0].Name = "family" },
		"two audiences of one name":        func(v *vault) { v.Audiences = append(v.Audiences, audience{ID: fixed("x"), Name: friendsName}) },
		"two audiences of one id":          func(v *vault) { v.Audiences = append(v.Audiences, audience{ID: v.Audiences[0].ID, Name: "family"}) },
		"an audience without a name":       func(v *vault) { v.Audiences = append(v.Audiences, audience{ID: fixed("x")}) },
		"an audience with a name of 65": func(v *vault) {
			v.Audiences = append(v.Audiences, audience{ID: fixed("x"), Name: strings.Repeat("a", 65)})
		},
		"an audience without an id":        func(v *vault) { v.Audiences[0].ID = wire.AudienceID{} },
		"five epochs":                      func(v *vault) { v.Audiences[0].Epochs = fiveEpochs() },
		"an epoch twice":                   func(v *vault) { v.Audiences[0].Epochs[1].Content = v.Audiences[0].Epochs[0].Content },
		"an epoch without a commitment":    func(v *vault) { v.Audiences[0].Epochs[0].Content = wire.Commitment{} },
		"descending members":               func(v *vault) { swap(v.Audiences[0].Epochs[1].Members) },
		"a member twice":                   func(v *vault) { m := v.Audiences[0].Epochs[1].Members; m[1] = m[0] },
		"a member of zeros":                func(v *vault) { v.Audiences[0].Epochs[1].Members[0] = wire.AccountID{} },
		"owed to who is no member":         func(v *vault) { v.Audiences[0].Epochs[1].Owed[0][0] ^= 1 },
		"descending friends":               func(v *vault) { swap(v.Friends) },
		"a friend twice":                   func(v *vault) { v.Friends[1] = v.Friends[0] },
		"oneself as a friend":              func(v *vault) { f := &v.Friends[0]; f.Account, f.Friendship.Other = vaultAccount, vaultAccount },
		"a friendship with another":        func(v *vault) { v.Friends[0].Friendship.Other[0] ^= 1 },
		"another's friendship":             func(v *vault) { v.Friends[0].Friendship.Me[0] ^= 1 },
		"a handle that is none":            func(v *vault) { v.Friends[0].Handle = "Bob" },
		"a node that is none":              func(v *vault) { v.Friends[0].Node = "127.0.0.1" },
		"no pin":                           func(v *vault) { v.Friends[0].PinHash = wire.Hash{} },
		"pin_seq above 2^53-1":             func(v *vault) { v.Friends[0].PinSeq = wire.MaxInteger + 1 },
		"verified, and no statement named": func(v *vault) { v.friend(fixed("account bob")).Compared = wire.Hash{} },
		"a statement named, not verified":  func(v *vault) { v.friend(fixed("account bob")).Verified = false },
		"a statement of a signature alone": func(v *vault) { pendingOf(v).Signed = pendingOf(v).Signed[:64] },
		"a statement that is too long":     func(v *vault) { pendingOf(v).Signed = make(wire.Signed, wire.MaxStatement+1) },
		"a negative time":                  func(v *vault) { v.Friends[0].Friendship.Mine.Created = -1 },
		"a floor above all times":          func(v *vault) { v.Friends[0].Friendship.Floor = 253402300800001 },
		"an ended offer twice": func(v *vault) {
			f := &v.Friends[0].Friendship
			f.Ended = []wire.Ended{{Offer: wire.Hash{1}}, {Offer: wire.Hash{1}}}
		},
		"ended offers in another order": func(v *vault) {
			f := &v.Friends[0].Friendship
			f.Ended = []wire.Ended{{Offer: wire.Hash{1}, Said: 2}, {Offer: wire.Hash{2}, Said: 1}}
		},
		"more ended offers than remembered":  func(v *vault) { v.Friends[0].Friendship.Ended = manyEnded() },
		"a leaf of no log":                   func(v *vault) { v.Friends[0].Logged.Number = 1 },
		"a leaf above 2^53-1":                func(v *vault) { v.Friends[0].Logged = loggedAt{Log: 1, Number: wire.MaxInteger + 1} },
		"a log twice":                        func(v *vault) { v.Logs = []logPin{aLog, aLog} },
		"a log without a number":             func(v *vault) { v.Logs = []logPin{aLog}; v.Logs[0].Number = 0 },
		"a log of a node that is none":       func(v *vault) { v.Logs = []logPin{aLog}; v.Logs[0].Node = "127.0.0.1" },
		"more looked at than there is":       func(v *vault) { v.Logs = []logPin{aLog}; v.Logs[0].Looked = 4 },
		"more logs than friends and oneself": func(v *vault) { v.Logs = manyLogs(len(v.Friends) + 2) },
		"an ended offer that is none (zero)": func(v *vault) { v.Friends[0].Friendship.Ended = []wire.Ended{{Said: 1}} },
	}
}

func swap[T any](list []T) { list[0], list[1] = list[1], list[0] }

func fiveEpochs() (es []epochMembers) {
	for i := range byte(5) {
		es = append(es, epochMembers{Content: wire.Commitment{1: i + 1}})
	}
	return es
}

var aLog = logPin{Node: "node.example", Number: 1, Size: 3}

func manyLogs(n int) (list []logPin) {
	for i := range n {
		l := aLog
		l.Node = wire.NodeName(fmt.Sprintf("node%02d.example", i))
		list = append(list, l)
	}
	return list
}

func manyEnded() (es []wire.Ended) {
	for i := range int64(wire.MaxEnded + 1) {
		es = append(es, wire.Ended{Offer: wire.Hash{1}, Said: i})
	}
	return es
}

// pendingOf is the statement that waits in a full vault.
func pendingOf(v *vault) *statement { return &v.friend(fixed("account carol")).Pending[0] }

func vaultContentVectors(t testing.TB) vectorFile {
	f := vectorFile{About: "The content of vaults, before padding and sealing. account is the owner's. Seeds and ids are SHA-256(\"peerbrain test seed: \" || name)."}
	account := hex.EncodeToString(vaultAccount[:])
	good := func(name string, v *vault) {
		b := v.encode()
		f.Accepted = append(f.Accepted, vector{Name: name, Account: account, Payload: hex.EncodeToString(b), Diagnostic: diagnostic(t, b)})
	}
	bad := func(name, why string, k wire.Kind, b []byte) {
		f.Refused = append(f.Refused, vector{Name: name, Account: account, Payload: hex.EncodeToString(b), Error: k, Why: why})
	}
	fresh := fullVault(t)
	fresh.KeySeq, fresh.Friends, fresh.Audiences[0].Epochs = 0, nil, nil
	good("a new account", fresh)
	full := fullVault(t)
	good("friends", full)
	last := fullVault(t)
	last.KeySeq, last.Friends[0].Friendship.Floor = wire.MaxInteger, 253402300800000
	good("the greatest numbers", last)
	changed := fullVault(t)
	bob := changed.friend(fixed("account bob"))
	bob.PinSeq, bob.PinHash = 1, fixed("next key statement of bob")
	good("other keys than were compared", changed)
	logs := fullVault(t)
	logs.Logs = []logPin{
		{Node: "node.example", Root: fixed("root of node.example"), Key: fixed("log of node.example"), Number: 1790000000, Size: 9, Hash: fixed("tree of node.example"), Looked: 9},
		{Node: "other.example", Root: fixed("root of other.example"), Key: fixed("log of other.example"), Number: 1790000001, Size: 3, Hash: fixed("tree of other.example")},
	}
	logs.Logs[1].Witness = fixed("witness of other.example")
	logs.friend(fixed("account bob")).Logged = loggedAt{Log: 1790000001, Number: 2}
	carol := logs.friend(fixed("account carol"))
	carol.Logged, carol.Confirmed = loggedAt{Log: 1790000001, Number: 1, Seq: carol.PinSeq}, carol.PinHash
	good("logs", logs)
	renewed := fullVault(t)
	encryption, self := fixed("alice encryption, before"), fixed("alice self key, before")
	renewed.Older = []oldKeys{{wire.Hide(encryption[:]), wire.Hide(self[:])}}
	good("keys of before", renewed)

	b := fresh.encode() // ends with key 7, the empty list of friends
	bad("null for an empty list", "an empty list is the array of none", wire.Update, append(bytes.Clone(b[:len(b)-1]), 0xf6))
	bad("a trailing byte", "a byte follows the map", wire.Update, append(bytes.Clone(b), 0))
	bad("a new member", "what is not understood is not written anew", wire.Update, append(append([]byte{b[0] + 1}, b[1:]...), 10, 0xa0))
	bad("a member missing", "all seven are needed", wire.Update, append([]byte{b[0] - 1}, b[1:len(b)-2]...))
	bad("nothing", "it is no map", wire.Update, nil)
	later := fullVault(t)
	later.Version = 2
	bad("version 2", "version 2 needs a newer release", wire.Update, later.encode())
	kind := fullVault(t)
	pendingOf(kind).Kind = 4
	bad("a statement of kind 4", "kind 4 needs a newer release", wire.Update, kind.encode())
	zero := full.encode() // ends with a friend who was never verified
	end := wire.EncodeCBOR(&full.Friends[len(full.Friends)-1])
	zero = append(append(zero[:len(zero)-len(end)], end[0]+1), append(end[1:], append([]byte{10, 0x58, 32}, make([]byte, 32)...)...)...)
	bad("a compared statement of zeros", "where none was compared, there is no key 10", wire.Update, zero)
	faults := vaultFaults()
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		v := fullVault(t)
		faults[name](v)
		bad(name, "the check of the content that the name says", wire.Tampered, v.encode())
	}
	return f
}
