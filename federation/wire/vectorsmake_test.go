package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// describe lists the fields of a statement as a vector shows them.
func describe(v reflect.Value) []field {
	var fs []field
	for i := range v.NumField() {
		var key uint64
		fmt.Sscanf(v.Type().Field(i).Tag.Get("cbor"), "%d,", &key)
		if strings.HasSuffix(v.Type().Field(i).Tag.Get("cbor"), "omitempty") && (v.Field(i).IsZero() || v.Field(i).Kind() != reflect.Pointer && v.Field(i).Len() == 0) {
			continue
		}
		f := describeValue(v.Field(i))
		f.Key, f.Name = key, snake(v.Type().Field(i).Name)
		fs = append(fs, f)
	}
	return fs
}

func describeValue(v reflect.Value) field {
	value := func(x any) jsontext.Value { return must(json.Marshal(x)) }
	switch v.Kind() {
	case reflect.String:
		return field{Type: "text", Value: value(v.String())}
	case reflect.Int64:
		return field{Type: "number", Value: value(v.Int())}
	case reflect.Uint64, reflect.Uint32:
		return field{Type: "number", Value: value(v.Uint())}
	case reflect.Pointer:
		return describeValue(v.Elem())
	case reflect.Struct:
		return field{Type: "map", Value: value(describe(v))}
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return field{Type: "bytes", Value: value(hex.EncodeToString(b))}
	}
	var items []field
	for i := range v.Len() {
		item := describeValue(v.Index(i))
		item.Key, item.Name = uint64(i), "item"
		items = append(items, item)
	}
	return field{Type: "array", Value: value(items)}
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// A maker makes the vectors of one kind of statement.
type maker struct {
	kind  string
	label Label
	key   seed
	with  map[string]string
}

func (m maker) vector(name string, payload []byte, by seed) vector {
	pub := m.key.public()
	v := vector{Name: name, Kind: m.kind, Label: m.label, With: m.with, PublicKey: hex.EncodeToString(pub[:]), Payload: hex.EncodeToString(payload)}
	if m.label != "" {
		v.Signature = hex.EncodeToString(raw(m.label, payload, by)[:64])
	}
	return v
}

func (m maker) good(name string, fields any) vector {
	payload := EncodeCBOR(fields)
	v := m.vector(name, payload, m.key)
	v.Fields = describe(reflect.ValueOf(fields).Elem())
	if m.label != "" {
		v.Seed = hex.EncodeToString(m.key.Seed())
		v.Hash = m.label.Hash(payload).String()
	}
	return v
}

// bad signs what is wrong with the right key, so that nothing else is.
func (m maker) bad(name, why string, k Kind, payload []byte) vector {
	v := m.vector(name, payload, m.key)
	v.Error, v.Why = k, why
	return v
}

// ruleVectors are the rules of one kind of statement, as its test has them,
// without those that stand in the file already.
func ruleVectors[T any](f *vectorFile, m maker, sound func() *T, rules []rule[T]) {
	for _, c := range rules {
		v := sound()
		c.spoil(v)
		payload := EncodeCBOR(v)
		switch {
		case f.has(m.kind, hex.EncodeToString(payload)):
		case c.want == "":
			f.Accepted = append(f.Accepted, m.good(c.name, v))
		default:
			f.Refused = append(f.Refused, m.bad(c.name, "the check that the name says", c.want, payload))
		}
	}
}

func (f *vectorFile) has(kind, payload string) bool {
	same := func(v vector) bool { return v.Kind == kind && v.Payload == payload }
	return slices.ContainsFunc(f.Accepted, same) || slices.ContainsFunc(f.Refused, same)
}

// forms are the refusals that all kinds share.
func (m maker) forms(fields any) []vector {
	payload := EncodeCBOR(fields)
	ps := pairs(payload)
	others := otherForms(ps)
	var vs []vector
	for _, c := range [][2]string{
		{"unknown key", "a key that the table does not have"}, {"duplicate key", "the first member stands twice"},
		{"swapped keys", "keys are not in ascending order"}, {"long map head", "the head is not in its shortest form"},
		{"indefinite map", "indefinite lengths are refused"}, {"trailing byte", "a byte follows the map"},
		{"without key 2", "a member is missing"}, {"self-described tag", "tags are refused"},
	} {
		vs = append(vs, m.bad(c[0], c[1], Invalid, others[c[0]]))
	}
	vs = append(vs, m.bad("later version", "version 2 needs a newer release", Update, with(ps, 0, []byte{2})))
	vs = append(vs, m.bad("other suite", "suite 2 needs a newer release", Update, with(ps, 1, []byte{2})))
	newer := append(slices.Clone(ps), pair{99, []byte{0}})
	vs = append(vs, m.bad("later version with a new member", "version 2 needs a newer release, whatever else is new", Update, with(newer, 0, []byte{2})))
	if m.label == "" {
		return vs
	}
	foreign := m.vector("signed by another key", payload, newSeed(seedOf("nobody")))
	foreign.Error, foreign.Why = Tampered, "the signature is another person's"
	other := m
	if other.label = LabelTombstone; m.label == LabelTombstone {
		other.label = LabelMove
	}
	elsewhere := other.vector("signed under another label", payload, m.key)
	elsewhere.Label, elsewhere.Error, elsewhere.Why = m.label, Tampered, "the signature is over the label "+string(other.label)
	flipped := m.vector("payload changed", bytes.Clone(payload), m.key)
	flipped.Payload = flipped.Payload[:len(flipped.Payload)-1] + string("1032547698badcfe"[strings.IndexByte("0123456789abcdef", flipped.Payload[len(flipped.Payload)-1])])
	flipped.Error, flipped.Why = Tampered, "the last bit of the payload is not the one that was signed"
	signature := m.vector("signature changed", payload, m.key)
	signature.Signature = hex.EncodeToString(flip(unhex(signature.Signature), 256))
	signature.Error, signature.Why = Tampered, "the first bit of S is not the one that was made"
	return append(vs, foreign, elsewhere, flipped, signature)
}

// flip changes bit i of b, the lowest of its byte first.
func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i/8] ^= 1 << (i % 8)
	return b
}

func pairs(payload []byte) []pair {
	var m map[uint64]cbor.RawMessage
	if err := cbor.Unmarshal(payload, &m); err != nil {
		panic(err)
	}
	var ps []pair
	for k := range uint64(32) {
		if v, ok := m[k]; ok {
			ps = append(ps, pair{k, v})
		}
	}
	return ps
}

func text(kind, input, name, why string) vector {
	v := vector{Name: name, Kind: kind, Input: &input}
	if why != "" {
		v.Error, v.Why = Invalid, why
	}
	return v
}

func nameVectors() *vectorFile {
	f := &vectorFile{About: "Handles, node names and addresses: each accepted text is its own and only spelling."}
	for _, s := range []string{"a", "0", "alice", "a_b", "a__b", strings.Repeat("a", 32)} {
		f.Accepted = append(f.Accepted, text("handle", s, "handle "+s, ""))
	}
	for _, s := range []string{"node.example", "a.b", "a-b.c-d.example", "1.a", "localhost.example", strings.Repeat("a", 63) + ".example", "localhost", "localhost:8081"} {
		f.Accepted = append(f.Accepted, text("node", s, "node "+s, ""))
	}
	for _, s := range []string{"alice@node.example", "a@localhost:8081"} {
		f.Accepted = append(f.Accepted, text("address", s, "address "+s, ""))
	}
	for _, c := range [][3]string{
		{"handle", "", "it is empty"}, {"handle", "Alice", "upper case"}, {"handle", "_a", "it begins with _"}, {"handle", "a_", "it ends with _"}, {"handle", "a-b", "-"},
		{"handle", "a.b", "."}, {"handle", strings.Repeat("a", 33), "33 characters"}, {"handle", "ａ", "a full-width letter"}, {"handle", "е", "a Cyrillic letter"},
		{"handle", "a\x00", "NUL"}, {"handle", "%2e%2e", "percent signs"}, {"handle", " a", "a space"}, {"handle", "a\n", "a line break"},
		{"node", "", "it is empty"}, {"node", "node", "one label"}, {"node", "Node.example", "upper case"}, {"node", "node.example.", "a trailing dot"}, {"node", "node..example", "an empty label"},
		{"node", "node.example:443", "a port of a public name"}, {"node", "-a.example", "a label begins with -"}, {"node", "a-.example", "a label ends with -"}, {"node", "a_b.example", "_ in a label"},
		{"node", "xn--bcher-kva.example", "-- in third place"}, {"node", "127.0.0.1", "an address"}, {"node", "127.1", "an address"}, {"node", "0x7f.1", "an address"}, {"node", "a.0x1", "the last label is a number"},
		{"node", "2130706433", "an address"}, {"node", "[::1]", "an address"}, {"node", strings.Repeat("a", 64) + ".example", "a label of 64"}, {"node", "a.localhost", "only localhost itself"},
		{"node", "localhost:", "no port"}, {"node", "localhost:0", "port 0"}, {"node", "localhost:080", "a leading zero"}, {"node", "localhost:65536", "no such port"}, {"node", "node.example/x", "a path"}, {"node", "https://node.example", "a URL"},
		{"address", "alice", "no @"}, {"address", "@node.example", "no handle"}, {"address", "alice@", "no node"}, {"address", "a@b@c.example", "two @"}, {"address", "@alice@node.example", "a leading @"},
	} {
		f.Refused = append(f.Refused, text(c[0], c[1], fmt.Sprintf("%s %q", c[0], c[1]), c[2]))
	}
	return f
}

func idVectors() *vectorFile {
	f := &vectorFile{About: "Ids, hashes and nonces: 32 bytes as 52 characters of lower-case unpadded base32. Bytes: unpadded base64url. Labelled hashes: SHA-256(label || 0x00 || payload)."}
	for _, b := range [][32]byte{{}, {31: 1}, seedOf("id"), [32]byte(filled(32, 0xff))} {
		v := text("id", AccountID(b).String(), fmt.Sprintf("id %x", b[:4]), "")
		v.With = map[string]string{"bytes": hex.EncodeToString(b[:])}
		f.Accepted = append(f.Accepted, v)
	}
	for _, s := range []string{"", "AA", "AAA", "AAAA", "-_-_"} {
		f.Accepted = append(f.Accepted, text("base64url", s, "base64url "+s, ""))
	}
	for _, l := range Labels() {
		payload := []byte("payload of the hash")
		f.Accepted = append(f.Accepted, vector{Name: "hash under " + string(l), Kind: "labelled-hash", Label: l, Payload: hex.EncodeToString(payload), Hash: l.Hash(payload).String()})
	}
	for _, pair := range [][2]AccountID{{alice, bob}, {bob, alice}} {
		f.Accepted = append(f.Accepted, vector{
			Name: "the audience of two, in either order", Kind: "direct-audience", Hash: DirectAudience(alice, bob).String(),
			With: map[string]string{"a": hex.EncodeToString(pair[0][:]), "b": hex.EncodeToString(pair[1][:])},
		})
	}
	s := AccountID(seedOf("id")).String()
	for _, c := range [][2]string{
		{"", "it is empty"}, {s[:51], "51 characters"}, {s + "a", "53 characters"}, {s + "====", "padding"}, {strings.ToUpper(s), "upper case"}, {s[:51] + "r", "bits that are not used are set"},
		{s[:51] + "\n", "a line break"}, {s[:51] + "1", "1 is not in the alphabet"}, {s[:50] + "é", "not ASCII"},
	} {
		f.Refused = append(f.Refused, text("id", c[0], fmt.Sprintf("id %q", c[0]), c[1]))
	}
	for _, c := range [][2]string{
		{"A", "6 bits"}, {"AB", "bits that are not used are set"}, {"AA==", "padding"}, {"+/+/", "the other alphabet"}, {"AA\n", "a line break"}, {"AA AA", "a space"},
	} {
		f.Refused = append(f.Refused, text("base64url", c[0], fmt.Sprintf("base64url %q", c[0]), c[1]))
	}
	return f
}

func keyStatementVectors() *vectorFile {
	f := &vectorFile{About: "Key statements. The account id is the hash of the first one. Encryption keys are those of the seeds SHA-256(\"peerbrain test seed: \" || name)."}
	m := maker{"first-key-statement", LabelKeyStatement, aliceKey.seed, nil}
	f.Accepted = append(f.Accepted, m.good("first", keyStatement()))
	f.Refused = m.forms(keyStatement())
	pub := aliceKey.Public()
	f.Accepted = append(f.Accepted, vector{Name: "an Ed25519 key", Kind: "ed25519-key", PublicKey: hex.EncodeToString(pub[:])})
	for i, s := range append(append([]string{}, lowOrderPoints...), oddPoints...) {
		f.Refused = append(f.Refused, vector{
			Name: fmt.Sprintf("Ed25519 key %d that is none", i), Kind: "ed25519-key", PublicKey: s, Error: Invalid, Why: "the point is of low order or not in canonical form",
		})
	}
	for i, s := range lowUs {
		k := encryptionKeyOf("alice encryption")
		copy(k[1184:], unhex(s))
		f.Refused = append(f.Refused, vector{
			Name: fmt.Sprintf("encryption key %d that is none", i), Kind: "encryption-key", With: map[string]string{"key": hex.EncodeToString(k[:])},
			Error: Invalid, Why: "the X25519 half is of low order or not in canonical form: " + s,
		})
	}
	good := encryptionKeyOf("alice encryption")
	f.Accepted = append(f.Accepted, vector{Name: "an encryption key", Kind: "encryption-key", With: map[string]string{"key": hex.EncodeToString(good[:])}})
	for _, at := range []int{0, 1152 - 3} { // the first and the last two coefficients of ML-KEM-768
		k := good
		k[at], k[at+1], k[at+2] = 0xff, 0xff, 0xff
		f.Refused = append(f.Refused, vector{
			Name: fmt.Sprintf("encryption key with a coefficient of 4095 at byte %d", at), Kind: "encryption-key", With: map[string]string{"key": hex.EncodeToString(k[:])},
			Error: Invalid, Why: "the ML-KEM half has a coefficient of 3329 or more (FIPS 203, section 7.2)",
		})
	}
	first := must(keyStatement().Sign(aliceKey))
	account := AccountID(first.Hash(LabelKeyStatement))
	for _, c := range chainRules() {
		k := nextStatement(account, Hash(account))
		c.spoil(k)
		m := maker{"next-key-statement", LabelKeyStatement, c.key, map[string]string{"previous": "first"}}
		if c.want == "" {
			f.Accepted = append(f.Accepted, m.good(c.name, k))
		} else {
			f.Refused = append(f.Refused, m.bad(c.name, "the rule of the chain that the name says", c.want, EncodeCBOR(k)))
		}
	}
	return f
}

func entryVectors() *vectorFile {
	f := &vectorFile{About: "Entry headers with their bodies, and what may follow in a stream. context is what the body is sealed under. An entry's id is the header's hash."}
	epoch := must(epochBody().Encode())
	first := epochEntry(epoch)
	header := must(first.Sign(aliceKey))
	body := []byte("stands for a ciphertext")
	post := postEntry(EntryID(header.Hash(LabelEntry)), body)
	m := maker{kind: "entry", label: LabelEntry, key: aliceKey.seed}
	of := func(body []byte, h *EntryHeader) maker {
		m := m
		m.with = map[string]string{"body": hex.EncodeToString(body), "context": hex.EncodeToString(h.Context())}
		return m
	}
	f.Accepted = append(f.Accepted, of(epoch, first).good("epoch", first), of(body, post).good("post", post))
	f.Refused = of(body, post).forms(post)
	f.Refused = append(f.Refused, of([]byte("stands for a Ciphertext"), post).bad("another body", "the body's hash is not the one signed", Tampered, EncodeCBOR(post)))
	short, long := *post, *post
	short.BodySize--
	long.BodySize++
	f.Refused = append(f.Refused, of(body, post).bad("a longer body", "the body is longer than signed", Tampered, EncodeCBOR(&short)))
	f.Refused = append(f.Refused, of(body, post).bad("a shorter body", "the body is shorter than signed", Tampered, EncodeCBOR(&long)))
	sound := func() *EntryHeader { return postEntry(EntryID(header.Hash(LabelEntry)), body) }
	ruleVectors(f, maker{kind: "entry-header", label: LabelEntry, key: aliceKey.seed}, sound, entryRules())
	ps := pairs(EncodeCBOR(post))
	for _, p := range []pair{{11, []byte{0x40}}, {12, []byte{0x80}}} {
		empty := mapOf(append(append(slices.Clone(ps[:10]), p), ps[10:]...)...)
		f.Refused = append(f.Refused, of(body, post).bad(fmt.Sprintf("an empty member %d", p.key), "an optional member that is empty is left out", Invalid, empty))
	}
	next := maker{"next-entry", LabelEntry, aliceKey.seed, map[string]string{"before_0": hex.EncodeToString(header), "before_1": hex.EncodeToString(must(post.Sign(aliceKey)))}}
	third := *post
	third.Seq, third.Prev = 3, EntryID(must(post.Sign(aliceKey)).Hash(LabelEntry))
	f.Accepted = append(f.Accepted, next.good("the third of a stream", &third))
	ruleVectors(f, next, func() *EntryHeader { h := third; h.Created++; return &h }, []rule[EntryHeader]{
		{"a post one ms later", func(h *EntryHeader) {}, ""}, {"an epoch as the third", func(h *EntryHeader) { h.Kind, h.Epoch = KindEpoch, 3 }, ""},
		{"an epoch under new keys", func(h *EntryHeader) { h.Kind, h.Epoch, h.KeySeq = KindEpoch, 3, 1 }, ""},
	})
	for _, c := range []rule[EntryHeader]{
		{"a gap", func(h *EntryHeader) { h.Seq = 4 }, Conflict}, {"another previous", func(h *EntryHeader) { h.Prev[0] ^= 1 }, Conflict}, {"an older time", func(h *EntryHeader) { h.Created = t0 }, Tampered},
		{"new keys without an epoch", func(h *EntryHeader) { h.KeySeq = 1 }, Tampered}, {"an epoch that is none", func(h *EntryHeader) { h.Epoch = 2 }, Conflict},
		{"the second again", func(h *EntryHeader) { *h = *post }, Conflict},
	} {
		h := third
		c.spoil(&h)
		f.Refused = append(f.Refused, next.bad(c.name, "the rule of the stream that the name says", c.want, EncodeCBOR(&h)))
	}
	f.afterNewKeys(header, third)
	begin := maker{kind: "next-entry", label: LabelEntry, key: aliceKey.seed}
	f.Accepted = append(f.Accepted, begin.good("the first of a stream", first))
	f.Refused = append(f.Refused, begin.bad("a stream that begins with its second", "nothing stands before it", Conflict, EncodeCBOR(post)))
	return f
}

// afterNewKeys are what may follow an epoch under new keys, entry 2 of a stream.
func (f *vectorFile) afterNewKeys(header Signed, third EntryHeader) {
	second := third
	second.Seq, second.Prev, second.Kind, second.Epoch, second.KeySeq = 2, EntryID(header.Hash(LabelEntry)), KindEpoch, 2, 1
	before := must(second.Sign(aliceKey))
	third.Prev, third.Epoch, third.KeySeq = EntryID(before.Hash(LabelEntry)), 2, 1
	m := maker{"next-entry", LabelEntry, aliceKey.seed, map[string]string{"before_0": hex.EncodeToString(header), "before_1": hex.EncodeToString(before)}}
	ruleVectors(f, m, func() *EntryHeader { h := third; return &h }, []rule[EntryHeader]{
		{"a post under new keys and their epoch", func(*EntryHeader) {}, ""}, {"a post under the keys before", func(h *EntryHeader) { h.KeySeq = 0 }, Tampered},
		{"an epoch under the keys before", func(h *EntryHeader) { h.Kind, h.Epoch, h.KeySeq = KindEpoch, 3, 0 }, Tampered}, {"a post under the epoch before", func(h *EntryHeader) { h.Epoch = 1 }, Conflict},
	})
}

func epochBodyVectors() *vectorFile {
	f := &vectorFile{About: "Bodies of epoch entries: given the verified header, the seq of the epoch before and the author's key. What is sealed stands as filler."}
	add := func(name, why string, k Kind, prev uint64, body []byte, fields *EpochBody) {
		h := epochEntry(body)
		if prev != 0 {
			h = laterEpoch(body)
		}
		m := maker{kind: "epoch-body", key: aliceKey.seed, with: map[string]string{"header": hex.EncodeToString(must(h.Sign(aliceKey))), "previous_epoch": fmt.Sprint(prev)}}
		if k == "" {
			f.Accepted = append(f.Accepted, m.good(name, fields))
		} else {
			f.Refused = append(f.Refused, m.bad(name, why, k, body))
		}
	}
	first, later := epochBody(), epochBody()
	later.Links = []Link{{3, filled(104, 1)}, {1, filled(104, 2)}}
	add("the first", "", "", 0, EncodeCBOR(first), first)
	add("a later one", "", "", 3, EncodeCBOR(later), later)
	for _, v := range (maker{kind: "epoch-body", key: aliceKey.seed}).forms(later) {
		add(v.Name, v.Why, v.Error, 3, unhex(v.Payload), nil)
	}
	add("a first with links", "the first epoch has none before it", Tampered, 0, EncodeCBOR(later), nil)
	add("a later one without links", "the first link leads to the epoch before", Tampered, 3, EncodeCBOR(first), nil)
	for _, c := range epochBodyRules() {
		b := laterBody()
		c.spoil(b)
		add(c.name, "the check of the body that the name says", c.want, 3, EncodeCBOR(b), b)
	}
	signed := hex.EncodeToString(must(epochEntry(EncodeCBOR(later)).Sign(aliceKey)))
	other := maker{kind: "epoch-body", key: aliceKey.seed, with: map[string]string{"header": signed, "previous_epoch": "0"}}
	f.Refused = append(f.Refused, other.bad("another body", "it is not the one that the header was signed with", Tampered, EncodeCBOR(first)))
	itself := laterBody()
	itself.Links[0].Epoch = 5
	add("a link to itself", "the first link leads to an earlier epoch", Tampered, 5, EncodeCBOR(itself), nil)
	return f
}

func loginVectors() *vectorFile {
	f := &vectorFile{About: "Log-in challenges and the salt of the password's key derivation. argon2 is memory in KiB, passes, threads."}
	m := maker{kind: "challenge", label: LabelLogin, key: loginKey.seed}
	recovery := maker{kind: "challenge", label: LabelLogin, key: codeKey.seed}
	byCode := challenge()
	byCode.Purpose = PurposeRecovery
	f.Accepted = append(f.Accepted, m.good("by password", challenge()), recovery.good("by recovery code", byCode))
	f.Refused = m.forms(challenge())
	ruleVectors(f, m, challenge, challengeRules())
	for _, a := range []Address{{"alice", "node.example"}, {"bob", "node.example"}, {"alice", "other.example"}} {
		random := seedOf("salt")
		f.Accepted = append(f.Accepted, vector{
			Name: "salt of " + a.String(), Kind: "login-salt", Hash: LoginSalt(a, DefaultArgon2, random).String(),
			With: map[string]string{"address": a.String(), "argon2": "65536 3 1", "random": hex.EncodeToString(random[:])},
		})
	}
	return f
}

func nodeDocumentVectors() *vectorFile {
	f := &vectorFile{About: "Node documents, opened under the name that was asked for."}
	m := maker{"node-document", LabelNodeDocument, rootKey.seed, map[string]string{"name": "node.example"}}
	short := nodeDocument()
	short.Contact = ""
	keeps := nodeDocument()
	*logged(keeps) = NodeLog{Number: 1_790_000_100, Before: 1_790_000_000, Size: 5, Root: Hash(seedOf("tree"))}
	f.Accepted = append(f.Accepted, m.good("with a contact", nodeDocument()), m.good("without", short), m.good("with a log", keeps))
	f.Refused = m.forms(nodeDocument())
	other := m
	other.with = map[string]string{"name": "other.example"}
	f.Refused = append(f.Refused, other.bad("another node's", "the name is not the one that was asked for", Tampered, EncodeCBOR(nodeDocument())))
	ruleVectors(f, m, nodeDocument, nodeDocumentRules())
	ps := pairs(EncodeCBOR(short))
	empty := mapOf(append(append(slices.Clone(ps[:10]), pair{11, []byte{0x60}}), ps[10:]...)...)
	f.Refused = append(f.Refused, m.bad("an empty contact", "an optional member that is empty is left out", Invalid, empty))
	return f
}
