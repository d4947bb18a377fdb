package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"golang.org/x/crypto/argon2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

var update = flag.Bool("update", false, "write docs/vectors anew; they are frozen, so only for a new format")

// TestUpdateVectors writes the files that TestVectors reads, from fixed keys and
// fixed randomness.
func TestUpdateVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen; -update writes them anew")
	}
	for i, name := range vectorFiles {
		cryptotest.SetGlobalRandom(t, uint64(i))
		var f vectorFile
		switch name {
		case "seal.json":
			f = sealVectors()
		case "epoch.json":
			f = epochVectors(t)
		case "wrap.json":
			f = wrapVectors(t)
		case "vault.json":
			f = vaultVectors(t)
		case "password.json":
			f = passwordVectors()
		case "recovery.json":
			f = recoveryVectors(t)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorPath(name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func hexOf(name string) hexBytes { b := bytesOf(name); return b[:] }

func messageOf(name string, size int) messageVector {
	v := messageVector{Name: name, Key: hexOf("key"), Context: hexBytes("context"), Salt: hexOf("salt " + name)[:saltSize], PlaintextSize: size}
	sealed := must(suite1.seal([saltSize]byte(v.Salt), v.Key, v.Context, pattern(size)))
	sum := sha256.Sum256(sealed)
	v.SealedSize, v.SealedSHA256 = len(sealed), sum[:]
	if size < 1000 {
		v.Plaintext, v.Sealed = pattern(size), sealed
	}
	return v
}

// object makes a vector of a kind whose sealed bytes are made by seal.
func object(name, kind string, key []byte, place placeVector, opensTo, sealed []byte) objectVector {
	return objectVector{name, kind, key, place, objectKinds[kind].context(place), opensTo, sealed}
}

// refusals are what every kind of object refuses: v with its place, its key or
// its bytes changed.
func refusals(v objectVector, places map[string]placeVector) (all []objectVector) {
	refuse := func(name string, change func(*objectVector)) {
		w := v
		w.Name, w.OpensTo, w.Key, w.Sealed = v.Kind+": "+name, nil, bytes.Clone(v.Key), bytes.Clone(v.Sealed)
		change(&w)
		w.Context = objectKinds[v.Kind].context(w.Place)
		all = append(all, w)
	}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		refuse(name, func(w *objectVector) { w.Place = places[name] })
	}
	refuse("another key", func(w *objectVector) { w.Key[0] ^= 1 })
	refuse("the first bit flipped", func(w *objectVector) { w.Sealed[0] ^= 0x80 })
	refuse("the last bit flipped", func(w *objectVector) { w.Sealed[len(w.Sealed)-1] ^= 1 })
	refuse("a byte short", func(w *objectVector) { w.Sealed = w.Sealed[:len(w.Sealed)-1] })
	refuse("a byte long", func(w *objectVector) { w.Sealed = append(w.Sealed, 0) })
	refuse("nothing", func(w *objectVector) { w.Sealed = hexBytes{} })
	return all
}

// noSecrets are sealed by the right key in the right place, and hold no 32 bytes
// that are a secret. Boxes go to the key that v.Key is the seed of.
func noSecrets(v objectVector) (all []objectVector) {
	for _, no := range []struct {
		name      string
		plaintext []byte
	}{{"nothing sealed", nil}, {"zeros sealed", make([]byte, 32)}, {"31 bytes sealed", v.OpensTo[:31]}, {"33 bytes sealed", append(bytes.Clone(v.OpensTo), 0)}} {
		w := v
		w.Name, w.OpensTo = v.Kind+": "+no.name, nil
		if objectKinds[v.Kind].box {
			w.Sealed = must(boxSeal("x", box(v.Key).public(), v.Context, no.plaintext))
		} else {
			w.Sealed = must(suite1.seal([saltSize]byte(v.Sealed), v.Key, v.Context, no.plaintext))
		}
		all = append(all, w)
	}
	return all
}

// with returns p with change made to a copy.
func with(p placeVector, change func(*placeVector)) placeVector {
	change(&p)
	return p
}

func sealVectors() vectorFile {
	const c = chunkSize + tagSize
	three := headerSize + 3*c + 5 + tagSize
	place := placeVector{Version: 1, Suite: 1, Author: hexOf("author"), KeySeq: 1, Audience: hexOf("audience"), Seq: 7,
		Prev: hexOf("entry before"), Created: 1767225600000, Kind: 2, Epoch: 5}
	h, k := place.header(), must(ContentKeyFromBytes(hexOf("content key")))
	entry := object("a post", "entry", k.Bytes(), place, []byte("hi"), must(SealEntry(&h, k, []byte("hi"))))
	h = place.header()
	longer := object("a post of 253 bytes", "entry", k.Bytes(), place, pattern(253), must(SealEntry(&h, k, pattern(253))))
	f := vectorFile{
		Comment: "Sealed bytes and sealed entries, docs/protocol.md. All bytes are hex. A message without plaintext holds plaintext_size bytes, byte i is i mod 251; " +
			"messages_refused are ranges [from, to) of the sealed bytes of the message named by of, one after the other, or all of it under another key or context.",
		Messages: []messageVector{messageOf("empty", 0), messageOf("a byte", 1), messageOf("a secret", 32), messageOf("one less than a chunk", chunkSize-1),
			messageOf("a chunk", chunkSize), messageOf("one more than a chunk", chunkSize+1), messageOf("three chunks and 5", 3*chunkSize+5), messageOf("300 chunks", 300*chunkSize)},
		MessagesRefused: []cutVector{
			{Name: "nothing", Of: "empty", Ranges: [][2]int{{0, 0}}}, {Name: "no commitment", Of: "empty", Ranges: [][2]int{{0, 24}}}, {Name: "no chunk", Of: "empty", Ranges: [][2]int{{0, 56}}}, {Name: "half a tag", Of: "empty", Ranges: [][2]int{{0, 64}}},
			{Name: "the end is missing", Of: "a chunk", Ranges: [][2]int{{0, headerSize + c}}}, {Name: "the end is missing", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize + 3*c}}},
			{Name: "chunks are swapped", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize}, {headerSize + c, headerSize + 2*c}, {headerSize, headerSize + c}, {headerSize + 2*c, three}}},
			{Name: "a chunk is missing", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize + c}, {headerSize + 2*c, three}}},
			{Name: "a chunk is doubled", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize + c}, {headerSize, three}}},
			{Name: "a chunk in place of another", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize + c}, {headerSize, headerSize + c}, {headerSize + 2*c, three}}},
			{Name: "an early end", Of: "three chunks and 5", Ranges: [][2]int{{0, headerSize + c}, {headerSize + 3*c, three}}},
			{Name: "more behind the end", Of: "three chunks and 5", Ranges: [][2]int{{0, three}, {headerSize + 3*c, three}}},
		},
		Opens: []objectVector{entry, longer},
	}
	for _, n := range []int{0, 252, 253, 508, 509, 1020, 1021, 4092, 4093, 16380, 16381, 32764, 32765, MaxPlaintext} {
		f.Padding = append(f.Padding, paddingVector{"entry", n, entryBuckets.bucket(n), SealedSize(n)})
	}
	for _, n := range []int{0, 4092, 4093, 1<<20 - 4, 1<<20 - 3, MaxVaultPlaintext} {
		f.Padding = append(f.Padding, paddingVector{"vault", n, vaultBuckets.bucket(n), sealedSize(vaultBuckets.bucket(n))})
	}
	f.Refused = refusals(entry, map[string]placeVector{
		"another author":   with(place, func(p *placeVector) { p.Author = hexOf("stranger") }),
		"another audience": with(place, func(p *placeVector) { p.Audience = hexOf("stranger") }),
		"another seq":      with(place, func(p *placeVector) { p.Seq++ }),
		"another time":     with(place, func(p *placeVector) { p.Created++ }),
		"another prev":     with(place, func(p *placeVector) { p.Prev = hexOf("stranger") }),
		"another epoch":    with(place, func(p *placeVector) { p.Epoch-- }),
		"another key seq":  with(place, func(p *placeVector) { p.KeySeq++ }),
		"another kind":     with(place, func(p *placeVector) { p.Kind = 3 }),
	})
	for _, bad := range []struct {
		name   string
		padded []byte
	}{{"no padding", []byte("hi")}, {"padding that is not zero", append([]byte{0, 0, 0, 2, 'h', 'i'}, append(make([]byte, 249), 1)...)},
		{"a bucket too large", append([]byte{0, 0, 0, 2, 'h', 'i'}, make([]byte, 506)...)}, {"a length beyond the end", append([]byte{0, 0, 0, 253}, make([]byte, 252)...)}} {
		h := place.header()
		v := object("entry: "+bad.name, "entry", k.Bytes(), place, nil, must(sealBytes("entry", k.secret, h.Context(), bad.padded)))
		f.Refused = append(f.Refused, v)
	}
	a := f.Messages[2]
	derived, err := hkdf.Expand(sha512.New, a.Key, infoPrefix+suite1.name+"\x00"+string(a.Salt)+string(a.Context), 76)
	if err != nil {
		panic(err)
	}
	f.Derived = []derivedVector{{"what a secret is sealed with", a.Name, derived[:32], derived[32:44], derived[44:]}}
	for _, content := range [][]byte{nil, []byte("hi"), pattern(252)} {
		f.Padded = append(f.Padded, paddedVector{fmt.Sprintf("%d bytes in an entry", len(content)), "entry", content, must(entryBuckets.pad("entry", content))})
	}
	bad := badPadding()
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		if len(bad[name]) < 1000 {
			f.PaddedRefused = append(f.PaddedRefused, paddedVector{Name: name, For: "entry", Padded: bad[name]})
		}
	}
	f.PaddedRefused = append(f.PaddedRefused, paddedVector{Name: "an entry's bucket for a vault", For: "vault", Padded: must(entryBuckets.pad("entry", []byte("hi")))})
	f.KeysRefused = []hexBytes{{}, make(hexBytes, 32), hexOf("key")[:31], append(hexOf("key"), 0)}
	keyA, keyB, salt := hexOf("first key"), hexOf("second key"), hexOf("salt two keys")[:saltSize]
	sealed, seenA, _ := twoKeys(keyA, keyB, salt, hexBytes("context"))
	sum, other := sha256.Sum256(sealed), hexBytes("another")
	f.Messages = append(f.Messages, messageVector{"two keys, the commitment is to this one", keyA, hexBytes("context"), salt, seenA, len(seenA), sealed, len(sealed), sum[:]})
	f.MessagesRefused = append(f.MessagesRefused,
		cutVector{Name: "two keys, the AEAD alone would open it with this one", Of: "two keys, the commitment is to this one", Key: keyB},
		cutVector{Name: "another key", Of: "a secret", Key: hexOf("stranger")},
		cutVector{Name: "another context", Of: "a secret", Context: &other},
		cutVector{Name: "no context", Of: "a secret", Context: new(hexBytes)})
	return f
}

func epochVectors(t *testing.T) vectorFile {
	f := vectorFile{Comment: "Epoch secrets: their keys and commitments, sealed for their author, and as links; docs/protocol.md. All bytes are hex."}
	for _, name := range []string{"epoch 1", "epoch 5"} {
		s := fixed(t, EpochSecretFromBytes, name)
		content, chain := s.Split()
		a, b := content.Commitment(), chain.Commitment()
		f.Epochs = append(f.Epochs, epochVector{s.Bytes(), content.Bytes(), chain.Bytes(), a[:], b[:]})
	}
	newer, older, self := fixed(t, EpochSecretFromBytes, "epoch 5"), fixed(t, EpochSecretFromBytes, "epoch 1"), fixed(t, SelfKeyFromBytes, "self key")
	_, chain := newer.Split()
	place := placeVector{Author: hexOf("author"), Audience: hexOf("audience"), Seq: 5, Prev: hexOf("entry before")}
	secret := object("an epoch secret", "epoch-secret", self.Bytes(), place, newer.Bytes(), must(SealEpochSecret(self, place.epoch(), newer)))
	linked := placeVector{Author: hexOf("author"), Audience: hexOf("audience"), From: 5, To: 1}
	link := object("a link", "link", chain.Bytes(), linked, older.Bytes(), must(SealLink(chain, linked.link(), older)))
	f.Opens = []objectVector{secret, link}
	f.Refused = append(refusals(secret, map[string]placeVector{
		"another author":   with(place, func(p *placeVector) { p.Author = hexOf("stranger") }),
		"another audience": with(place, func(p *placeVector) { p.Audience = hexOf("stranger") }),
		"another seq":      with(place, func(p *placeVector) { p.Seq++ }),
		"another prev":     with(place, func(p *placeVector) { p.Prev = hexOf("stranger") }),
	}), refusals(link, map[string]placeVector{
		"another author":   with(linked, func(p *placeVector) { p.Author = hexOf("stranger") }),
		"another audience": with(linked, func(p *placeVector) { p.Audience = hexOf("stranger") }),
		"another from":     with(linked, func(p *placeVector) { p.From++ }),
		"another to":       with(linked, func(p *placeVector) { p.To++ }),
		"turned round":     with(linked, func(p *placeVector) { p.From, p.To = p.To, p.From }),
	})...)
	f.Refused = append(append(f.Refused, noSecrets(secret)...), noSecrets(link)...)
	secret.Name, link.Name = "epoch-secret: a link in its place", "link: an epoch secret in its place"
	secret.Sealed, link.Sealed, secret.OpensTo, link.OpensTo = link.Sealed, secret.Sealed, nil, nil
	f.Refused = append(f.Refused, secret, link)
	return f
}

func wrapVectors(t *testing.T) vectorFile {
	content, chain := fixed(t, EpochSecretFromBytes, "epoch 5").Split()
	s := fixed(t, EncryptionSecretFromSeed, "reader's key")
	commitment := content.Commitment()
	place := placeVector{Author: hexOf("author"), Audience: hexOf("audience"), Commitment: commitment[:], Reader: hexOf("reader"), KeyStatement: hexOf("key statement")}
	join := func(a, b []byte) []byte { return append(bytes.Clone(a), b...) }
	whole := object("with the past", "wrap", s.Seed(), place, join(content.Bytes(), chain.Bytes()), must(SealWrap(s.Public(), place.wrap(), content, &chain)))
	half := object("without the past", "wrap", s.Seed(), place, join(content.Bytes(), make([]byte, 32)), must(SealWrap(s.Public(), place.wrap(), content, nil)))
	f := vectorFile{
		Comment: "Wraps, in the direction of opening; docs/protocol.md. key is the 32-byte seed of the reader's MLKEM768-X25519 key, context the HPKE info, " +
			"opens_to content key and chain key, zeros for a chain key that is not shared. All bytes are hex.",
		Opens: []objectVector{whole, half},
		Refused: refusals(whole, map[string]placeVector{
			"another author":        with(place, func(p *placeVector) { p.Author = hexOf("stranger") }),
			"another audience":      with(place, func(p *placeVector) { p.Audience = hexOf("stranger") }),
			"another commitment":    with(place, func(p *placeVector) { p.Commitment = hexOf("stranger") }),
			"another reader":        with(place, func(p *placeVector) { p.Reader = hexOf("stranger") }),
			"another key statement": with(place, func(p *placeVector) { p.KeyStatement = hexOf("stranger") }),
		}),
	}
	raw := func(name string, plaintext []byte) objectVector {
		return object("wrap: "+name, "wrap", s.Seed(), place, nil, must(boxSeal("wrap", s.Public(), whole.Context, plaintext)))
	}
	f.Refused = append(f.Refused, raw("not the content key of the commitment", join(hexOf("stranger"), chain.Bytes())), raw("32 bytes", content.Bytes()))
	zero := wire.Commitment(wire.LabelContentCommit.Hash(make([]byte, 32)))
	ofZero := with(place, func(p *placeVector) { p.Commitment = zero[:] })
	at := ofZero.wrap()
	none := must(boxSeal("wrap", s.Public(), context(wire.LabelSealWrap, &at), join(make([]byte, 32), chain.Bytes())))
	f.Refused = append(f.Refused, raw("96 bytes", join(whole.OpensTo, chain.Bytes())), object("wrap: a content key of zeros, with its commitment", "wrap", s.Seed(), ofZero, nil, none))
	return f
}

func vaultVectors(t *testing.T) vectorFile {
	k, slotKey := fixed(t, VaultKeyFromBytes, "vault key"), fixed(t, SlotKeyFromBytes, "slot key")
	_, open, _ := fixedCode("recovery code").Secrets()
	place, account := placeVector{Account: hexOf("account"), Counter: 3}, placeVector{Account: hexOf("account")}
	vault := object("a vault", "vault", k.Bytes(), place, []byte("a vault"), must(SealVault(k, place.vault(), []byte("a vault"))))
	slot := object("a password slot", "password-slot", slotKey.Bytes(), account, k.Bytes(), must(SealPasswordSlot(slotKey, account.slot().Account, k)))
	recovery := object("a recovery slot", "recovery-slot", open.Seed(), account, k.Bytes(), must(SealRecoverySlot(open.Public(), account.slot().Account, k)))
	stranger := map[string]placeVector{"another account": {Account: hexOf("stranger")}}
	f := vectorFile{
		Comment: "Vault and slots; docs/protocol.md. The key of a recovery slot is the 32-byte seed of the recovery encryption key. All bytes are hex.",
		Opens:   []objectVector{vault, slot, recovery},
		Refused: refusals(vault, map[string]placeVector{
			"another account": with(place, func(p *placeVector) { p.Account = hexOf("stranger") }),
			"another counter": with(place, func(p *placeVector) { p.Counter-- }),
		}),
	}
	f.Refused = append(f.Refused, refusals(slot, stranger)...)
	f.Refused = append(f.Refused, refusals(recovery, stranger)...)
	f.Refused = append(append(f.Refused, noSecrets(slot)...), noSecrets(recovery)...)
	for _, bad := range []struct {
		name   string
		padded []byte
	}{{"no padding", []byte("a vault")}, {"padding that is not zero", append([]byte{0, 0, 0, 1, 'a'}, append(make([]byte, 4090), 1)...)}, {"a bucket too large", append([]byte{0, 0, 0, 1, 'a'}, make([]byte, 8187)...)}} {
		f.Refused = append(f.Refused, object("vault: "+bad.name, "vault", k.Bytes(), place, nil, must(suite1.seal([saltSize]byte(vault.Sealed), k.raw(), vault.Context, bad.padded))))
	}
	return f
}

func passwordVectors() vectorFile {
	f := vectorFile{Comment: "Keys from a password; docs/protocol.md. parameters_refused must not be computed. All bytes are hex, passwords are UTF-8."}
	for _, v := range []passwordVector{
		{Password: "correct horse", Handle: "alice", Node: "node.example", Argon2: wire.DefaultArgon2, Random: hexOf("random")},
		{Password: "gr\u00fcne W\u00e4lder \U0001f332", Handle: "b_1", Node: "a.b-c.example", Argon2: wire.Argon2{Memory: 64<<10 + 8, Time: 4, Threads: 2}, Random: make(hexBytes, 32)},
	} {
		address := wire.Address{Handle: v.Handle, Node: v.Node}
		salt := wire.LoginSalt(address, v.Argon2, wire.Nonce(v.Random))
		login, slot, err := DerivePassword([]byte(v.Password), address, v.Argon2, wire.Nonce(v.Random))
		if err != nil {
			panic(err)
		}
		public := login.Public()
		v.Salt, v.LoginSeed, v.LoginPublic, v.SlotKey = salt[:], login.Seed(), public[:], slot.Bytes()
		v.Argon2id = argon2.IDKey([]byte(v.Password), salt[:], v.Argon2.Time, v.Argon2.Memory, uint8(v.Argon2.Threads), 32)
		f.Passwords = append(f.Passwords, v)
	}
	f.ParametersRefused = []wire.Argon2{{Memory: 65535, Time: 3, Threads: 1}, {Memory: 65536, Time: 2, Threads: 1}, {Memory: 65536, Time: 3, Threads: 0},
		{Memory: 1<<20 + 1, Time: 3, Threads: 1}, {Memory: 65536, Time: 17, Threads: 1}, {Memory: 65536, Time: 3, Threads: 5}, {}}
	return f
}

func recoveryVectors(t *testing.T) vectorFile {
	f := vectorFile{Comment: "Recovery codes, what they give, and the self key that they open; docs/protocol.md. The key of a self key is the 32-byte seed of the recovery " +
		"encryption key. All bytes are hex."}
	count := [codeSize]byte{}
	for i := range 32 { // the digits 0 to 31
		for bit := range 5 {
			count[(5*i+bit)/8] |= byte(i) >> (4 - bit) & 1 << (7 - (5*i+bit)%8)
		}
	}
	for _, c := range []RecoveryCode{fixedCode("recovery code"), newCode(&count), newCode(new([codeSize]byte))} {
		sign, open, login := c.Secrets()
		signPublic, openPublic, loginPublic := sign.Public(), open.Public(), login.Public()
		v := codeVector{c.get()[:], c.Reveal(), nil, sign.Seed(), signPublic[:], open.Seed(), openPublic[:], login.Seed(), loginPublic[:]}
		for _, how := range []string{"lower case", "without dashes", "with spaces", "with space around", "O for 0", "l for 1", "I for 1"} {
			v.Typed = append(v.Typed, typed(v.Code)[how])
		}
		f.Codes = append(f.Codes, v)
	}
	code := f.Codes[0].Code
	check := wire.LabelRecoveryCheck.Hash(f.Codes[0].Bytes)
	f.Checksums = []checksumVector{{"of the first code", f.Codes[0].Bytes, check[:], hex.EncodeToString(check[:3])[:5]}}
	f.CodesRefused = []typedVector{{"nothing", ""}, {"one short", code[:len(code)-1]}, {"one long", code + "0"}, {"no checksum", code[:39]},
		{"a letter that does not occur", "U" + code[1:]}, {"two swapped", code[1:2] + code[:1] + code[2:]}, {"a wrong checksum", code[:len(code)-1] + "0"},
		{"points", strings.ReplaceAll(code, "-", ".")}, {"all zero", strings.Repeat("0", codeLength)},
		{"NUL", code + "\x00"}, {"a full-width digit", "\uff18" + code[1:]}, {"a Cyrillic letter", strings.Replace(code, "A", "\u0410", 1)}, {"more than 256 bytes", strings.Repeat(" ", 257-len(code)) + code}}
	for i := range codeLength { // each character is covered by the checksum
		at := i + i/codeGroup
		next := codeAlphabet[(strings.IndexByte(codeAlphabet, code[at])+1)%32]
		f.CodesRefused = append(f.CodesRefused, typedVector{fmt.Sprintf("another character %d", i+1), code[:at] + string(next) + code[at+1:]})
	}
	_, open, _ := fixedCode("recovery code").Secrets()
	self := fixed(t, SelfKeyFromBytes, "self key")
	place := placeVector{Handle: "alice", Node: "node.example", Identity: hexOf("identity")}
	sealed := object("a self key", "self-key", open.Seed(), place, self.Bytes(), must(SealSelfKey(open.Public(), place.selfKey(), self)))
	f.Opens = []objectVector{sealed}
	f.Refused = refusals(sealed, map[string]placeVector{
		"another handle":   with(place, func(p *placeVector) { p.Handle = "alicf" }),
		"another node":     with(place, func(p *placeVector) { p.Node = "node2.example" }),
		"another identity": with(place, func(p *placeVector) { p.Identity = hexOf("stranger") }),
	})
	f.Refused = append(f.Refused, noSecrets(sealed)...)
	return f
}
