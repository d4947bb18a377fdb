package keyservice

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var update = flag.Bool("update", false, "write docs/vectors/log.json anew; it is frozen, so only for a new format")

// A logVectors is docs/vectors/log.json. Origin and Key are those of all checkpoints in
// it, of logs whose leaves are the accepted ones, in order.
type logVectors struct {
	About       string      `json:"about"`
	Origin      string      `json:"origin"`
	Seed        string      `json:"seed"` // Ed25519, hex
	Key         string      `json:"key"`
	Witness     string      `json:"witness"`      // of cosigned checkpoints, as a verifier key
	WitnessSeed string      `json:"witness_seed"` // Ed25519, hex
	Accepted    []logVector `json:"accepted"`
	Refused     []logVector `json:"refused"`
}

// A logVector is a leaf (Payload, in hex), a checkpoint, one that a witness has cosigned,
// or a proof (Text), or a bundle (Payload) of so many leaves.
type logVector struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"` // leaf, checkpoint, proof, bundle, cosigned, add-checkpoint
	Address   string    `json:"address,omitempty"`
	Hashed    string    `json:"hashed_address,omitempty"` // hex
	Account   string    `json:"account,omitempty"`        // hex
	Seq       *uint64   `json:"seq,omitempty"`
	Statement string    `json:"statement,omitempty"` // hex
	Payload   string    `json:"payload,omitempty"`
	Hash      string    `json:"hash,omitempty"` // of the leaf in the tree, hex
	Text      string    `json:"text,omitempty"`
	Size      *uint64   `json:"size,omitempty"`
	Root      string    `json:"root,omitempty"` // hex
	Old       *uint64   `json:"old,omitempty"`  // size that a witness saw last
	Time      int64     `json:"time,omitempty"` // of the cosignature, in seconds since 1970
	Of        string    `json:"of,omitempty"`   // the name of the leaf that a proof is about
	Count     int       `json:"count,omitempty"`
	Error     wire.Kind `json:"error,omitempty"`
	Why       string    `json:"why,omitempty"`
}

func vectorSeed(name string) [32]byte { return sha256.Sum256([]byte("peerbrain test seed: " + name)) }

// vectorLog is the ledger and the log of the vectors, with the leaves in it.
func vectorLog(t testing.TB) (secret wire.NodeLogSecret, leaves []*wire.LogLeaf, l *Log, m *memoryLog) {
	secret = wire.NewNodeLogSecret(vectorSeed("log"))
	for _, one := range []struct {
		handle wire.Handle
		seq    uint64
	}{{"alice", 0}, {"bob", 0}, {"carol", 0}, {"alice", 1}, {"dave", 0}} {
		account := wire.AccountID(vectorSeed("account " + string(one.handle)))
		leaf := &wire.LogLeaf{
			Version: wire.Version, Suite: wire.Suite, Address: wire.LogAddress(wire.Address{Handle: one.handle, Node: "node.example"}), Account: account, Seq: one.seq, Statement: wire.Hash(account),
		}
		if one.seq > 0 {
			leaf.Statement = vectorSeed(fmt.Sprint("statement ", one.seq, " of ", one.handle))
		}
		leaves = append(leaves, leaf)
	}
	m = newMemoryLog()
	l = NewLog(testOrigin, secret, m)
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		if err := l.Add(t.Context(), leaf); err != nil {
			t.Fatal(err)
		}
	}
	return secret, leaves, l, m
}

func makeLogVectors(t testing.TB) *logVectors {
	secret, leaves, l, m := vectorLog(t)
	key := secret.Public()
	f := &logVectors{
		About:  "The transparency log: leaves, checkpoints of the log of the first leaves, proofs, a bundle, cosigned checkpoints, requests to witnesses. Hex, but for what is text.",
		Origin: testOrigin, Seed: hex.EncodeToString(secret.Seed()), Key: hex.EncodeToString(key[:]),
	}
	names := []string{"alice", "bob", "carol", "alice, the next", "dave"}
	for i, leaf := range leaves {
		b := must(leaf.Encode())
		h := tlog.RecordHash(b)
		f.Accepted = append(f.Accepted, logVector{
			Name: names[i], Kind: "leaf", Address: strings.Split(names[i], ",")[0] + "@node.example", Hashed: hex.EncodeToString(leaf.Address[:]),
			Account: hex.EncodeToString(leaf.Account[:]), Seq: &leaf.Seq, Statement: hex.EncodeToString(leaf.Statement[:]), Payload: hex.EncodeToString(b), Hash: hex.EncodeToString(h[:]),
		})
	}
	for size := range uint64(6) {
		b := m.checkpoints[size]
		c := must(OpenCheckpoint(b, testOrigin, key))
		f.Accepted = append(f.Accepted, logVector{Name: fmt.Sprint("of ", size), Kind: "checkpoint", Text: string(b), Size: &size, Root: hex.EncodeToString(c.Root[:])})
	}
	for i, leaf := range leaves {
		f.Accepted = append(f.Accepted, logVector{Name: "proof of " + names[i], Kind: "proof", Of: names[i], Text: string(must(l.Prove(t.Context(), leaf)))})
	}
	bundle := must(l.File(t.Context(), "tile/entries/000.p/5"))
	f.Accepted = append(f.Accepted, logVector{Name: "all leaves", Kind: "bundle", Payload: hex.EncodeToString(bundle), Count: 5})
	f.refuse(t, secret, leaves, string(must(l.Prove(t.Context(), leaves[1]))), bundle)
	f.cosign(m.checkpoints[5])
	f.ask(t, l)
	return f
}

// ask adds what the log sends to a witness, as it should be and not.
func (f *logVectors) ask(t testing.TB, l *Log) {
	var all [6]string
	for _, old := range []uint64{0, 3, 5} {
		all[old] = string(must(l.Growth(t.Context(), old)).Format())
		f.Accepted = append(f.Accepted, logVector{Name: fmt.Sprint("to a witness that saw ", old), Kind: "add-checkpoint", Text: all[old], Old: &old})
	}
	f.Accepted = append(f.Accepted, logVector{Name: "with an extension", Kind: "add-checkpoint", Text: strings.Replace(all[5], "\n\n—", "\nmore\n\n—", 1), Old: &[]uint64{5}[0]})
	refuse := func(name, why, text string) {
		f.Refused = append(f.Refused, logVector{Name: name, Kind: "add-checkpoint", Text: text, Error: wire.Invalid, Why: why})
	}
	hash := strings.Split(all[3], "\n")[1] + "\n"
	refuse("no request", "there is nothing", "")
	refuse("without old", "the first line is that of the old size", strings.TrimPrefix(all[3], "old 3\n"))
	refuse("a size alone", "the first line is that of the old size", strings.TrimPrefix(all[3], "old "))
	refuse("an old size of zeros", "a number has one spelling", strings.Replace(all[3], "old 3", "old 03", 1))
	refuse("an old size with a sign", "a number has one spelling", strings.Replace(all[3], "old 3", "old +3", 1))
	refuse("an old size above 2^53-1", "a number is too large", strings.Replace(all[3], "old 3", "old 9007199254740992", 1))
	refuse("a hash of 31 bytes", "a hash has 32 bytes", strings.Replace(all[3], hash, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n", 1))
	refuse("a hash with a carriage return", "a hash has 44 characters", strings.Replace(all[3], hash, hash[:9]+"\r"+hash[9:], 1))
	refuse("64 hashes", "there are at most 63", strings.Replace(all[3], hash, strings.Repeat(hash, 62), 1))
	refuse("without an empty line", "an empty line ends the hashes", strings.Replace(all[0], "old 0\n\n", "old 0\n", 1))
	refuse("without signatures", "a note has an empty line after its text", all[0][:strings.Index(all[0], "\n\n—")+1])
	refuse("without an origin", "the first line of a checkpoint is not empty", strings.Replace(all[0], "\n\n"+testOrigin, "\n\n", 1))
	refuse("a size of zeros", "a number has one spelling", strings.Replace(all[0], "\n5\n", "\n05\n", 1))
	refuse("a root of another length", "a hash has 32 bytes", strings.Replace(all[0], "\n5\n", "\n5\nAAAA", 1))
}

// cosign adds a checkpoint with the lines of witnesses, as it should be and not.
func (f *logVectors) cosign(checkpoint []byte) {
	secret := wire.NewNodeWitnessSecret(vectorSeed("witness"))
	f.Witness, f.WitnessSeed = NodeWitness("other.example", secret.Public()).String(), hex.EncodeToString(secret.Seed())
	at := time.Unix(1_790_000_001, 0)
	line := must(Cosign(checkpoint, "other.example", secret, at))
	third := must(Cosign(checkpoint, "third.example", wire.NewNodeWitnessSecret(vectorSeed("third")), at))
	good := string(AddCosignature(checkpoint, line))
	accept := func(name, text string) {
		f.Accepted = append(f.Accepted, logVector{Name: name, Kind: "cosigned", Text: text, Time: at.Unix()})
	}
	accept("cosigned", good)
	accept("cosigned by two", string(AddCosignature(AddCosignature(checkpoint, third), line)))
	refuse := func(name, why, text string) {
		f.Refused = append(f.Refused, logVector{Name: name, Kind: "cosigned", Text: text, Error: wire.Tampered, Why: why})
	}
	refuse("by nobody", "no line is that of the witness", string(checkpoint))
	refuse("by another alone", "no line is that of the witness", string(AddCosignature(checkpoint, third)))
	refuse("of another size than cosigned", "the signature does not verify", strings.Replace(good, "\n5\n", "\n4\n", 1))
	refuse("under another name", "the key id names the name too", strings.Replace(good, "other.example", "third.example", 1))
	refuse("with another key", "the key id is that of another key", string(AddCosignature(checkpoint, must(Cosign(checkpoint, "other.example", wire.NewNodeWitnessSecret(vectorSeed("third")), at)))))
	changed := func(change func(b []byte) []byte) string {
		head, text, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "other.example/v1/witness ")
		b := change(must(base64.StdEncoding.DecodeString(text)))
		return string(checkpoint) + head + "other.example/v1/witness " + base64.StdEncoding.EncodeToString(b) + "\n"
	}
	refuse("at another time", "the time is signed", changed(func(b []byte) []byte { b[11]++; return b }))
	refuse("at no time", "the time is not 0", changed(func(b []byte) []byte {
		return append(append(b[:4:4], make([]byte, 8)...), secret.Sign(cosigned(textOf(checkpoint), 0))...)
	}))
	refuse("without a time", "8 bytes of the time are missing", changed(func(b []byte) []byte { return append(b[:4:4], b[12:]...) }))
	refuse("with a byte too many", "the signature has 64 bytes", changed(func(b []byte) []byte { return append(b, 0) }))
	refuse("a wrong line before the right one", "one wrong line of a witness is enough", changed(func(b []byte) []byte { b[20] ^= 1; return b })+string(line))
}

// refuse adds what must not be accepted.
func (f *logVectors) refuse(t testing.TB, secret wire.NodeLogSecret, leaves []*wire.LogLeaf, proof string, bundle []byte) {
	leaf := func(name, why string, k wire.Kind, change func(l *wire.LogLeaf)) {
		l := *leaves[0]
		change(&l)
		f.Refused = append(f.Refused, logVector{Name: name, Kind: "leaf", Payload: hex.EncodeToString(wire.EncodeCBOR(&l)), Error: k, Why: why})
	}
	leaf("version 2", "a newer release is needed", wire.Update, func(l *wire.LogLeaf) { l.Version = 2 })
	leaf("suite 2", "a newer release is needed", wire.Update, func(l *wire.LogLeaf) { l.Suite = 2 })
	leaf("no account", "an account is not zero", wire.Invalid, func(l *wire.LogLeaf) { l.Account, l.Statement = wire.AccountID{}, wire.Hash{} })
	leaf("another first statement", "the first statement names the account", wire.Invalid, func(l *wire.LogLeaf) { l.Statement[0] ^= 1 })
	leaf("the first statement as a later one", "the first statement names the account", wire.Invalid, func(l *wire.LogLeaf) { l.Seq = 1 })
	leaf("seq above 2^53-1", "a number is too large", wire.Invalid, func(l *wire.LogLeaf) { l.Seq, l.Statement[0] = wire.MaxInteger+1, 1 })
	f.Refused = append(f.Refused, logVector{Name: "a trailing byte", Kind: "leaf", Payload: f.Accepted[0].Payload + "00", Error: wire.Invalid, Why: "a byte follows the map"})
	text := func(kind, name, why, text string) {
		f.Refused = append(f.Refused, logVector{Name: name, Kind: kind, Text: text, Error: wire.Tampered, Why: why})
	}
	signer := func(origin string, s wire.NodeLogSecret) note.Signer {
		return logSigner{must(logVerifier(origin, s.Public())), s}
	}
	signed := func(s note.Signer, text string) string { return string(must(note.Sign(&note.Note{Text: text}, s))) }
	good := Checkpoint{5, wire.Hash{1}}.text(testOrigin)
	ours := signer(testOrigin, secret)
	checkpoint := signed(ours, good)
	text("checkpoint", "nothing", "there is nothing", "")
	text("checkpoint", "without a signature", "it is not signed", good+"\n")
	text("checkpoint", "of another size than signed", "the signature does not verify", strings.Replace(checkpoint, "\n5\n", "\n6\n", 1))
	text("checkpoint", "signed with another key", "it is not signed with the key of the log", signed(signer(testOrigin, wire.NewNodeLogSecret(vectorSeed("other"))), good))
	text("checkpoint", "of another origin", "it names another log", signed(ours, Checkpoint{5, wire.Hash{1}}.text("node.example/v1/log/1")))
	text("checkpoint", "with an extension", "there are three lines", signed(ours, good+"more\n"))
	text("checkpoint", "with a size of zeros", "a number has one spelling", signed(ours, strings.Replace(good, "\n5\n", "\n05\n", 1)))
	text("checkpoint", "with a size above 2^53-1", "a number is too large", signed(ours, strings.Replace(good, "\n5\n", "\n9007199254740992\n", 1)))
	text("checkpoint", "with a hash of 31 bytes", "a hash has 32 bytes", signed(ours, strings.Replace(good, "AA=", "A=", 1)))
	text("proof", "no proof", "there is nothing", "")
	text("proof", "of version 2", "another format", strings.Replace(proof, "@v1", "@v2", 1))
	text("proof", "with extra data", "nothing is allowed there", strings.Replace(proof, "\nindex", "\nextra AA==\nindex", 1))
	text("proof", "with an index of zeros", "a number has one spelling", strings.Replace(proof, "index 1", "index 01", 1))
	text("proof", "with a broken hash", "a hash has 44 characters", strings.Replace(proof, "=\n", "\n", 1))
	f.Refused = append(f.Refused,
		logVector{Name: "of another leaf", Kind: "proof", Of: "carol", Text: proof, Error: wire.Tampered, Why: "the leaf is another one"},
		logVector{Name: "cut short", Kind: "bundle", Payload: hex.EncodeToString(bundle[:len(bundle)-1]), Count: 5, Error: wire.Tampered, Why: "the last leaf is not whole"},
		logVector{Name: "one too few", Kind: "bundle", Payload: hex.EncodeToString(bundle), Count: 6, Error: wire.Tampered, Why: "there are five"})
}

// check reads a vector, with nothing but what is in the file.
func (f *logVectors) check(v logVector) error {
	payload, err := hex.DecodeString(v.Payload)
	if err != nil {
		return err
	}
	key := wire.NodeLogKey(must(hex.DecodeString(f.Key)))
	differs := func(what string, got []byte, want string) error {
		if hex.EncodeToString(got) != want {
			return fmt.Errorf("%s: %x", what, got)
		}
		return nil
	}
	switch v.Kind {
	case "leaf":
		leaf, err := wire.DecodeLogLeaf(payload)
		if err != nil || v.Error != "" {
			return err
		}
		hash, hashed := tlog.RecordHash(payload), wire.LogAddress(must(wire.ParseAddress(v.Address)))
		return errors.Join(differs("hash", hash[:], v.Hash), differs("address", hashed[:], v.Hashed), differs("address", leaf.Address[:], v.Hashed),
			differs("account", leaf.Account[:], v.Account), differs("statement", leaf.Statement[:], v.Statement), differs("seq", []byte{byte(leaf.Seq)}, fmt.Sprintf("%02x", *v.Seq)))
	case "checkpoint":
		c, err := OpenCheckpoint([]byte(v.Text), f.Origin, key)
		if err != nil || v.Error != "" {
			return err
		}
		again := must(c.sign(f.Origin, wire.NewNodeLogSecret([32]byte(must(hex.DecodeString(f.Seed))))))
		if string(again) != v.Text || c.Size != *v.Size {
			return fmt.Errorf("it is signed again as %q", again)
		}
		return differs("root", c.Root[:], v.Root)
	case "add-checkpoint":
		a, err := ParseAddCheckpoint([]byte(v.Text))
		if err != nil {
			return err
		}
		if a.Old != *v.Old || a.Origin != f.Origin || string(a.Format()) != v.Text {
			return fmt.Errorf("it is read as %+v", a)
		}
		for _, of := range f.Accepted {
			if c, err := ReadCheckpoint([]byte(of.Text)); of.Kind == "checkpoint" && err == nil && c.Size == a.Old {
				return a.Follows(c.Root)
			}
		}
		return errors.New("there is no checkpoint of the old size")
	case "cosigned":
		at, ok := must(ParseWitness(f.Witness)).Cosigned([]byte(v.Text))
		if !ok {
			return wire.Errorf(wire.Tampered, "checkpoint", "it is not cosigned")
		}
		line := must(Cosign([]byte(v.Text), "other.example", wire.NewNodeWitnessSecret([32]byte(must(hex.DecodeString(f.WitnessSeed)))), at))
		if at.Unix() != v.Time || !strings.HasSuffix(v.Text, "\n"+string(line)) {
			return fmt.Errorf("it is cosigned again with %q", line)
		}
		return nil
	case "proof":
		p, err := OpenProof([]byte(v.Text), f.Origin, key)
		if err != nil {
			return err
		}
		for _, leaf := range f.Accepted {
			if leaf.Name == v.Of {
				return p.Verify(must(hex.DecodeString(leaf.Payload)))
			}
		}
		return errors.New("it is about no leaf")
	case "bundle":
		leaves, ok := parseBundle(payload, v.Count)
		if !ok {
			return wire.Errorf(wire.Tampered, "bundle", "it is none")
		}
		return differs("bundle", formatBundle(leaves), v.Payload)
	}
	return fmt.Errorf("kind %q", v.Kind)
}

// TestVectors checks the frozen file against the code, and that the generator still
// makes the same. With -update it writes it first: a changed file is a changed format.
func TestVectors(t *testing.T) {
	path := filepath.Join("..", "docs", "vectors", "log.json")
	var made bytes.Buffer
	e := json.NewEncoder(&made)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(makeLogVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./keyservice -run TestVectors -update writes it)", err)
	}
	if !bytes.Equal(b, made.Bytes()) {
		t.Error("log.json is not what the generator makes: either the format or the file was changed")
	}
	var f logVectors
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	for _, v := range f.Accepted {
		if err := f.check(v); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	for _, v := range f.Refused {
		if err := f.check(v); v.Error == "" || v.Why == "" || !errors.Is(err, v.Error) {
			t.Errorf("%s: got %v, want %s", v.Name, err, v.Error)
		}
	}
}
