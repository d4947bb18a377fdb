package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestUpdatePrimitives writes the file that TestPrimitives reads.
func TestUpdatePrimitives(t *testing.T) {
	if !*update {
		t.Skip("the vectors are frozen; -update writes them anew")
	}
	cryptotest.SetGlobalRandom(t, 100)
	f := primitiveFile{Comment: "Primitives, and what goes wrong with them; docs/protocol.md. result is valid, invalid, or acceptable: accepted here, and nobody has to. All bytes are hex. " +
		"ed25519: the signature is over label || 0x00 || message. hpke: key is the 32-byte seed of the private key, context the info. hkdf-sha256: the salt is empty, the info is the label. " +
		"sha-256: of label || 0x00 || message. argon2id: parameters that a node names."}
	for _, cases := range [][]primitiveCase{keyCases(), signatureCases(), boxKeyCases(), boxCases(t), chunkCases(), hashCases(), argonCases()} {
		for _, c := range cases {
			if c.Result == "invalid" {
				f.Refused = append(f.Refused, c)
			} else {
				f.Accepted = append(f.Accepted, c)
			}
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorPath(primitivesFile), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func hexed(b []byte) *hexBytes { h := hexBytes(slices.Clone(b)); return &h }

func unhexed(s string) []byte { return must(hex.DecodeString(s)) }

// p and d of edwards25519, and the order of its base point (RFC 8032, section 5.1).
var (
	fieldP  = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD  = new(big.Int).Mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), fieldP)), fieldP)
	orderL  = new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 252), must2("27742317777372353535851937790883648493"))
	torsion = map[int]string{ // points of this order
		1: "0100000000000000000000000000000000000000000000000000000000000000",
		2: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		4: "0000000000000000000000000000000000000000000000000000000000000000",
		8: "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	}
)

func must2(decimal string) *big.Int {
	n, _ := new(big.Int).SetString(decimal, 10)
	return n
}

func numberOf(b []byte) *big.Int {
	r := slices.Clone(b)
	slices.Reverse(r)
	return new(big.Int).SetBytes(r)
}

func littleBytes(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// point is x and y of an encoded point.
func point(b []byte) (x, y *big.Int) {
	y = numberOf(b)
	y.SetBit(y, 255, 0)
	y2 := new(big.Int).Mul(y, y)
	den := new(big.Int).Add(new(big.Int).Mul(curveD, y2), big.NewInt(1))
	x = new(big.Int).Mul(new(big.Int).Sub(y2, big.NewInt(1)), new(big.Int).ModInverse(den.Mod(den, fieldP), fieldP))
	x.ModSqrt(x.Mod(x, fieldP), fieldP)
	if x.Bit(0) != uint(b[31]>>7) {
		x.Sub(fieldP, x)
	}
	return x, y
}

// plus adds two encoded points.
func plus(a, b []byte) []byte {
	x1, y1 := point(a)
	x2, y2 := point(b)
	mul := func(f ...*big.Int) *big.Int {
		r := big.NewInt(1)
		for _, n := range f {
			r.Mod(r.Mul(r, n), fieldP)
		}
		return r
	}
	cross := mul(curveD, x1, x2, y1, y2)
	x := mul(new(big.Int).Add(mul(x1, y2), mul(x2, y1)), new(big.Int).ModInverse(new(big.Int).Add(big.NewInt(1), cross), fieldP))
	under := new(big.Int).Mod(new(big.Int).Sub(big.NewInt(1), cross), fieldP)
	y := mul(new(big.Int).Add(mul(y1, y2), mul(x1, x2)), new(big.Int).ModInverse(under, fieldP))
	sum := littleBytes(y)
	sum[31] |= byte(x.Bit(0)) << 7
	return sum
}

// scalarOf is the private scalar of a seed.
func scalarOf(seed []byte) *big.Int {
	h := sha512.Sum512(seed)
	h[0] &= 248
	h[31] = h[31]&127 | 64
	return numberOf(h[:32])
}

func publicOf(seed []byte) []byte { return ed25519.NewKeyFromSeed(seed)[32:] }

func keyCases() (all []primitiveCase) {
	add := func(result, name, comment string, key []byte) {
		all = append(all, primitiveCase{Name: name, Primitive: "ed25519 key", Result: result, Comment: comment, Key: hexed(key)})
	}
	good := publicOf(hexOf("ed25519"))
	add("valid", "a key", "of a seed", good)
	add("acceptable", "mixed order", "the key plus a point of order 8: it has the order 8 L. Only its owner signs under it, so it is not looked for", plus(good, unhexed(torsion[8])))
	for _, order := range []int{1, 2, 4, 8} {
		add("invalid", fmt.Sprintf("order %d", order), "low order: one signature is valid for many messages", unhexed(torsion[order]))
		if sign := unhexed(torsion[order]); order != 2 {
			sign[31] |= 0x80
			add("invalid", fmt.Sprintf("order %d, other sign", order), "low order, or x = 0 with a sign", sign)
		}
	}
	add("invalid", "y = p", "zero in another form", littleBytes(fieldP))
	add("invalid", "y = p + 1", "one in another form", littleBytes(new(big.Int).Add(fieldP, big.NewInt(1))))
	add("invalid", "y = 2^255 - 1", "above p", bytes.Repeat([]byte{0xff}, 32))
	add("invalid", "y = 2", "no point of the curve", append([]byte{2}, make([]byte, 31)...))
	add("invalid", "31 bytes", "too short", good[:31])
	add("invalid", "33 bytes", "too long", append(slices.Clone(good), 0))
	add("invalid", "no bytes", "too short", nil)
	return all
}

func signatureCases() (all []primitiveCase) {
	seed, message := hexOf("ed25519"), []byte("message")
	add := func(result, name, comment string, key, signature, message []byte) {
		all = append(all, primitiveCase{
			Name: name, Primitive: "ed25519", Result: result, Comment: comment, Key: hexed(key), Label: wire.LabelLogin, Message: hexed(message), Signature: slices.Clone(signature),
		})
	}
	signed := wire.LabelLogin.Message(message)
	key, signature := publicOf(seed), ed25519.Sign(ed25519.NewKeyFromSeed(seed), signed)
	add("valid", "a signature", "", key, signature, message)
	add("valid", "a message of a byte", "", key, ed25519.Sign(ed25519.NewKeyFromSeed(seed), wire.LabelLogin.Message([]byte{0})), []byte{0})
	s, half := numberOf(signature[32:]), signature[:32]
	for _, times := range []int64{1, 2, 8} {
		n := new(big.Int).Add(s, new(big.Int).Mul(orderL, big.NewInt(times)))
		add("invalid", fmt.Sprintf("S + %d L", times), "S is not below L: anybody could make another signature of one", key, slices.Concat(half, littleBytes(n)), message)
	}
	add("invalid", "-S", "the other sign", key, slices.Concat(half, littleBytes(new(big.Int).Sub(orderL, s))), message)
	add("invalid", "S = 0", "", key, slices.Concat(half, make([]byte, 32)), message)
	add("invalid", "S = 0 and R neutral", "", key, slices.Concat(unhexed(torsion[1]), make([]byte, 32)), message)
	add("invalid", "S of ones", "", key, slices.Concat(half, bytes.Repeat([]byte{0xff}, 32)), message)
	add("invalid", "another message", "", key, signature, []byte("massage"))
	add("invalid", "without the label", "over the message alone", key, ed25519.Sign(ed25519.NewKeyFromSeed(seed), message), message)
	add("invalid", "under another label", "of a head query", key, ed25519.Sign(ed25519.NewKeyFromSeed(seed), wire.LabelHeadQuery.Message(message)), message)
	for _, size := range []int{0, 32, 63} {
		add("invalid", fmt.Sprintf("%d bytes", size), "too short; the message follows", key, signature[:size], message)
	}
	add("invalid", "65 bytes", "too long; the message follows", key, append(slices.Clone(signature), 0), message)
	for _, bit := range []int{0, 7, 100, 255, 256, 300, 511} {
		flipped := slices.Clone(signature)
		flipped[bit/8] ^= 1 << (bit % 8)
		add("invalid", fmt.Sprintf("bit %d flipped", bit), "", key, flipped, message)
	}
	// Under a key of mixed order, h times the part of order 8 has to vanish.
	mixed := plus(key, unhexed(torsion[8]))
	have := [2]bool{}
	for i := 0; !have[0] || !have[1]; i++ {
		r := hexOf(fmt.Sprint("r", i))
		digest := sha512.Sum512(slices.Concat(publicOf(r), mixed, signed))
		h := numberOf(digest[:])
		h.Mod(h, orderL)
		sum := new(big.Int).Add(scalarOf(r), new(big.Int).Mul(h, scalarOf(seed)))
		whole := slices.Concat(publicOf(r), littleBytes(sum.Mod(sum, orderL)))
		vanishes := new(big.Int).Mod(h, big.NewInt(8)).Sign() == 0
		switch {
		case vanishes && !have[0]:
			add("acceptable", "mixed order, h divisible by 8", "valid with and without the cofactor", mixed, whole, message)
			have[0] = true
		case !vanishes && !have[1]:
			add("invalid", "mixed order, h not divisible by 8", "valid with the cofactor only; signatures are checked without it", mixed, whole, message)
			have[1] = true
		}
	}
	for i := range all {
		if all[i].Comment == "" {
			all[i].Comment = map[bool]string{true: "does not verify", false: "as it should be"}[all[i].Result == "invalid"]
		}
	}
	return all
}

// lowUs are u-coordinates of low order on Curve25519 and its twist (RFC 7748, section 7),
// and what is the same in another form.
var lowUs = []struct{ name, u string }{
	{"u = 0", "0000000000000000000000000000000000000000000000000000000000000000"},
	{"u = 1", "0100000000000000000000000000000000000000000000000000000000000000"},
	{"u of order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"},
	{"another u of order 8", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"},
	{"u = p - 1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"u = p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"u = p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
}

func boxKeyCases() (all []primitiveCase) {
	secret, _ := EncryptionSecretFromSeed(hexOf("box"))
	public := secret.Public()
	add := func(result, name, comment string, change func(k []byte) []byte) {
		k := change(slices.Clone(public[:]))
		all = append(all, primitiveCase{Name: name, Primitive: "mlkem768-x25519 key", Result: result, Comment: comment, Key: hexed(k)})
	}
	add("valid", "a key", "of a seed", func(k []byte) []byte { return k })
	for _, low := range lowUs {
		add("invalid", low.name, "the X25519 half is of low order, or not canonical: the shared secret would be zero", func(k []byte) []byte { return append(k[:1184], unhexed(low.u)...) })
	}
	add("invalid", "top bit", "the X25519 half is not canonical", func(k []byte) []byte { k[1215] |= 0x80; return k })
	add("invalid", "u = 2^255 - 1", "the X25519 half is not canonical", func(k []byte) []byte {
		return append(k[:1184], append(bytes.Repeat([]byte{0xff}, 31), 0x7f)...)
	})
	for _, at := range []int{0, 600, 1149} {
		add("invalid", fmt.Sprintf("a coefficient of 4095 at byte %d", at), "not below q = 3329 (FIPS 203, section 7.2)", func(k []byte) []byte {
			k[at], k[at+1], k[at+2] = 0xff, 0xff, 0xff
			return k
		})
	}
	add("invalid", "1215 bytes", "too short", func(k []byte) []byte { return k[:1215] })
	add("invalid", "1217 bytes", "too long", func(k []byte) []byte { return append(k, 0) })
	add("invalid", "the halves the other way round", "X25519 first", func(k []byte) []byte { return slices.Concat(k[1184:], k[:1184]) })
	add("invalid", "no bytes", "too short", func([]byte) []byte { return nil })
	return all
}

// boxFrom is HPKE from the shared secrets on: X-Wing's combiner, and the key schedule of
// RFC 9180, section 5.1, in base mode. It makes what no honest sender makes.
func boxFrom(t *testing.T, public []byte, info, plaintext, ephemeral, shared []byte) []byte {
	key, err := mlkem.NewEncapsulationKey768(public[:1184])
	if err != nil {
		t.Fatal(err)
	}
	inner, encapsulated := key.Encapsulate()
	combined := sha3.Sum256(slices.Concat(inner, shared, ephemeral, public[1184:], []byte(`\.//^\`)))
	suite := binary.BigEndian.AppendUint16([]byte("HPKE"), 0x647a)
	suite = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(suite, 1), 3)
	extract := func(salt []byte, label string, ikm []byte) []byte {
		return must(hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"), suite, []byte(label), ikm), salt))
	}
	at := slices.Concat([]byte{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info))
	secret := extract(combined[:], "secret", nil)
	expand := func(label string, size int) []byte {
		labeled := slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(size)), []byte("HPKE-v1"), suite, []byte(label), at)
		return must(hkdf.Expand(sha256.New, secret, string(labeled), size))
	}
	aead := must(chacha20poly1305.New(expand("key", 32)))
	return slices.Concat(encapsulated, ephemeral, aead.Seal(nil, expand("base_nonce", 12), plaintext, nil))
}

func boxCases(t *testing.T) (all []primitiveCase) {
	seed, info, plaintext := hexOf("box"), []byte("info"), hexOf("plaintext")
	secret, _ := EncryptionSecretFromSeed(seed)
	public := secret.Public()
	whole := must(boxSeal("box", public, info, plaintext))
	add := func(result, name, comment string, key, info, sealed []byte) {
		c := primitiveCase{Name: name, Primitive: "hpke", Result: result, Comment: comment, Key: hexed(key), Context: slices.Clone(info), Sealed: hexed(sealed)}
		if result != "invalid" {
			c.Output = plaintext
		}
		all = append(all, c)
	}
	changed := func(change func(b []byte) []byte) []byte { return change(slices.Clone(whole)) }
	ephemeral := hexOf("ephemeral")
	ours := must(curve25519.X25519(ephemeral, curve25519.Basepoint))
	add("valid", "a box", "as our client makes it", seed, info, whole)
	add("valid", "a box from its parts", "X-Wing and the key schedule step by step", seed, info, boxFrom(t, public[:], info, plaintext, ours, must(curve25519.X25519(ephemeral, public[1184:]))))
	for _, low := range lowUs {
		add("invalid", "all-zero shared secret, "+low.name, "the X25519 half of the encapsulation gives zero, and the box is made for that", seed, info,
			boxFrom(t, public[:], info, plaintext, unhexed(low.u), make([]byte, 32)))
	}
	add("invalid", "another X25519 half", "", seed, info, changed(func(b []byte) []byte { copy(b[1088:], ours); return b }))
	for _, at := range []int{0, 500, 1087, 1088, 1119, 1120, 1151, 1152, 1167} {
		add("invalid", fmt.Sprintf("a bit of byte %d flipped", at), "", seed, info, changed(func(b []byte) []byte { b[at] ^= 1; return b }))
	}
	for _, size := range []int{0, 1087, 1088, 1119, 1120, 1135, 1136, 1151, 1167} {
		add("invalid", fmt.Sprintf("cut to %d bytes", size), "", seed, info, whole[:size])
	}
	add("invalid", "a byte more", "", seed, info, append(slices.Clone(whole), 0))
	add("invalid", "another info", "", seed, []byte("Info"), whole)
	add("invalid", "no info", "", seed, nil, whole)
	add("invalid", "another key", "ML-KEM rejects implicitly: the secret is another one", hexOf("another"), info, whole)
	add("invalid", "a tag of zeros", "", seed, info, changed(func(b []byte) []byte { clear(b[1152:]); return b }))
	return commented(all)
}

// commented gives a comment to what has none.
func commented(all []primitiveCase) []primitiveCase {
	for i := range all {
		if all[i].Comment == "" {
			all[i].Comment = "does not open"
		}
	}
	return all
}

func chunkCases() (all []primitiveCase) {
	key, salt := hexOf("key"), [saltSize]byte(hexOf("salt"))
	add := func(result, name, comment string, key, context, sealed, plaintext []byte) {
		all = append(all, primitiveCase{
			Name: name, Primitive: "chunked-encryption", Result: result, Comment: comment, Key: hexed(key), Context: slices.Clone(context), Sealed: hexed(sealed), Output: slices.Clone(plaintext),
		})
	}
	// The info of HKDF is 55 + 24 bytes and the context; around blocks of SHA-512.
	for _, size := range []int{0, 1, 31, 32, 33, 47, 48, 49, 176} {
		at := pattern(size)
		add("valid", fmt.Sprintf("a context of %d bytes", size), "the info of HKDF ends near the end of a block of SHA-512", key, at, must(suite1.seal(salt, key, at, []byte("text"))), []byte("text"))
	}
	context := []byte("context")
	whole := must(suite1.seal(salt, key, context, []byte("text")))
	for i := range whole {
		flipped := slices.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		part := "the ciphertext"
		switch {
		case i < saltSize:
			part = "the salt"
		case i < headerSize:
			part = "the commitment"
		case i >= len(whole)-tagSize:
			part = "the tag"
		}
		add("invalid", fmt.Sprintf("bit %d of byte %d flipped", i%8, i), "in "+part, key, context, flipped, nil)
		add("invalid", fmt.Sprintf("cut to %d bytes", i), "behind it everything is missing", key, context, whole[:i], nil)
	}
	for name, tag := range map[string][]byte{"a tag of zeros": make([]byte, tagSize), "a tag of ones": bytes.Repeat([]byte{0xff}, tagSize)} {
		add("invalid", name, "", key, context, slices.Concat(whole[:len(whole)-tagSize], tag), nil)
	}
	add("invalid", "a byte more", "", key, context, append(slices.Clone(whole), 0), nil)
	add("invalid", "a tag more", "", key, context, slices.Concat(whole, whole[len(whole)-tagSize:]), nil)
	add("invalid", "a key of 31 bytes", "no key", key[:31], context, whole, nil)
	add("invalid", "a key of zeros", "no key", make([]byte, 32), context, must(suite1.seal(salt, make([]byte, 32), context, []byte("text"))), nil)
	// What opens under two keys, but for the commitment, is in seal.json.
	other := hexOf("other key")
	first, second := must(suite1.message(key, salt[:], context)), must(suite1.message(other, salt[:], context))
	add("invalid", "the commitment of another key", "the chunk is sealed under this key, and the commitment is to the other one", key, context,
		slices.Concat(salt[:], second.commitment[:], must(first.seal(nil, []byte("text")))), nil)
	slices.SortStableFunc(all, func(a, b primitiveCase) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return commented(all)
}

func hashCases() (all []primitiveCase) {
	key := hexOf("ikm")
	for _, size := range []int{1, 20, 32, 63, 64, 65, 200} {
		ikm := pattern(size)
		out := derive(ikm, wire.LabelSlotKey)
		all = append(all, primitiveCase{Name: fmt.Sprintf("a key of %d bytes", size), Primitive: "hkdf-sha256", Result: "valid", Comment: "around the block of SHA-256", Key: hexed(ikm), Label: wire.LabelSlotKey, Output: out[:]})
	}
	out := derive(key, wire.LabelSlotKey)
	wrong := func(name, comment string, output []byte) {
		all = append(all, primitiveCase{Name: name, Primitive: "hkdf-sha256", Result: "invalid", Comment: comment, Key: hexed(key), Label: wire.LabelSlotKey, Output: output})
	}
	another := derive(key, wire.LabelLoginSeed)
	wrong("another label", "of the login seed", another[:])
	wrong("without extraction", "HKDF-Expand alone", must(hkdf.Expand(sha256.New, key, string(wire.LabelSlotKey), 32)))
	wrong("a salt", "of 32 bytes of one", must(hkdf.Key(sha256.New, key, bytes.Repeat([]byte{1}, 32), string(wire.LabelSlotKey), 32)))
	wrong("SHA-512", "HKDF-SHA512", must(hkdf.Key(sha512.New, key, nil, string(wire.LabelSlotKey), 32)))
	wrong("the second block", "bytes 32 to 64", must(hkdf.Key(sha256.New, key, nil, string(wire.LabelSlotKey), 64))[32:])
	flipped := slices.Clone(out[:])
	flipped[31] ^= 1
	wrong("a bit flipped", "the last", flipped)

	label := wire.LabelBodyHash
	for _, size := range []int{0, 1, 23, 24, 31, 32, 33, 95, 96, 223, 224, 225, 1000} {
		h := label.Hash(pattern(size))
		all = append(all, primitiveCase{Name: fmt.Sprintf("%d bytes", size), Primitive: "sha-256", Result: "valid", Comment: fmt.Sprintf("%d bytes with label and zero byte", len(label)+1+size), Label: label, Message: hexed(pattern(size)), Output: h[:]})
	}
	message := []byte("message")
	bad := func(name, comment string, sum [32]byte) {
		all = append(all, primitiveCase{Name: name, Primitive: "sha-256", Result: "invalid", Comment: comment, Label: label, Message: hexed(message), Output: sum[:]})
	}
	bad("without the label", "of the message alone", sha256.Sum256(message))
	bad("without the zero byte", "of label and message", sha256.Sum256(slices.Concat([]byte(label), message)))
	bad("SHA-512/256", "of the same bytes", sha512.Sum512_256(label.Message(message)))
	bad("SHA3-256", "of the same bytes", sha3.Sum256(label.Message(message)))
	return all
}

func argonCases() (all []primitiveCase) {
	add := func(result, name, comment string, p wire.Argon2) {
		all = append(all, primitiveCase{Name: name, Primitive: "argon2id", Result: result, Comment: comment, Argon2: &p})
	}
	d := wire.DefaultArgon2
	add("valid", "the parameters of our client", "64 MiB, 3 passes, 1 thread", d)
	add("acceptable", "the most memory", "1 GiB", wire.Argon2{Memory: 1 << 20, Time: d.Time, Threads: d.Threads})
	add("acceptable", "the most passes", "16", wire.Argon2{Memory: d.Memory, Time: 16, Threads: d.Threads})
	add("acceptable", "the most threads", "4", wire.Argon2{Memory: d.Memory, Time: d.Time, Threads: 4})
	add("invalid", "a KiB less", "weaker than what everybody uses", wire.Argon2{Memory: d.Memory - 1, Time: d.Time, Threads: d.Threads})
	add("invalid", "a pass less", "weaker than what everybody uses", wire.Argon2{Memory: d.Memory, Time: d.Time - 1, Threads: d.Threads})
	add("invalid", "no thread", "", wire.Argon2{Memory: d.Memory, Time: d.Time})
	add("invalid", "a KiB too many", "a node could exhaust a device", wire.Argon2{Memory: 1<<20 + 1, Time: d.Time, Threads: d.Threads})
	add("invalid", "17 passes", "a node could exhaust a device", wire.Argon2{Memory: d.Memory, Time: 17, Threads: d.Threads})
	add("invalid", "5 threads", "a node could exhaust a device", wire.Argon2{Memory: d.Memory, Time: d.Time, Threads: 5})
	add("invalid", "zeros", "no parameters at all", wire.Argon2{})
	return commented(all)
}
