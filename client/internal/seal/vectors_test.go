package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// hexBytes stand in the vectors as lower-case hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// A vectorFile is one file of docs/vectors; each has some of the lists.
type vectorFile struct {
	Comment           string           `json:"comment"`
	Messages          []messageVector  `json:"messages,omitempty"`
	MessagesRefused   []cutVector      `json:"messages_refused,omitempty"`
	Derived           []derivedVector  `json:"derived,omitempty"`
	Padding           []paddingVector  `json:"padding,omitempty"`
	Padded            []paddedVector   `json:"padded,omitempty"`
	PaddedRefused     []paddedVector   `json:"padded_refused,omitempty"`
	KeysRefused       []hexBytes       `json:"keys_refused,omitempty"`
	Epochs            []epochVector    `json:"epochs,omitempty"`
	Passwords         []passwordVector `json:"passwords,omitempty"`
	ParametersRefused []wire.Argon2    `json:"parameters_refused,omitempty"`
	Codes             []codeVector     `json:"codes,omitempty"`
	Checksums         []checksumVector `json:"checksums,omitempty"`
	CodesRefused      []typedVector    `json:"codes_refused,omitempty"`
	Opens             []objectVector   `json:"opens,omitempty"`
	Refused           []objectVector   `json:"refused,omitempty"`
}

// A messageVector is a message that opens. Long ones are given by their size
// (byte i is i mod 251) and the SHA-256 of what they are sealed to.
type messageVector struct {
	Name          string   `json:"name"`
	Key           hexBytes `json:"key"`
	Context       hexBytes `json:"context"`
	Salt          hexBytes `json:"salt"`
	Plaintext     hexBytes `json:"plaintext,omitempty"`
	PlaintextSize int      `json:"plaintext_size"`
	Sealed        hexBytes `json:"sealed,omitempty"`
	SealedSize    int      `json:"sealed_size"`
	SealedSHA256  hexBytes `json:"sealed_sha256"`
}

// A derivedVector is what the key, the salt and the context of a message give.
type derivedVector struct {
	Name       string   `json:"name"`
	Of         string   `json:"of"` // the message
	Key        hexBytes `json:"derived_key"`
	BaseNonce  hexBytes `json:"base_nonce"`
	Commitment hexBytes `json:"commitment"`
}

// A cutVector is a message that does not open: ranges [from, to) of the sealed
// bytes of another message, one after the other, or all of them under another
// key or context.
type cutVector struct {
	Name    string    `json:"name"`
	Of      string    `json:"of"`
	Ranges  [][2]int  `json:"ranges,omitempty"`
	Key     hexBytes  `json:"key,omitempty"`
	Context *hexBytes `json:"context,omitempty"`
}

type paddingVector struct {
	For    string `json:"for"` // entry or vault
	Size   int    `json:"size"`
	Padded int    `json:"padded"`
	Sealed int    `json:"sealed"`
}

// A paddedVector is content and what it is padded to; of what is refused there
// is no content.
type paddedVector struct {
	Name    string   `json:"name"`
	For     string   `json:"for"`
	Content hexBytes `json:"content,omitempty"`
	Padded  hexBytes `json:"padded"`
}

var bucketsFor = map[string]buckets{"entry": entryBuckets, "vault": vaultBuckets}

type epochVector struct {
	Secret            hexBytes `json:"epoch_secret"`
	ContentKey        hexBytes `json:"content_key"`
	ChainKey          hexBytes `json:"chain_key"`
	ContentCommitment hexBytes `json:"content_commitment"`
	ChainCommitment   hexBytes `json:"chain_commitment"`
}

type passwordVector struct {
	Password    string        `json:"password"`
	Handle      wire.Handle   `json:"handle"`
	Node        wire.NodeName `json:"node"`
	Argon2      wire.Argon2   `json:"argon2"`
	Random      hexBytes      `json:"random"`
	Salt        hexBytes      `json:"salt"`
	Argon2id    hexBytes      `json:"argon2id"`
	LoginSeed   hexBytes      `json:"login_seed"`
	LoginPublic hexBytes      `json:"login_public"`
	SlotKey     hexBytes      `json:"slot_key"`
}

type codeVector struct {
	Bytes            hexBytes `json:"bytes"`
	Code             string   `json:"code"`
	Typed            []string `json:"typed"`
	RecoverySeed     hexBytes `json:"recovery_seed"`
	RecoveryPublic   hexBytes `json:"recovery_public"`
	EncryptionSeed   hexBytes `json:"encryption_seed"`
	EncryptionPublic hexBytes `json:"encryption_public"`
	LoginSeed        hexBytes `json:"login_seed"`
	LoginPublic      hexBytes `json:"login_public"`
}

// A checksumVector is the hash of a code's bytes, and its first 20 bits.
type checksumVector struct {
	Name     string   `json:"name"`
	Bytes    hexBytes `json:"bytes"`
	Hash     hexBytes `json:"hash"`
	Checksum string   `json:"checksum"` // 5 digits of hex
}

type typedVector struct {
	Name  string `json:"name"`
	Typed string `json:"typed"`
}

// An objectVector is a sealed object. Key is the key that it is sealed under, or
// the 32-byte seed of the private key that it is sealed to. Context is the
// chunked-encryption context or the HPKE info. OpensTo is without padding, and
// absent from what is refused.
type objectVector struct {
	Name    string      `json:"name"`
	Kind    string      `json:"kind"`
	Key     hexBytes    `json:"key"`
	Place   placeVector `json:"place"`
	Context hexBytes    `json:"context"`
	OpensTo hexBytes    `json:"opens_to,omitempty"`
	Sealed  hexBytes    `json:"sealed"`
}

// A placeVector has the fields of any place, by name.
type placeVector struct {
	Version      uint64        `json:"version,omitempty"`
	Suite        uint64        `json:"suite,omitempty"`
	Author       hexBytes      `json:"author,omitempty"`
	KeySeq       uint64        `json:"key_seq,omitempty"`
	Audience     hexBytes      `json:"audience,omitempty"`
	Seq          uint64        `json:"seq,omitempty"`
	Prev         hexBytes      `json:"prev,omitempty"`
	Created      int64         `json:"created,omitempty"`
	Kind         uint64        `json:"entry_kind,omitempty"`
	Epoch        uint64        `json:"epoch,omitempty"`
	From         uint64        `json:"from,omitempty"`
	To           uint64        `json:"to,omitempty"`
	Commitment   hexBytes      `json:"commitment,omitempty"`
	Reader       hexBytes      `json:"reader,omitempty"`
	KeyStatement hexBytes      `json:"key_statement,omitempty"`
	Account      hexBytes      `json:"account,omitempty"`
	Counter      uint64        `json:"counter,omitempty"`
	Handle       wire.Handle   `json:"handle,omitempty"`
	Node         wire.NodeName `json:"node,omitempty"`
	Identity     hexBytes      `json:"identity,omitempty"`
}

func (p placeVector) header() wire.EntryHeader {
	return wire.EntryHeader{
		Version: p.Version, Suite: p.Suite, Author: [32]byte(p.Author), KeySeq: p.KeySeq, Audience: [32]byte(p.Audience), Seq: p.Seq,
		Prev: [32]byte(p.Prev), Created: p.Created, Kind: wire.EntryKind(p.Kind), Epoch: p.Epoch,
	}
}

func (p placeVector) epoch() EpochPlace {
	return EpochPlace{[32]byte(p.Author), [32]byte(p.Audience), p.Seq, [32]byte(p.Prev)}
}

func (p placeVector) link() LinkPlace {
	return LinkPlace{[32]byte(p.Author), [32]byte(p.Audience), p.From, p.To}
}

func (p placeVector) wrap() WrapPlace {
	return WrapPlace{[32]byte(p.Author), [32]byte(p.Audience), [32]byte(p.Commitment), [32]byte(p.Reader), [32]byte(p.KeyStatement)}
}

func (p placeVector) vault() VaultPlace { return VaultPlace{[32]byte(p.Account), p.Counter} }

func (p placeVector) slot() slotPlace { return slotPlace{[32]byte(p.Account)} }

func (p placeVector) selfKey() SelfKeyPlace {
	return SelfKeyPlace{wire.Address{Handle: p.Handle, Node: p.Node}, [32]byte(p.Identity)}
}

// An objectKind says how objects of one kind are bound and opened.
type objectKind struct {
	name    string // in errors
	context func(placeVector) []byte
	open    func(key []byte, p placeVector, sealed []byte) ([]byte, error)
	pad     *buckets // nil without padding
	box     bool     // sealed to a public key
}

func contextBy[P any](l wire.Label, place func(placeVector) P) func(placeVector) []byte {
	return func(p placeVector) []byte { at := place(p); return context(l, &at) }
}

type hasBytes interface{ Bytes() []byte }

func bytesIn[T hasBytes](k T, err error) ([]byte, error) { return k.Bytes(), err }

func box(seed []byte) EncryptionSecret { return must(EncryptionSecretFromSeed(seed)) }

func recoveryBox(seed []byte) RecoveryEncryptionSecret { return RecoveryEncryptionSecret(box(seed)) }

var objectKinds = map[string]objectKind{
	"entry": {"entry", func(p placeVector) []byte { h := p.header(); return h.Context() },
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			h := p.header()
			h.BodyHash, h.BodySize = wire.BodyHash(sealed), uint64(len(sealed))
			return OpenEntry(&h, must(ContentKeyFromBytes(key)), sealed)
		}, &entryBuckets, false},
	"epoch-secret": {"epoch secret", contextBy(wire.LabelSealSelfSecret, placeVector.epoch),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return bytesIn(OpenEpochSecret(must(SelfKeyFromBytes(key)), p.epoch(), sealed))
		}, nil, false},
	"link": {"link", contextBy(wire.LabelSealLink, placeVector.link),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return bytesIn(OpenLink(must(ChainKeyFromBytes(key)), p.link(), sealed))
		}, nil, false},
	"wrap": {"wrap", contextBy(wire.LabelSealWrap, placeVector.wrap),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			content, chain, err := OpenWrap(box(key), p.wrap(), sealed)
			if chain == nil {
				return append(content.Bytes(), make([]byte, 32)...), err
			}
			return append(content.Bytes(), chain.Bytes()...), err
		}, nil, true},
	"vault": {"vault", contextBy(wire.LabelSealVault, placeVector.vault),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return OpenVault(must(VaultKeyFromBytes(key)), p.vault(), sealed)
		}, &vaultBuckets, false},
	"password-slot": {"password slot", contextBy(wire.LabelSealSlot, placeVector.slot),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return bytesIn(OpenPasswordSlot(must(SlotKeyFromBytes(key)), p.slot().Account, sealed))
		}, nil, false},
	"recovery-slot": {"recovery slot", contextBy(wire.LabelSealRecovery, placeVector.slot),
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return bytesIn(OpenRecoverySlot(recoveryBox(key), p.slot().Account, sealed))
		}, nil, true},
	"self-key": {"self key", func(p placeVector) []byte { return p.selfKey().info() },
		func(key []byte, p placeVector, sealed []byte) ([]byte, error) {
			return bytesIn(OpenSelfKey(recoveryBox(key), p.selfKey(), sealed))
		}, nil, true},
}

var vectorFiles = []string{"seal.json", "epoch.json", "wrap.json", "vault.json", "password.json", "recovery.json"}

func vectorPath(name string) string {
	return filepath.Join("..", "..", "..", "docs", "vectors", name)
}

func readVectors(t testing.TB, name string) (f vectorFile) {
	t.Helper()
	raw, err := os.ReadFile(vectorPath(name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// TestVectors checks every frozen case: what opens, in both directions where the
// salt makes that possible, and what is refused.
func TestVectors(t *testing.T) {
	n := map[string]int{}
	for _, name := range vectorFiles {
		t.Run(name, func(t *testing.T) {
			f := readVectors(t, name)
			checkMessages(t, f, n)
			checkPadding(t, f, n)
			for _, k := range f.KeysRefused {
				n["keys"]++
				if _, err := secretFrom("key", k); err == nil {
					t.Errorf("key %x: accepted", k)
				}
			}
			for _, v := range f.Epochs {
				n["epochs"]++
				checkEpoch(t, v)
			}
			for _, v := range f.Passwords {
				n["passwords"]++
				checkPassword(t, v)
			}
			for _, p := range f.ParametersRefused {
				n["parameters"]++
				_, _, err := DerivePassword([]byte("correct horse"), alice, p, wire.Nonce{})
				wantKind(t, wire.Invalid, err)
			}
			checkCodes(t, f, n)
			for _, v := range f.Opens {
				n[v.Kind]++
				checkObject(t, v)
			}
			for _, v := range f.Refused {
				n["no "+v.Kind]++
				_, err := objectKinds[v.Kind].open(v.Key, v.Place, v.Sealed)
				if err == nil {
					t.Errorf("%s: opens", v.Name)
				}
				wantTampered(t, objectKinds[v.Kind].name, err)
			}
		})
	}
	for _, what := range []string{"messages", "cuts", "padding", "padded", "not padded", "keys", "derived", "checksums", "epochs", "passwords", "parameters", "codes", "no codes"} {
		if n[what] == 0 {
			t.Errorf("the vectors have no %s", what)
		}
	}
	for kind := range objectKinds {
		if n[kind] == 0 || n["no "+kind] == 0 {
			t.Errorf("%s: %d open and %d are refused, want some of each", kind, n[kind], n["no "+kind])
		}
	}
}

func checkMessages(t *testing.T, f vectorFile, n map[string]int) {
	sealed := map[string]messageVector{}
	for _, v := range f.Messages {
		n["messages"]++
		plaintext := []byte(v.Plaintext)
		if plaintext == nil {
			plaintext = pattern(v.PlaintextSize)
		}
		b := must(suite1.seal([saltSize]byte(v.Salt), v.Key, v.Context, plaintext))
		sum := sha256.Sum256(b)
		wantBytes(t, v.Name, sum[:], v.SealedSHA256)
		if v.Sealed != nil {
			wantBytes(t, v.Name, b, v.Sealed)
		}
		if len(b) != v.SealedSize || len(plaintext) != v.PlaintextSize {
			t.Errorf("%s: %d bytes sealed as %d", v.Name, len(plaintext), len(b))
		}
		opened, err := suite1.open(v.Key, v.Context, b)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		wantBytes(t, v.Name, opened, plaintext)
		v.Sealed = b
		sealed[v.Name] = v
	}
	for _, v := range f.Derived {
		n["derived"]++
		of := sealed[v.Of]
		m := must(suite1.message(of.Key, of.Salt, of.Context))
		wantBytes(t, v.Name+": base nonce", m.base[:], v.BaseNonce)
		wantBytes(t, v.Name+": commitment", m.commitment[:], v.Commitment)
		aead, plaintext := must(suite1.aead(v.Key)), []byte(of.Plaintext)
		wantBytes(t, v.Name+": derived key", aead.Seal(nil, v.BaseNonce, plaintext, nil), of.Sealed[headerSize:])
	}
	for _, v := range f.MessagesRefused {
		n["cuts"]++
		of := sealed[v.Of]
		b := []byte(of.Sealed)
		if v.Ranges != nil {
			b = nil
			for _, r := range v.Ranges {
				b = append(b, of.Sealed[r[0]:r[1]]...)
			}
		}
		if v.Key != nil {
			of.Key = v.Key
		}
		if v.Context != nil {
			of.Context = *v.Context
		}
		if _, err := suite1.open(of.Key, of.Context, b); err == nil || of.Sealed == nil {
			t.Errorf("%s: opens", v.Name)
		}
	}
}

func checkPadding(t *testing.T, f vectorFile, n map[string]int) {
	for _, v := range f.Padding {
		n["padding"]++
		b := bucketsFor[v.For]
		if got := b.bucket(v.Size); got != v.Padded || sealedSize(got) != v.Sealed {
			t.Errorf("%s of %d bytes: padded to %d and sealed as %d, want %d and %d", v.For, v.Size, got, sealedSize(got), v.Padded, v.Sealed)
		}
	}
	for _, v := range f.Padded {
		n["padded"]++
		wantBytes(t, v.Name, must(bucketsFor[v.For].pad("x", v.Content)), v.Padded)
		wantBytes(t, v.Name, must(bucketsFor[v.For].unpad("x", v.Padded)), v.Content)
	}
	for _, v := range f.PaddedRefused {
		n["not padded"]++
		if _, err := bucketsFor[v.For].unpad("x", v.Padded); err == nil {
			t.Errorf("%s: accepted", v.Name)
		}
	}
}

func checkEpoch(t *testing.T, v epochVector) {
	content, chain := must(EpochSecretFromBytes(v.Secret)).Split()
	a, b := content.Commitment(), chain.Commitment()
	wantBytes(t, "content key", content.Bytes(), v.ContentKey)
	wantBytes(t, "chain key", chain.Bytes(), v.ChainKey)
	wantBytes(t, "content commitment", a[:], v.ContentCommitment)
	wantBytes(t, "chain commitment", b[:], v.ChainCommitment)
}

func checkPassword(t *testing.T, v passwordVector) {
	address := wire.Address{Handle: v.Handle, Node: v.Node}
	salt := wire.LoginSalt(address, v.Argon2, wire.Nonce(v.Random))
	wantBytes(t, "salt", salt[:], v.Salt)
	wantBytes(t, "argon2id", argon2.IDKey([]byte(v.Password), v.Salt, v.Argon2.Time, v.Argon2.Memory, uint8(v.Argon2.Threads), 32), v.Argon2id)
	login, slot, err := DerivePassword([]byte(v.Password), address, v.Argon2, wire.Nonce(v.Random))
	if err != nil {
		t.Fatal(err)
	}
	public := login.Public()
	wantBytes(t, "login seed", login.Seed(), v.LoginSeed)
	wantBytes(t, "login public", public[:], v.LoginPublic)
	wantBytes(t, "slot key", slot.Bytes(), v.SlotKey)
}

func checkCodes(t *testing.T, f vectorFile, n map[string]int) {
	for _, v := range f.Codes {
		n["codes"]++
		for _, s := range append(v.Typed, v.Code) {
			c, err := ParseRecoveryCode(s)
			if err != nil || c.Reveal() != v.Code {
				t.Errorf("%q: got %q and error %v", s, c.Reveal(), err)
				continue
			}
			wantBytes(t, "bytes", c.get()[:], v.Bytes)
		}
		sign, open, login := must(ParseRecoveryCode(v.Code)).Secrets()
		signPublic, openPublic, loginPublic := sign.Public(), open.Public(), login.Public()
		wantBytes(t, "recovery seed", sign.Seed(), v.RecoverySeed)
		wantBytes(t, "recovery public", signPublic[:], v.RecoveryPublic)
		wantBytes(t, "encryption seed", open.Seed(), v.EncryptionSeed)
		wantBytes(t, "encryption public", openPublic[:], v.EncryptionPublic)
		wantBytes(t, "login seed", login.Seed(), v.LoginSeed)
		wantBytes(t, "login public", loginPublic[:], v.LoginPublic)
	}
	for _, v := range f.Checksums {
		n["checksums"]++
		check := wire.LabelRecoveryCheck.Hash(v.Bytes)
		wantBytes(t, v.Name, check[:], v.Hash)
		if got := hex.EncodeToString(check[:3])[:5]; got != v.Checksum {
			t.Errorf("%s: the checksum is %s", v.Name, got)
		}
	}
	for _, v := range f.CodesRefused {
		n["no codes"]++
		if _, err := ParseRecoveryCode(v.Typed); err == nil {
			t.Errorf("%s, %q: accepted", v.Name, v.Typed)
		}
	}
}

func checkObject(t *testing.T, v objectVector) {
	k := objectKinds[v.Kind]
	wantBytes(t, v.Name+": context", k.context(v.Place), v.Context)
	got, err := k.open(v.Key, v.Place, v.Sealed)
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
	}
	wantBytes(t, v.Name, got, v.OpensTo)
	if k.box {
		return
	}
	plaintext := []byte(v.OpensTo)
	if k.pad != nil {
		plaintext = must(k.pad.pad("x", plaintext))
	}
	wantBytes(t, v.Name+": sealed again", must(suite1.seal([saltSize]byte(v.Sealed), v.Key, v.Context, plaintext)), v.Sealed)
}
