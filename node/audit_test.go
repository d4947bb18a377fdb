package node

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// audited is what Audit says of the stores of one side.
type audited struct {
	AuditReport
	findings []AuditFinding
}

func (c *checkable) audit(t *testing.T, side string) audited {
	t.Helper()
	return auditStores(t, c.stores[side+" own"], c.stores[side+" copies"])
}

// auditStores demands of each audit that no byte is lost, and none counts twice.
func auditStores(t *testing.T, own, copies store.Store) (got audited) {
	t.Helper()
	var err error
	got.AuditReport, err = Audit(t.Context(), AuditOptions{Own: own, Copies: copies, Found: func(f AuditFinding) { got.findings = append(got.findings, f) }})
	if err != nil {
		t.Fatal(err)
	}
	want, sum := int64(0), int64(0)
	for _, s := range []store.Store{own, copies} {
		for rec, err := range s.Scan(t.Context(), store.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			want += int64(len(rec.Key) + len(rec.Value))
		}
	}
	for _, k := range got.Kinds {
		for _, bytes := range k.Bytes {
			sum += bytes
		}
	}
	if sum != want || got.Bytes != want || len(got.findings) != got.Findings {
		t.Errorf("the classes have %d bytes and the report %d, the records %d; %d findings were told, the report has %d", sum, got.Bytes, want, len(got.findings), got.Findings)
	}
	return got
}

func (a audited) String() string {
	var b strings.Builder
	for _, f := range a.findings {
		fmt.Fprintf(&b, "\n%s %s %s: %s", f.Store, f.Key, f.Field, f.Problem)
	}
	return b.String()
}

// exposed are the bytes of one kind in one class.
func (a audited) exposed(store, kind, class string) int64 {
	for _, k := range a.Kinds {
		if k.Store == store && k.Kind == kind {
			return k.Bytes[class]
		}
	}
	return -1
}

// TestAuditHealthy: of stores that a story was written to, nothing is found, every
// kind of record was looked at, and the bytes of some are where they belong.
func TestAuditHealthy(t *testing.T) {
	c := newCheckable(t)
	kinds := map[string]bool{}
	north := c.audit(t, "north")
	for side, got := range map[string]audited{"north": north, "south": c.audit(t, "south")} {
		if got.Findings > 0 || string(got.Name) != side+".example" {
			t.Errorf("%s: got %+v%s", side, got.AuditReport, got)
		}
		for _, k := range got.Kinds {
			kind, _, _ := strings.Cut(k.Kind, "/")
			kinds[k.Store+" "+kind] = true
		}
	}
	f := newFsck(FsckOptions{})
	for _, d := range []*side{f.own, f.copies} {
		for _, k := range d.kinds() {
			kind, _, _ := strings.Cut(k.prefix, "/")
			if !kinds[d.name+" "+kind] && k.prefix != tilePrefix { // which takes 256 people
				t.Errorf("the story has no record of kind %s %s", d.name, kind)
			}
		}
	}
	own := keysOf(t, c.stores["north own"], "")
	count := func(prefix string) (n int64) {
		for _, key := range own {
			if strings.HasPrefix(key, prefix) {
				n++
			}
		}
		return n
	}
	for _, one := range []struct {
		kind, class string
		want        int64
	}{
		{"sealed", "sealed", testVault * count("sealed/")},
		{"wrap", "sealed", wire.WrapSize * count("wrap/")},
		{"vault", "sealed", (sealedKeySize + wire.SelfKeySize) * count("vault/")},
		{"vault", "here", 64 * count("vault/")}, // what verifies log-ins
		{"key", "sealed", wire.SelfKeySize * count("key/")},
		{"node/keys", "private", 3 * 32},
		{"friend", "sealed", 0},
		{"sess", "public", 0},
	} {
		if got := north.exposed("own", one.kind, one.class); got != one.want {
			t.Errorf("%s has %d bytes of class %q, want %d", one.kind, got, one.class, one.want)
		}
	}
}

// firstOf returns the first record of a kind in a store, decoded into v if it is not nil.
func (c *checkable) firstOf(t *testing.T, where, kind string, v any) store.Record {
	t.Helper()
	keys := keysOf(t, c.stores[where], kind)
	if len(keys) == 0 {
		t.Fatalf("%s has no record of kind %s", where, kind)
	}
	rec := must(c.stores[where].Get(t.Context(), keys[0]))
	if v != nil {
		if err := wire.DecodeCBOR("record", rec.Value, v); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

// aPost returns an entry that is a post, or an epoch.
func (c *checkable) anEntry(t *testing.T, where string, kind wire.EntryKind) (string, *entryRecord) {
	t.Helper()
	for _, key := range keysOf(t, c.stores[where], "entry/") {
		var r entryRecord
		if wire.DecodeCBOR("record", must(c.stores[where].Get(t.Context(), key)).Value, &r) == nil && r.Kind == kind {
			return key, &r
		}
	}
	t.Fatalf("%s has no entry of kind %d", where, kind)
	return "", nil
}

// A plant is something that should not be in a store. It returns the key of the
// record that is to be named, and its field.
type plant struct {
	name    string
	problem string // part of what is said
	sow     func(t *testing.T, c *checkable, where string) (store.Change, string)
}

const plainText = "Dear diary, today nobody was listening. "

// plaintext fills as many bytes as something sealed has.
func plaintext(size int) []byte { return bytes.Repeat([]byte(plainText), size)[:size] }

// plants are what TestAuditFinds sows into both stores.
var plants = []plant{
	{"a post in plain", "sealing makes no 40 bytes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		r.Body = []byte(plainText)
		return put(key, r), "Body"
	}},
	{"a post in plain, as long as a sealed one", "it is a text", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		r.Body = plaintext(testPost)
		return put(key, r), "Body"
	}},
	{"a post of which the first bytes are sealed", "can be printed", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		copy(r.Body[56:], plaintext(len(r.Body)-56))
		return put(key, r), "Body"
	}},
	{"a post padded and not sealed", "one byte stands in it too often", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		clear(r.Body[100:])
		return put(key, r), "Body"
	}},
	{"a wrap in plain", "it is a text", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r wrapRecord
		rec := c.firstOf(t, where, "wrap/", &r)
		r.Sealed = plaintext(wire.WrapSize)
		return put(rec.Key, &r), "Sealed"
	}},
	{"an epoch secret of another size", "sealing makes no 100 bytes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindEpoch)
		r.Body = c.epochBody(t, r.Body, func(b *wire.EpochBody) { b.SealedSecret = b.SealedSecret[:100] })
		return put(key, r), "Body.SealedSecret"
	}},
	{"a self key in plain", "it is a text", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r statementRecord
		rec := c.firstOf(t, where, "key/", &r)
		r.Statement = bytes.Replace(r.Statement, sealedLike(wire.SelfKeySize), plaintext(wire.SelfKeySize), 1)
		return put(rec.Key, &r), "Statement.SealedSelfKey"
	}},
	{"a record of no kind", "no record of this release", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return change("notes/secret", []byte(plainText)), ""
	}},
	{"a record of a kind with more behind its key", "no record of this release", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key+"/more", rec.Value), ""
	}},
	{"a record like schema", "no record of this release", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return change("schemas", []byte(plainText)), ""
	}},
	{"bytes behind an id", "1 bytes stand behind it", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key, append(rec.Value, 0)), ""
	}},
	{"bytes behind a statement", "40 bytes stand behind it", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		r.Header = append(r.Header, plainText...)
		return put(key, r), "Header"
	}},
	{"an entry without its signature", "it is no statement", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		r.Header = r.Header[:64]
		return put(key, r), "Header"
	}},
	{"a field of another release", "no field of this release", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		rec.Value = append(rec.Value, 0x18, 99, 0x60) // 99: ""
		rec.Value[0]++
		return change(rec.Key, rec.Value), ""
	}},
	{"a field that is missing", "it is missing", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		for rec.Value[len(rec.Value)-2] != 4 { // the key of Seq, which is small
			t.Fatalf("the record ends with %x", rec.Value[len(rec.Value)-2:])
		}
		rec.Value[0]--
		return change(rec.Key, rec.Value[:len(rec.Value)-2]), "Seq"
	}},
	{"a version of another release", "which this release does not know", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r idRecord
		rec := c.firstOf(t, where, "id/", &r)
		r.Version = 2
		return put(rec.Key, &r), "Version"
	}},
	{"a text in place of a number", "not what this release writes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key, append(rec.Value[:len(rec.Value)-1], 0x61, 'x')), "Seq"
	}},
	{"a number below 0", "not what this release writes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key, append(rec.Value[:len(rec.Value)-1], 0x20)), "Seq"
	}},
	{"an id of 33 bytes", "it has 33 bytes, 32 were expected", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key, slices.Concat(rec.Value[:5], []byte{33}, rec.Value[6:38], []byte{7}, rec.Value[38:])), "Author"
	}},
	{"a record cut short", "it is cut short", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, "id/", nil)
		return change(rec.Key, rec.Value[:20]), "Author"
	}},
	{"a record of nothing", "not what this release writes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return change(c.firstOf(t, where, "id/", nil).Key, []byte{}), ""
	}},
	{"an identity seed as an id", "private key of the identity key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r idRecord
		rec := c.firstOf(t, where, "id/", &r)
		copy(r.Audience[:], c.ann.identity.Seed())
		return put(rec.Key, &r), "Audience"
	}},
	{"a recovery seed as a hash", "private key of the recovery key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r wrapRecord
		rec := c.firstOf(t, where, "wrap/", &r)
		copy(r.Key[:], c.ann.recovery.Seed())
		return put(rec.Key, &r), "Key"
	}},
	{"an encryption seed in a signed statement", "private key of the encryption key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindPost)
		h := wire.EntryHeader{}
		if err := wire.DecodeCBOR("header", r.Header[64:], &h); err != nil {
			t.Fatal(err)
		}
		seed := must(must(wire.KEM().DeriveKeyPair(bytes.Repeat([]byte{1}, 32))).Bytes())
		h.Prev = wire.EntryID(seed)
		r.Header = append(r.Header[:64], wire.EncodeCBOR(&h)...)
		return put(key, r), "Header.Prev"
	}},
	{"the content key of an epoch beside its commitment", "private key of the content key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindEpoch)
		secret := wire.Hash{1, 2, 3}
		r.Body = c.epochBody(t, r.Body, func(b *wire.EpochBody) { b.Content = wire.Commitment(wire.LabelContentCommit.Hash(secret[:])) })
		r.Content = wire.Commitment(secret)
		return put(key, r), "Content"
	}},
	{"the secret of an epoch beside the commitment to its content key", "private key of the content key, or the epoch secret", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindEpoch)
		secret := wire.Hash{1, 2, 3}
		content := must(hkdf.Key(sha256.New, secret[:], nil, string(wire.LabelContentKey), 32)) // docs/protocol.md, Epochs
		r.Body = c.epochBody(t, r.Body, func(b *wire.EpochBody) { b.Content = wire.Commitment(wire.LabelContentCommit.Hash(content)) })
		r.Content = wire.Commitment(secret)
		return put(key, r), "Content"
	}},
	{"the chain key of an epoch beside its commitment", "private key of the chain key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		key, r := c.anEntry(t, where, wire.KindEpoch)
		secret := wire.Hash{1, 2, 3}
		r.Body = c.epochBody(t, r.Body, func(b *wire.EpochBody) { b.Chain = wire.Commitment(wire.LabelChainCommit.Hash(secret[:])) })
		r.Content = wire.Commitment(secret)
		return put(key, r), "Content"
	}},
}

// epochBody changes the body of an epoch.
func (c *checkable) epochBody(t *testing.T, body []byte, change func(*wire.EpochBody)) []byte {
	t.Helper()
	var b wire.EpochBody
	if err := wire.DecodeCBOR("epoch", body, &b); err != nil {
		t.Fatal(err)
	}
	change(&b)
	return wire.EncodeCBOR(&b)
}

// ownPlants are what can be sown into a node's own store alone.
var ownPlants = []plant{
	{"a vault that is not sealed", "sealing makes no 4096 bytes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r sealedRecord
		rec := c.firstOf(t, where, "sealed/", &r)
		r.Vault = append([]byte("\x00\x00\x01\x00"+plainText), make([]byte, 4<<10-4-len(plainText))...)
		return put(rec.Key, &r), "Vault"
	}},
	{"a vault that is not sealed, as long as one that is", "one byte stands in it too often", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r sealedRecord
		rec := c.firstOf(t, where, "sealed/", &r)
		clear(r.Vault[3<<10:])
		return put(rec.Key, &r), "Vault"
	}},
	{"a password slot in plain", "it is a text", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r vaultRecord
		rec := c.firstOf(t, where, "vault/", &r)
		r.Slots = bytes.Replace(r.Slots, sealedLike(sealedKeySize), plaintext(sealedKeySize), 1)
		return put(rec.Key, &r), "Slots.PasswordSlot"
	}},
	{"a copy among what is one's own", "no record of this release", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, "south copies", "sync/", nil)
		return change(rec.Key, rec.Value), ""
	}},
	{"a text that is too long", "at most 512 were expected", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r friendRecord
		rec := c.firstOf(t, where, "friend/", &r)
		r.Problem = strings.Repeat(plainText, 20)
		return put(rec.Key, &r), "Problem"
	}},
	{"a text that is none", "it is no text", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r accountRecord
		rec := c.firstOf(t, where, "account/", &r)
		rec.Value[len(rec.Value)-1] = 0xff
		return change(rec.Key, rec.Value), "Handle"
	}},
	{"a flag that is none", "not what this release writes", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		var r friendRecord
		rec := c.firstOf(t, where, "friend/", &r)
		r.Friendship.Mine.Dead = !r.Friendship.Mine.Dead
		at := 0
		for other := wire.EncodeCBOR(&r); other[at] == rec.Value[at]; at++ {
		}
		rec.Value[at] = 0xf6 // null
		return change(rec.Key, rec.Value), "Friendship.Mine.Dead"
	}},
	{"a list of three times where there are two", "it has 3 items, 2 were expected", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		rec := c.firstOf(t, where, pursePrefix, nil)
		at := bytes.Index(rec.Value, []byte{2, 0x82, 0, 0}) // 2: [0, 0]
		return change(rec.Key, slices.Concat(rec.Value[:at+1], []byte{0x83, 0}, rec.Value[at+2:])), "Whole"
	}},
	{"a name of 33 bytes of a nonce", "it has 33 bytes, 32 were expected", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return change(c.firstOf(t, where, noncePrefix, nil).Key, make([]byte, 33)), "value"
	}},
	{"the log-in seed as the value of a nonce", "private key of the log-in key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return change(c.firstOf(t, where, noncePrefix, nil).Key, c.ann.login.Seed()), "value"
	}},
	{"the token of a device as the value of a nonce", "private key of the token of a device", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		token := wire.NewToken([32]byte{9})
		c.apply(t, where, put(deviceKey(c.ann.account, &token), &device{recordVersion, 1}))
		return change(c.firstOf(t, where, noncePrefix, nil).Key, append([]byte{9}, make([]byte, 31)...)), "value"
	}},
	{"an identity seed in hexadecimal as the name of a device", "private key of the identity key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return c.deviceName(t, where, hex.EncodeToString(c.ann.identity.Seed()))
	}},
	{"an identity seed in base64url as the name of a device", "private key of the identity key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return c.deviceName(t, where, base64.RawURLEncoding.EncodeToString(c.ann.identity.Seed()))
	}},
	{"an identity seed in base64 as the name of a device", "private key of the identity key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return c.deviceName(t, where, base64.RawStdEncoding.EncodeToString(c.ann.identity.Seed()))
	}},
	{"an identity seed in base32 as the name of a device", "private key of the identity key", func(t *testing.T, c *checkable, where string) (store.Change, string) {
		return c.deviceName(t, where, wire.Hash(c.ann.identity.Seed()).String())
	}},
}

func (c *checkable) deviceName(t *testing.T, where, name string) (store.Change, string) {
	var r session
	rec := c.firstOf(t, where, sessionPrefix, &r)
	r.Device = name
	return put(rec.Key, &r), "Device"
}

// TestAuditFinds sows what should not be there, one after the other: each is found,
// in the record and field that it is in, and nothing else is.
func TestAuditFinds(t *testing.T) {
	c := newCheckable(t)
	for _, one := range plants {
		for _, where := range []string{"north own", "south copies"} {
			c.finds(t, one, where)
		}
	}
	for _, one := range ownPlants {
		c.finds(t, one, "north own")
	}
}

func (c *checkable) finds(t *testing.T, one plant, where string) {
	t.Helper()
	side, in, _ := strings.Cut(where, " ")
	before := c.stores[where].Snapshot()
	defer c.stores[where].Restore(before)
	change, field := one.sow(t, c, where)
	if old, err := c.stores[where].Get(t.Context(), change.Key); err == nil && bytes.Equal(old.Value, change.Value) {
		t.Fatalf("%s: nothing is sown in %s", one.name, where)
	} else if err != nil && !errors.Is(err, store.ErrNotExist) {
		t.Fatal(err)
	}
	c.apply(t, where, change)
	got := c.audit(t, side)
	if len(got.findings) != 1 || got.findings[0].Store != in || got.findings[0].Key != change.Key || got.findings[0].Field != field || !strings.Contains(got.findings[0].Problem, one.problem) {
		t.Errorf("%s in %s, %s %s: want %q, found%s", one.name, where, change.Key, field, one.problem, got)
	}
	bytes := int64(0)
	for _, k := range got.Kinds {
		bytes += k.Bytes["found"]
	}
	if fits := len(change.Value) == 0 || inPlace.MatchString(one.problem); (bytes == 0) != fits {
		t.Errorf("%s in %s: %d bytes are counted as found, want none: %t", one.name, where, bytes, fits)
	}
}

// inPlace are the problems of bytes that stand where they belong.
var inPlace = regexp.MustCompile(`^private key|^it is missing|which this release does not know`)

// TestAuditFindsTrailingBytes: behind every record of every kind that has fields.
func TestAuditFindsTrailingBytes(t *testing.T) {
	c := newCheckable(t)
	for _, where := range stageStores {
		side, _, _ := strings.Cut(where, " ")
		tried := map[string]bool{}
		for _, key := range keysOf(t, c.stores[where], "") {
			place := keptPlaceOf(key)
			if tried[place.key] || place.record == nil {
				continue
			}
			tried[place.key] = true
			before := c.stores[where].Snapshot()
			rec := must(c.stores[where].Get(t.Context(), key))
			c.apply(t, where, change(key, append(rec.Value, plainText...)))
			if got := c.audit(t, side); len(got.findings) != 1 || got.findings[0].Key != key || got.findings[0].Field != "" || got.exposed(where[len(side)+1:], place.kind(), "found") != int64(len(plainText)) {
				t.Errorf("%s %s: found%s", where, key, got)
			}
			c.stores[where].Restore(before)
		}
	}
}

// TestAuditHidesWhatItFinds: a private key in the key of a record is not printed.
func TestAuditHidesWhatItFinds(t *testing.T) {
	c := newCheckable(t)
	seed := wire.Hash(c.ann.identity.Seed()).String()
	account := c.ann.account.String()
	c.apply(t, "north own", put("device/"+account+"/"+seed, &device{recordVersion, 1}))
	c.apply(t, "north own", put(sessionKey(wire.ShelfOf(c.ann.account), wire.NewToken([32]byte{7}).Hash(wire.LabelToken)), &session{Version: recordVersion, Handle: "ann", Device: wire.NewToken([32]byte{7}).Reveal()}))
	got := c.audit(t, "north")
	text := fmt.Sprintf("%+v", got.findings)
	if len(got.findings) != 2 || strings.Contains(text, seed) || !strings.Contains(text, "device/"+account+"/... ") || !strings.Contains(text, "token of a session") {
		t.Errorf("found%s", got)
	}
}

// TestAuditDamaged: what the store cannot read is found as well, and counts.
func TestAuditDamaged(t *testing.T) {
	c := newCheckable(t)
	key := keysOf(t, c.stores["north own"], "sealed/")[0]
	var found []AuditFinding
	report, err := Audit(t.Context(), AuditOptions{Own: &damagedStore{c.stores["north own"], key}, Found: func(f AuditFinding) { found = append(found, f) }})
	if err != nil || report.Findings != 1 || found[0].Key != key || found[0].Problem != "its bytes are damaged" {
		t.Errorf("got %+v, %v, %+v", report, err, found)
	}
}

// TestAuditOtherRelease: records of another release are not looked at.
func TestAuditOtherRelease(t *testing.T) {
	c := newCheckable(t)
	c.apply(t, "north copies", put("schema", &schemaRecord{recordVersion, recordSchema + 1}))
	report, err := Audit(context.Background(), AuditOptions{Own: c.stores["north own"], Copies: c.stores["north copies"]})
	if err == nil || !strings.Contains(err.Error(), "this release knows") || report.Bytes > 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// TestAuditManySuspects: what the filter takes for a lock, and is none, is not told,
// however much of it there is.
func TestAuditManySuspects(t *testing.T) {
	c := newCheckable(t)
	a := &audit{fsck: newFsck(FsckOptions{Own: c.stores["north own"]}), filter: newLockFilter()}
	a.recent = newRecent()
	for i := range a.filter {
		a.filter[i] = ^uint64(0)
	}
	if err := a.run(t.Context()); err != nil || a.report.Findings > 0 || len(a.suspected) > 0 {
		t.Errorf("got %+v, %v, %d suspects left", a.report, err, len(a.suspected))
	}
	a.suspected = make([]suspect, maxSuspects-1)
	place := keptPlaceOf("regain")
	one := &dissection{numbers: []keptNumber{{place.shape, wire.Hash(c.ann.identity.Seed())}}}
	if err := a.suspects(t.Context(), a.own, place, "regain", one); err != nil || a.report.Findings != 1 || len(a.suspected) > 0 {
		t.Errorf("with too many suspects: got %+v, %v, %d of them are left", a.report, err, len(a.suspected))
	}
}

// TestAuditAddsUp: an audit that loses a byte, or counts one twice, does not pass for
// one.
func TestAuditAddsUp(t *testing.T) {
	rec := store.Record{Key: "schema", Value: []byte{0xa0}}
	for frame, right := range map[int64]bool{6: false, 7: true, 8: false} {
		if err := (&dissection{at: [keptClasses]int64{keptFrame: frame}}).addsUp(rec); (err == nil) != right {
			t.Errorf("%d of 7 bytes: got %v", frame, err)
		}
	}
}

// FuzzAudit: whatever lies in a record, each byte of it counts once, and what has no
// problem is a record.
func FuzzAudit(f *testing.F) {
	for _, k := range keptKinds() {
		key := strings.NewReplacer(
			"<node>", string(north), "<domain>", string(north), "<handle>", "ann", "<name>", "*", "<process>", "0a", "<origin>", strings.Repeat("0a", 32),
			"<seq16>", hex16(1), "<n16>", hex16(1), "<counter16>", hex16(1), "<expires16>", hex16(1),
			"<level16>", hex16(1), "<size16>", hex16(1), "<shelf16>", hex16(1),
		).Replace(k.key)
		for strings.Contains(key, "<") {
			from, to := strings.IndexByte(key, '<'), strings.IndexByte(key, '>')
			key = key[:from] + wire.Hash{1}.String() + key[to+1:]
		}
		if keptPlaceOf(key) == nil || keptPlaceOf(key).key != k.key {
			f.Fatalf("%s is of no kind, want %s", key, k.key)
		}
		if k.record != nil {
			f.Add(key, wire.EncodeCBOR(k.record))
		}
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		place := keptPlaceOf(key)
		if place == nil {
			return
		}
		for _, hunting := range []bool{false, true} {
			one, rec := dissection{hunting: hunting}, store.Record{Key: key, Value: value}
			one.record(place, rec)
			if err := one.addsUp(rec); err != nil {
				t.Error(err)
			}
			if one.at[keptFound] > 0 && len(one.problems) == 0 {
				t.Errorf("%d bytes are found, and nobody says why", one.at[keptFound])
			}
			if place.record == nil || len(one.problems) > 0 {
				continue
			}
			into := reflect.New(reflect.TypeOf(place.record).Elem()).Interface()
			if err := wire.DecodeOwn("record", value, into); err != nil {
				t.Errorf("all bytes belong to fields, and the record cannot be read: %v", err)
			}
		}
	})
}
