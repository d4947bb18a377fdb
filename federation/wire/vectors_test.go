package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var update = flag.Bool("update", false, "write docs/vectors anew")

// vectorFolder holds the frozen vectors; files of other packages lie there too.
var vectorFolder = filepath.Join("..", "..", "docs", "vectors")

// A vectorFile is one file of docs/vectors: what must be accepted, with what it
// means, and what must be refused, with why.
type vectorFile struct {
	About     string    `json:"about"`
	Accepted  []vector  `json:"accepted"`
	Refused   []vector  `json:"refused"`
	Histories []history `json:"histories,omitempty"` // friendship.json
}

// A vector is one case. Binary data are lower-case hex; Hash is as it is shown.
type vector struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`                 // what is parsed, a key of openers
	Input     *string           `json:"input,omitzero"`       // the text, for names and ids
	Seed      string            `json:"seed,omitempty"`       // Ed25519 seed of the signer
	PublicKey string            `json:"public_key,omitempty"` // that verifies
	Label     Label             `json:"label,omitempty"`      // that is signed and hashed
	With      map[string]string `json:"with,omitempty"`       // what else the parser is given; previous: the name of an accepted case
	Fields    []field           `json:"fields,omitempty"`     // what the payload holds
	Payload   string            `json:"payload,omitempty"`
	Signature string            `json:"signature,omitempty"`
	Hash      string            `json:"hash,omitempty"`
	Error     Kind              `json:"error,omitempty"`
	Why       string            `json:"why,omitempty"`
}

// A field is a member of a CBOR map.
type field struct {
	Key   uint64         `json:"key"`
	Name  string         `json:"name"`
	Type  string         `json:"type"` // number, bytes (hex), text, array, map
	Value jsontext.Value `json:"value"`
}

// A history is a set of friendship statements and what they add up to, in
// whatever order they come.
type history struct {
	Name       string            `json:"name"`
	A          AccountID         `json:"a"`
	B          AccountID         `json:"b"`
	KeyA       string            `json:"key_a"`
	KeyB       string            `json:"key_b"`
	Statements []historyLine     `json:"statements"`
	StateA     FriendState       `json:"state_a"`
	StateB     FriendState       `json:"state_b"`
	Live       []Hash            `json:"live_offers"`
	Floor      int64             `json:"floor,omitzero"` // ms
	Audience   map[string]string `json:"audiences"`      // newest named by each of the two
}

type historyLine struct {
	Kind      FriendKind `json:"kind"`
	By        string     `json:"by"` // a or b
	Statement string     `json:"statement"`
}

// vectorFiles are the files of docs/vectors that this package makes and reads.
func vectorFiles() map[string]*vectorFile {
	return map[string]*vectorFile{
		"names.json": nameVectors(), "ids.json": idVectors(), "cbor.json": cborVectors(), "signature.json": signatureVectors(), "json.json": jsonVectors(), "problem.json": problemVectors(),
		"key-statement.json": keyStatementVectors(), "entry.json": entryVectors(), "epoch-body.json": epochBodyVectors(), "friendship.json": friendshipVectors(),
		"vault-head.json": vaultHeadVectors(), "slots.json": slotsVectors(), "login.json": loginVectors(), "node-document.json": nodeDocumentVectors(), "root-change.json": rootChangeVectors(), "tombstone.json": tombstoneVectors(), "recovery-query.json": recoveryQueryVectors(),
	}
}

// TestVectors checks the frozen files against the code, reading nothing but the
// files, and that the generator still makes the same ones. With -update it writes
// them first: a changed file is a changed protocol.
func TestVectors(t *testing.T) {
	for name, made := range vectorFiles() {
		path := filepath.Join(vectorFolder, name)
		want := append(must(json.Marshal(made, json.Deterministic(true), jsontext.WithIndent("  "))), '\n')
		if *update {
			if err := errors.Join(os.MkdirAll(vectorFolder, 0o755), os.WriteFile(path, want, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v (go test ./federation/wire -run TestVectors -update writes it)", err)
			continue
		}
		var f vectorFile
		if err := json.Unmarshal(b, &f, json.RejectUnknownMembers(true)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkFile(t, name, &f)
		if !bytes.Equal(b, want) {
			t.Errorf("%s is not what the generator makes: either the format or the file was changed", name)
		}
	}
}

func checkFile(t *testing.T, name string, f *vectorFile) {
	if len(f.Accepted) == 0 || len(f.Refused) == 0 || f.About == "" || name == "friendship.json" && len(f.Histories) == 0 {
		t.Errorf("%s has no cases", name)
	}
	f.resolve()
	for _, v := range f.Accepted {
		if err := v.checkAccepted(); err != nil {
			t.Errorf("%s, %s: %v", name, v.Name, err)
		}
	}
	for _, v := range f.Refused {
		open, ok := openers[v.Kind]
		if !ok || v.Why == "" || v.Error == "" {
			t.Errorf("%s, %s: of unknown kind %q, or without a reason or kind of error", name, v.Name, v.Kind)
			continue
		}
		_, err := open(v)
		wantKind(t, name+", "+v.Name, err, v.Error)
	}
	for _, h := range f.Histories {
		if err := h.check(); err != nil {
			t.Errorf("%s, %s: %v", name, h.Name, err)
		}
	}
}

// resolve puts the bytes of an accepted case where another one names it, so that
// the file need not repeat them.
func (f *vectorFile) resolve() {
	named := map[string]string{}
	for _, v := range f.Accepted {
		named[v.Name] = v.Signature + v.Payload
	}
	for _, vs := range [][]vector{f.Accepted, f.Refused} {
		for i := range vs {
			if statement, ok := named[vs[i].With["previous"]]; ok {
				vs[i].With["previous"] = statement
			}
		}
	}
}

// checkAccepted opens the case, writes it again from the fields and by the code,
// signs it again, and hashes it.
func (v vector) checkAccepted() error {
	open, ok := openers[v.Kind]
	if !ok {
		return fmt.Errorf("unknown kind %q", v.Kind)
	}
	got, err := open(v)
	if err != nil || v.Payload == "" {
		return err
	}
	if v.Fields != nil {
		payload, err := encodeFields(v.Fields)
		if err != nil {
			return err
		}
		if hex.EncodeToString(payload) != v.Payload || hex.EncodeToString(EncodeCBOR(got)) != v.Payload {
			return fmt.Errorf("the payload is not what the fields say, %x", payload)
		}
	}
	if v.Seed != "" {
		key := newSeed([32]byte(unhex(v.Seed)))
		if s := raw(v.Label, unhex(v.Payload), key); hex.EncodeToString(s[:64]) != v.Signature {
			return fmt.Errorf("the seed signs otherwise, %x", s[:64])
		}
		if pub := key.public(); hex.EncodeToString(pub[:]) != v.PublicKey {
			return fmt.Errorf("the public key of the seed is %x", pub)
		}
	}
	if v.Label != "" && v.Label.Hash(unhex(v.Payload)).String() != v.Hash {
		return fmt.Errorf("the hash is %s", v.Label.Hash(unhex(v.Payload)))
	}
	return nil
}

// encodeFields is a second encoder, in the plainest way.
func encodeFields(fields []field) ([]byte, error) {
	b := head(5, uint64(len(fields)))
	for _, f := range fields {
		value, err := encodeValue(f.Type, f.Value)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", f.Key, err)
		}
		b = append(append(b, head(0, f.Key)...), value...)
	}
	return b, nil
}

func encodeValue(typ string, v jsontext.Value) ([]byte, error) {
	switch typ {
	case "number":
		var n uint64
		err := json.Unmarshal(v, &n)
		return head(0, n), err
	case "bytes":
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return nil, err
		}
		b, err := hex.DecodeString(s)
		return cborBytes(b), err
	case "text":
		var s string
		err := json.Unmarshal(v, &s)
		return append(head(3, uint64(len(s))), s...), err
	case "map":
		var fs []field
		if err := json.Unmarshal(v, &fs); err != nil {
			return nil, err
		}
		return encodeFields(fs)
	case "array":
		var items []field // their keys are positions
		if err := json.Unmarshal(v, &items); err != nil {
			return nil, err
		}
		b := head(4, uint64(len(items)))
		for _, i := range items {
			item, err := encodeValue(i.Type, i.Value)
			if err != nil {
				return nil, err
			}
			b = append(b, item...)
		}
		return b, nil
	}
	return nil, fmt.Errorf("unknown type %q", typ)
}

// signed is the statement of a case, followed by as many zeros as it says.
func (v vector) signed() Signed {
	var zeros int
	fmt.Sscan(v.With["zeros"], &zeros)
	return append(append(unhex(v.Signature), unhex(v.Payload)...), make([]byte, zeros)...)
}

func (v vector) key() [32]byte { return [32]byte(unhex(v.PublicKey)) }

// openers are the parsers by the name that Kind has.
var openers = map[string]func(v vector) (any, error){
	"handle":    func(v vector) (any, error) { return ParseHandle(*v.Input) },
	"node":      func(v vector) (any, error) { return ParseNodeName(*v.Input) },
	"address":   func(v vector) (any, error) { return ParseAddress(*v.Input) },
	"base64url": func(v vector) (any, error) { return nil, new(Bytes).UnmarshalText([]byte(*v.Input)) },
	"id": func(v vector) (any, error) {
		id, err := ParseAccountID(*v.Input)
		if err == nil && hex.EncodeToString(id[:]) != v.With["bytes"] {
			err = fmt.Errorf("it is %x", id)
		}
		return id, err
	},
	"ed25519-key": func(v vector) (any, error) { return nil, CheckEd25519("key", v.key()) },
	"encryption-key": func(v vector) (any, error) {
		return nil, CheckEncryptionKey("key", [1216]byte(unhex(v.With["key"])))
	},
	"labelled-hash": func(v vector) (any, error) { return nil, nil }, // checkAccepted does it
	"direct-audience": func(v vector) (any, error) {
		a, b := AccountID(unhex(v.With["a"])), AccountID(unhex(v.With["b"]))
		return nil, expect(DirectAudience(a, b).String(), v.Hash)
	},
	"signature": func(v vector) (any, error) { return nil, v.signed().verify(v.Label, v.key(), MaxStatement) },
	"json":      func(v vector) (any, error) { return nil, DecodeJSON(unhex(v.With["body"]), new(jsonBody)) },
	"problem": func(v vector) (any, error) {
		var p Problem
		if err := DecodeJSON([]byte(*v.Input), &p); err != nil {
			return nil, err
		}
		e := p.Err()
		got := fmt.Sprintf("%d %s %q %q %d", e.Kind.Status(), e.Kind, e.Field, e.Detail, int(e.RetryAfter.Seconds()))
		return nil, expect(got, fmt.Sprintf("%s %s %q %q %s", v.With["status"], v.With["kind"], v.With["field"], v.With["detail"], v.With["retry_after_s"]))
	},
	"login-salt": func(v vector) (any, error) {
		var p Argon2
		a, err := ParseAddress(v.With["address"])
		if _, scan := fmt.Sscan(v.With["argon2"], &p.Memory, &p.Time, &p.Threads); err != nil || scan != nil {
			return nil, errors.Join(err, scan)
		}
		return nil, expect(LoginSalt(a, p, Nonce(unhex(v.With["random"]))).String(), v.Hash)
	},
	"first-key-statement": func(v vector) (any, error) { k, _, err := OpenFirstKeyStatement(v.signed()); return k, err },
	"next-key-statement": func(v vector) (any, error) {
		first, account, err := OpenFirstKeyStatement(unhex(v.With["previous"]))
		if err != nil {
			return nil, fmt.Errorf("previous: %w", err)
		}
		return OpenNextKeyStatement(v.signed(), account, first, Hash(account))
	},
	"entry": func(v vector) (any, error) {
		h, err := OpenEntry(Entry{v.signed(), unhex(v.With["body"])}, v.key())
		if err == nil && v.With["context"] != "" {
			err = expect(hex.EncodeToString(h.Context()), v.With["context"])
		}
		return h, err
	},
	"entry-header": func(v vector) (any, error) { return OpenEntryHeader(v.signed(), v.key()) },
	"next-entry": func(v vector) (any, error) {
		var s StreamHead
		for i := 0; v.With[fmt.Sprint("before_", i)] != ""; i++ {
			header := Signed(unhex(v.With[fmt.Sprint("before_", i)]))
			h, err := OpenEntryHeader(header, v.key())
			if err == nil {
				s, err = s.Next(h, EntryID(header.Hash(LabelEntry)))
			}
			if err != nil {
				return nil, fmt.Errorf("before: %w", errors.New(err.Error()))
			}
		}
		h, err := OpenEntryHeader(v.signed(), v.key())
		if err == nil {
			_, err = s.Next(h, EntryID(v.signed().Hash(LabelEntry)))
		}
		return h, err
	},
	"epoch-body": func(v vector) (any, error) {
		h, err := OpenEntryHeader(unhex(v.With["header"]), v.key())
		if err != nil {
			return nil, fmt.Errorf("header: %w", errors.New(err.Error()))
		}
		var prev uint64
		fmt.Sscan(v.With["previous_epoch"], &prev)
		b, _, err := OpenEpochBody(h, unhex(v.Payload), prev, v.key())
		return b, err
	},
	"offer":      func(v vector) (any, error) { return OpenOffer(v.signed(), v.key()) },
	"accept":     func(v vector) (any, error) { return OpenAccept(v.signed(), v.key()) },
	"end":        func(v vector) (any, error) { return OpenEnd(v.signed(), v.key()) },
	"vault-head": func(v vector) (any, error) { return OpenVaultHead(v.signed(), v.key()) },
	"next-vault-head": func(v vector) (any, error) {
		before := Signed(unhex(v.With["previous"]))
		prev, err := OpenVaultHead(before, v.key())
		if err != nil {
			return nil, fmt.Errorf("previous: %w", errors.New(err.Error()))
		}
		h, err := OpenVaultHead(v.signed(), v.key())
		if err == nil {
			err = h.Follows(prev, before.Hash(LabelVaultHead))
		}
		return h, err
	},
	"vault-record": func(v vector) (any, error) {
		h, _, err := OpenVaultRecord(VaultRecord{v.signed(), unhex(v.With["slots"]), unhex(v.With["vault"])}, v.key())
		return h, err
	},
	"head-query":     func(v vector) (any, error) { return OpenHeadQuery(v.signed(), v.key()) },
	"recovery-query": func(v vector) (any, error) { return OpenRecoveryQuery(v.signed(), RecoveryKey(v.key())) },
	"tombstone": func(v vector) (any, error) {
		return OpenTombstone(v.signed(), IdentityKey(unhex(v.With["identity"])), RecoveryKey(unhex(v.With["recovery"])))
	},
	"slots":         func(v vector) (any, error) { return DecodeSlots(unhex(v.Payload)) },
	"challenge":     func(v vector) (any, error) { return OpenChallenge(v.signed(), v.key()) },
	"node-document": func(v vector) (any, error) { return OpenNodeDocument(v.signed(), NodeName(v.With["name"])) },
	"root-change":   func(v vector) (any, error) { return OpenRootChange(v.signed(), NodeName(v.With["name"])) },
	"root-changes": func(v vector) (any, error) {
		var list []Signed
		for i := 0; v.With[fmt.Sprint("change_", i)] != ""; i++ {
			list = append(list, unhex(v.With[fmt.Sprint("change_", i)]))
		}
		roots, err := OpenRootChanges(list, NodeName(v.With["name"]), NodeRootKey(unhex(v.With["root"])))
		got := ""
		for _, r := range roots {
			got += hex.EncodeToString(r[:])
		}
		if err == nil {
			err = expect(got, v.With["roots_before"])
		}
		return nil, err
	},
}

func expect(got, want string) error {
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

// check adds a history up in three orders.
func (h history) check() error {
	for order := range 3 {
		a, b := Friendship{Me: h.A, Other: h.B}, Friendship{Me: h.B, Other: h.A}
		for i := range h.Statements {
			line := h.Statements[[]int{i, len(h.Statements) - 1 - i, (i + 1) % len(h.Statements)}[order]]
			if err := errors.Join(h.add(&a, line), h.add(&b, line)); err != nil {
				return err
			}
		}
		if a.State() != h.StateA || b.State() != h.StateB || fmt.Sprint(a.LiveOffers()) != fmt.Sprint(h.Live) || a.Floor != h.Floor {
			return fmt.Errorf("order %d: %s and %s, live %v, floor %d", order, a.State(), b.State(), a.LiveOffers(), a.Floor)
		}
		if a.Mine.Audience.String() != h.Audience["a"] || a.Yours.Audience.String() != h.Audience["b"] {
			return fmt.Errorf("order %d: audiences %s and %s", order, a.Mine.Audience, a.Yours.Audience)
		}
	}
	return nil
}

func (h history) add(f *Friendship, line historyLine) error {
	key, s := IdentityKey(unhex(h.KeyA)), Signed(unhex(line.Statement))
	if line.By == "b" {
		key = IdentityKey(unhex(h.KeyB))
	}
	switch line.Kind {
	case FriendOffer:
		o, err := OpenOffer(s, key)
		if err != nil {
			return err
		}
		return f.AddOffer(o, s.Hash(LabelOffer))
	case FriendAccept:
		a, err := OpenAccept(s, key)
		if err != nil {
			return err
		}
		return f.AddAccept(a)
	}
	e, err := OpenEnd(s, key)
	if err != nil {
		return err
	}
	return f.AddEnd(e)
}
