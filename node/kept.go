package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What a node keeps, down to the field, and who may know it: the audit goes by it,
// and docs/security.md shows it (TestKept holds both to each other, and to the
// records as they are declared).

// A keptClass says who may know some bytes that a node keeps.
type keptClass int

const (
	keptPublic  keptClass = iota // anybody who asks
	keptShared                   // the nodes of friends, too, or some of them
	keptHere                     // this node alone
	keptPrivate                  // this node alone, for it signs or keys with them
	keptSealed                   // nobody here: what opens them is not here
	keptFrame                    // what holds the others together
	keptFound                    // a finding
	keptClasses
)

var keptClassNames = [keptClasses]string{"public", "shared", "here", "private", "sealed", "frame", "found"}

// String returns how a class is called in reports.
func (c keptClass) String() string { return keptClassNames[c] }

// The rows of the table "Who learns what" in docs/security.md.
const (
	aboutAddress  = "address, public keys"
	aboutCount    = "how many people a node has, and in which order they came"
	aboutNode     = "a node's name and document"
	aboutSalt     = "salt and parameters of the password"
	aboutPrivate  = "password, recovery code, private keys"
	aboutText     = "text of posts"
	aboutPosts    = "time, size bucket and number of posts"
	aboutFriends  = "who is friends with whom"
	aboutRemoved  = "who was removed"
	aboutVault    = "contents of the vault"
	aboutHeads    = "number of changes to the vault"
	aboutFactor   = "secret of the second factor, and which codes were used"
	aboutLogins   = "network address and log-in times"
	aboutDevices  = "keys that verify log-ins, names of devices"
	aboutWork     = "what a node notes for its own work: times, rules, other nodes"
	aboutOwnKeys  = "a node's own private keys"
	aboutNothing  = ""
	everywhere    = "every record and statement"
	fieldOfValue  = "value"     // of a record that has no fields
	fieldOfSigner = "Signature" // of a statement, in front of its fields
)

// A keptKind is a kind of record: the parts of its key, and what its value is. Both
// stores have those of the same key in common.
type keptKind struct {
	key    string // with the names of its parts in angle brackets
	record any    // a pointer to the type that it is decoded into
	value  *form  // or what else it is
}

func keptKinds() []keptKind {
	return []keptKind{
		{"account/<account>", new(accountRecord), nil},
		{"address/<node>/<handle>", new(addressRecord), nil},
		{"cosigned/<size16>", new(cosignedRecord), nil},
		{"deliver/<node>/<me>/<other>", new(deliverRecord), nil},
		{"device/<account>/<hash>", new(device), nil},
		{"domain/<domain>/<node>", new(domainRecord), nil},
		{"elsewhere", new(elsewhereRecord), nil},
		{"elsewhere/<node>/<me>/<other>", new(elsewhereRecord), nil},
		{"entry/<author>/<audience>/<seq16>", new(entryRecord), nil},
		{"factor/<account>", new(factorRecord), nil},
		{"farewell/<me>/<node>/<other>", new(farewellRecord), nil},
		{"friend/<me>/<other>", new(friendRecord), nil},
		{"gap/<author>/<audience>", new(gapRecord), nil},
		{"handle/<handle>", new(handleRecord), nil},
		{"id/<entry>", new(idRecord), nil},
		{"key/<account>/<seq16>", new(statementRecord), nil},
		{"leaf/<statement>", new(placeRecord), nil},
		{"leaving/<account>", new(leavingRecord), nil},
		{"log/<n16>", new(leafRecord), nil},
		{"logtile/<level16>/<n16>", new(tileRecord), nil},
		{"logtop/<size16>", new(checkpointRecord), nil},
		{"news/<process>/<n16>", new(newsRecord), nil},
		{"node/document", new(documentRecord), nil},
		{"node/keys", new(nodeKeys), nil},
		{"node/log", new(logIdentity), nil},
		{"node/name", nil, &form{}},
		{"node/witness", new(witnessIdentity), nil},
		{"nonce/<expires16>/<node>/<nonce>", nil, &form{size: 32}},
		{"peer/<node>", new(peerRecord), nil},
		{"process/<process>", new(processRecord), nil},
		{"read/<author>/<audience>", new(readRecord), nil},
		{"regain", new(regainRecord), nil},
		{"replay/highwater", new(highWaterRecord), nil},
		{"rule/<name>", new(ruleRecord), nil},
		{"schema", new(schemaRecord), nil},
		{"sealed/<account>/<hash>", new(sealedRecord), nil},
		{"sess/<shelf16>/<hash>", new(session), nil},
		{"spent/<expires16>/<nonce>", nil, &form{}},
		{"sync/<author>/<audience>", new(syncRecord), nil},
		{"throttle/<hmac>", new(purseRecord), nil},
		{"vault/<account>", new(vaultRecord), nil},
		{"vhead/<account>/<counter16>/<hash>", new(statementRecord), nil},
		{"witness/-/<origin>", new(seenRecord), nil},
		{"witness/<domain>/<node>", new(seenRecord), nil},
		{"wrap/<author>/<audience>/<commitment>/<reader>", new(wrapRecord), nil},
	}
}

// A keptRow says where some fields of a kind of record, or of a type, stand. Fields
// that begin with a small letter are parts of the key.
type keptRow struct {
	what   string
	class  keptClass
	about  string // a row of "Who learns what"
	fields string // with spaces between
}

var keptRows = []keptRow{
	{everywhere, keptFrame, aboutNothing, "Version Suite"},
	{"schema", keptFrame, aboutNothing, "Schema"},

	{"account/<account>", keptPublic, aboutAddress, "account Handle"},
	{"handle/<handle>", keptPublic, aboutAddress, "handle Account"},
	{"address/<node>/<handle>", keptPublic, aboutAddress, "node handle Account"},
	{"address/<node>/<handle>", keptPublic, aboutCount, "Proof"},
	{"address/<node>/<handle>", keptHere, aboutWork, "AsOf"},
	{"leaving/<account>", keptPublic, aboutAddress, "account Handle"},
	{"leaving/<account>", keptHere, aboutWork, "Since"},
	{"Tombstone", keptShared, aboutRemoved, "Signature Account KeySeq Statement Handle Node Signer Created"},
	{"key/<account>/<seq16>", keptPublic, aboutAddress, "account seq16"},
	{"KeyStatement", keptPublic, aboutAddress, "Signature Account Seq Prev Handle Node Identity Encryption Recovery RecoveryBox Signer Created"},
	{"KeyStatement", keptSealed, aboutPrivate, "SealedSelfKey"},

	{"log/<n16>", keptPublic, aboutCount, "n16"},
	{"LogLeaf", keptPublic, aboutCount, "Address Account Seq Statement"},
	{"leaf/<statement>", keptPublic, aboutCount, "statement Number Account Seq"},
	{"logtile/<level16>/<n16>", keptPublic, aboutCount, "level16 n16 Hashes"},
	{"logtop/<size16>", keptPublic, aboutCount, "size16 Checkpoint"},
	{"cosigned/<size16>", keptPublic, aboutCount, "size16 Note"},
	{"node/log", keptPublic, aboutCount, "Seen"},

	{"vault/<account>", keptPublic, aboutAddress, "account"},
	{"vault/<account>", keptHere, aboutLogins, "Era Keeper"},
	{"Slots", keptPublic, aboutSalt, "Random"},
	{"Argon2", keptPublic, aboutSalt, "Memory Time Threads"},
	{"Slots", keptHere, aboutDevices, "Login RecoveryLogin"},
	{"Slots", keptSealed, aboutPrivate, "PasswordSlot RecoverySlot"},
	{"sealed/<account>/<hash>", keptShared, aboutHeads, "account hash"},
	{"sealed/<account>/<hash>", keptSealed, aboutVault, "Vault"},
	{"vhead/<account>/<counter16>/<hash>", keptShared, aboutHeads, "account counter16 hash"},
	{"VaultHead", keptShared, aboutHeads, "Signature Account KeySeq Counter Prev VaultHash SlotsHash Created"},

	{"sess/<shelf16>/<hash>", keptHere, aboutLogins, "shelf16 hash Account Handle Created Expires Era"},
	{"sess/<shelf16>/<hash>", keptHere, aboutDevices, "Device"},
	{"device/<account>/<hash>", keptHere, aboutLogins, "account hash Used"},
	{"spent/<expires16>/<nonce>", keptHere, aboutLogins, "expires16 nonce value"},
	{"factor/<account>", keptHere, aboutFactor, "account Backup Spender"},
	{"factor", keptHere, aboutFactor, "Kind Secret Step"},
	{"throttle/<hmac>", keptHere, aboutLogins, "hmac Whole Failed Until"},

	{"friend/<me>/<other>", keptShared, aboutFriends, "me other Handle Node"},
	{"friend/<me>/<other>", keptHere, aboutWork, "Problem"},
	{"Friendship", keptShared, aboutFriends, "Me Other Floor"},
	{"Side", keptShared, aboutFriends, "Offer Created Dead Accepted AcceptedAt Audience AudienceAt"},
	{"Ended", keptShared, aboutRemoved, "Offer Said"},
	{"keptEnd", keptShared, aboutRemoved, "Offers"},
	{"queuedRecord", keptShared, aboutFriends, "Kind"},
	{"Offer", keptShared, aboutFriends, "Signature From FromHandle FromNode KeySeq To ToHandle ToNode Audience Created"},
	{"Accept", keptShared, aboutFriends, "Signature From KeySeq To Offer Audience Created"},
	{"End", keptShared, aboutRemoved, "Signature From KeySeq To Offers Created"},
	{"deliver/<node>/<me>/<other>", keptShared, aboutFriends, "node me other"},
	{"elsewhere/<node>/<me>/<other>", keptShared, aboutFriends, "node me other"},
	{"farewell/<me>/<node>/<other>", keptShared, aboutFriends, "me node other Handle"},

	{"entry/<author>/<audience>/<seq16>", keptShared, aboutPosts, "author audience seq16 Kind Epoch PrevEpoch Created KeySeq Content"},
	{"entry/<author>/<audience>/<seq16>", keptHere, aboutWork, "Arrival"},
	{"entry/<author>/<audience>/<seq16>", keptSealed, aboutText, "Body"},
	{"endRecord", keptShared, aboutRemoved, "Other"},
	{"EntryHeader", keptShared, aboutPosts, "Signature Author KeySeq Audience Seq Prev Created Kind Epoch Target Attachments BodyHash BodySize"},
	{"EpochBody", keptShared, aboutPosts, "Content Chain"},
	{"EpochBody", keptSealed, aboutText, "SealedSecret"},
	{"Link", keptShared, aboutPosts, "Epoch"},
	{"Link", keptSealed, aboutText, "Sealed"},
	{"id/<entry>", keptShared, aboutPosts, "entry Author Audience Seq"},
	{"wrap/<author>/<audience>/<commitment>/<reader>", keptShared, aboutFriends, "author audience commitment reader Key"},
	{"wrap/<author>/<audience>/<commitment>/<reader>", keptSealed, aboutText, "Sealed"},
	{"gap/<author>/<audience>", keptHere, aboutWork, "author audience From Epoch Position Arrival Rest Busy"},
	{"read/<author>/<audience>", keptHere, aboutWork, "author audience At"},
	{"sync/<author>/<audience>", keptHere, aboutWork, "author audience AsOf Seq Bytes"},

	{"node/name", keptPublic, aboutNode, "value"},
	{"node/document", keptPublic, aboutNode, "Number"},
	{"node/keys", keptPrivate, aboutOwnKeys, "Root Request Secret Newer"},
	{"node/log", keptPrivate, aboutOwnKeys, "Seed"},
	{"node/witness", keptPrivate, aboutOwnKeys, "Seed"},
	{"node/witness", keptPublic, aboutNode, "Created"},
	{"NodeLog", keptPublic, aboutNode, "Number Before Size Root"},
	{"NodeDocument", keptPublic, aboutNode, "Signature Name Host Root Number Software OldestClient MaxPost Contact Created"},
	{"NodeKey", keptPublic, aboutNode, "Purpose Key NotBefore NotAfter"},
	{"RootChange", keptPublic, aboutNode, "Signature Name Old New Created"},
	{"peer/<node>", keptHere, aboutWork, "node Root Fetched"},
	{"witness/<domain>/<node>", keptHere, aboutWork, "domain node Number Size Root Signed"},
	{"witness/-/<origin>", keptHere, aboutWork, "origin Number Size Root Signed"},
	{"domain/<domain>/<node>", keptHere, aboutWork, "domain node"},
	{"rule/<name>", keptHere, aboutWork, "name Rule Made"},
	{"nonce/<expires16>/<node>/<nonce>", keptHere, aboutWork, "expires16 node nonce value"},
	{"replay/highwater", keptHere, aboutWork, "Created"},
	{"regain", keptHere, aboutWork, "Since"},
	{"process/<process>", keptHere, aboutWork, "process Newest Ended Beats"},
	{"news/<process>/<n16>", keptHere, aboutWork, "process n16 Own Copies"},
}

// A form is what the bytes of a field are, where they are more than one value.
type form struct {
	signed bool  // 64 bytes of signature come first
	of     []any // what the bytes are the CBOR of, told apart by the number of fields
	sealed func(size int) bool
	digest func([]byte) wire.Hash // by which something else names the bytes
	body   bool                   // of an entry: of an epoch it is what of says, else sealed
	size   int                    // bytes, if there are always as many
}

// keptForms are the forms of fields, by kind or type and field.
var keptForms = map[string]*form{
	"log/<n16> Leaf":                                        {of: []any{new(wire.LogLeaf)}},
	"key/<account>/<seq16> Statement":                       signedForm(new(wire.KeyStatement)),
	"vhead/<account>/<counter16>/<hash> Statement":          signedForm(new(wire.VaultHead)),
	"vault/<account> Head":                                  signedForm(new(wire.VaultHead)),
	"vault/<account> Statement":                             signedForm(new(wire.KeyStatement)),
	"vault/<account> Slots":                                 {of: []any{new(wire.Slots)}, digest: wire.SlotsHash},
	"sealed/<account>/<hash> Vault":                         {sealed: padded(4<<10, 2<<20), digest: wire.VaultHash},
	"entry/<author>/<audience>/<seq16> Header":              signedForm(new(wire.EntryHeader)),
	"entry/<author>/<audience>/<seq16> Body":                {body: true, of: []any{new(wire.EpochBody)}, sealed: padded(256, 64<<10), digest: wire.BodyHash},
	"endRecord Statement":                                   signedForm(new(wire.End)),
	"friend/<me>/<other> OfferMade":                         signedForm(new(wire.Offer)),
	"friend/<me>/<other> OfferGot":                          signedForm(new(wire.Offer)),
	"friend/<me>/<other> AcceptMade":                        signedForm(new(wire.Accept)),
	"friend/<me>/<other> AcceptGot":                         signedForm(new(wire.Accept)),
	"factor Secret":                                         {size: factorSecretSize},
	"friend/<me>/<other> Tombstone":                         signedForm(new(wire.Tombstone)),
	"handle/<handle> Tombstone":                             signedForm(new(wire.Tombstone)),
	"address/<node>/<handle> Tombstone":                     signedForm(new(wire.Tombstone)),
	"keptEnd Statement":                                     signedForm(new(wire.End)),
	"queuedRecord Statement":                                signedForm(new(wire.Offer), new(wire.Accept), new(wire.End)),
	"node/document Document":                                signedForm(new(wire.NodeDocument)),
	"node/keys Changes":                                     signedForm(new(wire.RootChange)),
	"peer/<node> Document":                                  signedForm(new(wire.NodeDocument)),
	"peer/<node> Changes":                                   signedForm(new(wire.RootChange)),
	"EpochBody VaultHead":                                   signedForm(new(wire.VaultHead)),
	"EpochBody SealedSecret":                                {sealed: exactly(sealedKeySize)},
	"Link Sealed":                                           {sealed: exactly(sealedKeySize)},
	"Slots PasswordSlot":                                    {sealed: exactly(sealedKeySize)},
	"Slots RecoverySlot":                                    {sealed: exactly(wire.SelfKeySize)},
	"KeyStatement SealedSelfKey":                            {sealed: exactly(wire.SelfKeySize)},
	"wrap/<author>/<audience>/<commitment>/<reader> Sealed": {sealed: exactly(wire.WrapSize)},
}

func signedForm(of ...any) *form { return &form{signed: true, of: of} }

// keptLabels are the labels of statements, under which others name them by hash.
var keptLabels = map[string]wire.Label{
	"KeyStatement": wire.LabelKeyStatement, "VaultHead": wire.LabelVaultHead, "EntryHeader": wire.LabelEntry,
	"Offer": wire.LabelOffer, "Accept": wire.LabelAccept, "End": wire.LabelEnd, "Tombstone": wire.LabelTombstone,
	"NodeDocument": wire.LabelNodeDocument, "RootChange": wire.LabelRootChange,
}

// sealedKeySize is what sealing makes of a key of 32 bytes (docs/protocol.md, Sealed
// bytes): 24 of salt, 32 of commitment, and 16 of tag.
const sealedKeySize = 32 + 72

// factorSecretSize is that of the secret of a TOTP, in bytes.
const factorSecretSize = 20

func exactly(want int) func(int) bool { return func(size int) bool { return size == want } }

// padded accepts the sizes of what was padded to a power of two from low to high,
// and sealed in chunks of 16 KiB.
func padded(low, high int) func(int) bool {
	return func(size int) bool {
		for n := low; n <= high; n *= 2 {
			if size == n+56+16*(n>>14+1) {
				return true
			}
		}
		return false
	}
}

// classOf returns where a field stands, and whether that is said anywhere.
func classOf(what, field string) (keptClass, bool) {
	for _, row := range keptRows {
		if (row.what == what || row.what == everywhere) && slices.Contains(strings.Fields(row.fields), field) {
			return row.class, true
		}
	}
	return keptFound, false
}

// String tells what the bytes are, for people.
func (f *form) String() string {
	var names []string
	for _, of := range f.of {
		names = append(names, "`"+typeName(of)+"`")
	}
	list := strings.Join(names, " or ")
	switch {
	case f.body:
		return list + " in an epoch, else sealed"
	case f.signed:
		return "signed " + list
	}
	return list
}

func typeName(v any) string {
	_, name, _ := strings.Cut(fmt.Sprintf("%T", v), ".")
	return name
}
