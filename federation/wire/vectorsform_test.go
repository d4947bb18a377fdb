package wire

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// cborVectors are the forms of one small map that are not its encoding, each
// signed by the right key, so that nothing but the form is wrong.
func cborVectors() *vectorFile {
	f := &vectorFile{About: "The deterministic encoding, by the example of a head query: every other form of the map, and every value that does not belong into a member."}
	m := maker{kind: "head-query", label: LabelHeadQuery, key: aliceKey.seed}
	f.Accepted = append(f.Accepted, m.good("a query", headQuery()))
	least, most := headQuery(), headQuery()
	least.Created, most.Created = 0, MaxTime
	f.Accepted = append(f.Accepted, m.good("the least number", least), m.good("the greatest time", most))
	ps := pairs(EncodeCBOR(headQuery()))
	add := func(name string, payload []byte) {
		_, err := OpenHeadQuery(raw(LabelHeadQuery, payload, aliceKey.seed), aliceKey.Public())
		f.Refused = append(f.Refused, m.bad(name, "only the deterministic encoding of the members is accepted", KindOf(err), payload))
	}
	forms := otherForms(ps)
	forms["8 levels deep"] = mapOf(append(slices.Clone(ps[:4]), pair{5, bytes.Repeat([]byte{0x81}, 8)})...)
	forms["4000 levels deep"] = mapOf(append(slices.Clone(ps[:4]), pair{5, bytes.Repeat([]byte{0x81}, 4000)})...)
	forms["an array that claims 2^32 items"] = mapOf(append(slices.Clone(ps[:4]), pair{5, head(4, 1<<32)})...)
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		add(name, forms[name])
	}
	for _, p := range ps {
		values := otherValues(p)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			add(fmt.Sprintf("%s in key %d", name, p.key), with(ps, int(p.key)-1, values[name]))
		}
	}
	return f
}

// orderL is the order of the base point of Ed25519 (RFC 8032, section 5.1).
var orderL, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// scalar reads little-endian bytes, as all numbers of Ed25519 stand.
func scalar(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func scalarBytes(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// withR is the signature that has R for [r]B with r = 0: S is k times the secret
// scalar. It satisfies [8][S]B = [8]R + [8][k]A for every R of low order, and
// [S]B - [k]A is the neutral element.
func withR(r, message []byte, key seed) []byte {
	secret := sha512.Sum512(key.Seed())
	secret[0] &= 248
	secret[31] = secret[31]&127 | 64
	public := key.public()
	k := sha512.Sum512(slices.Concat(r, public[:], message))
	s := new(big.Int).Mul(scalar(k[:]), scalar(secret[:32]))
	return append(bytes.Clone(r), scalarBytes(s.Mod(s, orderL))...)
}

func signatureVectors() *vectorFile {
	f := &vectorFile{About: "Signatures of statements: over label || 0x00 || payload, cofactorless, compared byte by byte. with.zeros: as many zero bytes follow the payload."}
	m := maker{kind: "signature", label: LabelHeadQuery, key: aliceKey.seed}
	payload := EncodeCBOR(headQuery())
	sound := m.good("a signature", headQuery())
	sound.Fields = nil
	signature := unhex(sound.Signature)
	message := LabelHeadQuery.Message(payload)
	other := func(name, why string, signature []byte) vector {
		v := m.vector(name, payload, m.key)
		v.Signature, v.Why, v.Hash = hex.EncodeToString(signature), why, ""
		if why == "" {
			v.Hash = m.label.Hash(payload).String()
		}
		return v
	}
	refuse := func(name, why string, signature []byte) {
		v := other(name, why, signature)
		v.Error = Tampered
		f.Refused = append(f.Refused, v)
	}
	f.Accepted = append(f.Accepted, sound, other("R is the neutral element", "", withR(unhex(lowOrderPoints[0]), message, m.key)))
	plusL := func(times int64) []byte {
		n := new(big.Int).Add(scalar(signature[32:]), new(big.Int).Mul(orderL, big.NewInt(times)))
		return append(bytes.Clone(signature[:32]), scalarBytes(n)...)
	}
	refuse("S + L", "S is below L", plusL(1))
	refuse("S + 8 L", "S is below L", plusL(8))
	refuse("S is L", "S is below L", append(bytes.Clone(signature[:32]), scalarBytes(orderL)...))
	refuse("zeros", "it is no signature", make([]byte, 64))
	for i, point := range lowOrderPoints[1:] {
		refuse(fmt.Sprintf("R of low order, %d", i+2), "only a verifier that multiplies by the cofactor would take it", withR(unhex(point), message, m.key))
	}
	for i, point := range []string{oddPoints[0], oddPoints[4]} {
		refuse(fmt.Sprintf("the neutral element in another form, %d", i+1), "R is compared byte by byte with what is computed", withR(unhex(point), message, m.key))
	}
	for _, bit := range []int{0, 254, 255, 256, 508, 511} {
		refuse(fmt.Sprintf("bit %d flipped", bit), "bits are counted from the lowest of the first byte", flip(signature, bit))
	}
	refuse("R and S swapped", "R stands first", append(bytes.Clone(signature[32:]), signature[:32]...))
	refuse("without the label", "the label is signed too", ed25519.Sign(m.key.key(), payload))
	refuse("without the zero byte", "a zero byte stands between label and payload", ed25519.Sign(m.key.key(), append([]byte(LabelHeadQuery), payload...)))
	digest := sha512.Sum512(message)
	refuse("Ed25519ph", "pure Ed25519 is signed, not the hash", must(m.key.key().Sign(nil, digest[:], &ed25519.Options{Hash: crypto.SHA512})))
	refuse("Ed25519ctx", "pure Ed25519 has no context", must(m.key.key().Sign(nil, message, &ed25519.Options{Context: string(LabelHeadQuery)})))
	foreign := other("another key", "the signature is another person's", signature)
	key := bobKey.Public()
	foreign.PublicKey, foreign.Error = hex.EncodeToString(key[:]), Tampered
	empty := other("no payload", "a statement has more than 64 bytes", raw(LabelHeadQuery, nil, m.key))
	empty.Payload, empty.Error = "", Tampered
	short := other("63 bytes", "a statement has more than 64 bytes", signature[:63])
	short.Payload, short.Error = "", Tampered
	long := make([]byte, MaxStatement+1-64)
	over := other("16385 bytes", "a statement has 16384 bytes at most, its signature included; this one is signed well", raw(LabelHeadQuery, long, m.key)[:64])
	over.Payload, over.Error, over.With = "", TooLarge, map[string]string{"zeros": fmt.Sprint(len(long))}
	most := other("16384 bytes", "", raw(LabelHeadQuery, long[1:], m.key)[:64])
	most.Payload, most.Hash, most.With = "", "", map[string]string{"zeros": fmt.Sprint(len(long) - 1)}
	f.Accepted = append(f.Accepted, most)
	f.Refused = append(f.Refused, foreign, empty, short, over)
	return f
}

// jsonBody has a member of each type that the bodies of the APIs have.
type jsonBody struct {
	Text    string    `json:"text"`
	Node    NodeName  `json:"node"`
	ID      AccountID `json:"id"`
	Bytes   Bytes     `json:"bytes"`
	Number  int64     `json:"number"`
	Count   uint64    `json:"count"`
	List    []Hash    `json:"list"`
	Flag    bool      `json:"flag"`
	Deeper  *jsonBody `json:"deeper"`
	Handle  Handle    `json:"handle"`
	Address Address   `json:"address"`
}

func jsonVectors() *vectorFile {
	f := &vectorFile{About: "Bodies of the APIs. with.body is the text as hex of UTF-8. The members are text; node; id (32 bytes); bytes (base64url); number (signed) and count (not); " +
		"list (of 32 bytes each); flag (true or false); deeper (the same members again); handle; address."}
	add := func(text, why string) {
		v := vector{Name: name(text), Kind: "json", With: map[string]string{"body": hex.EncodeToString([]byte(text))}}
		if why != "" {
			v.Error, v.Why = Invalid, why
			f.Refused = append(f.Refused, v)
			return
		}
		f.Accepted = append(f.Accepted, v)
	}
	each := `{"text":"ok","number":-1,"list":[],"flag":true}`
	f.Accepted = append(f.Accepted, vector{Name: "members of some kinds", Kind: "json", With: map[string]string{"body": hex.EncodeToString([]byte(each))}})
	for _, good := range []string{
		`{}`, ` { "text" : "ok" } `, "\t\n\r{}", `{"text":"a"}`, `{"text":"\\u0000"}`, `{"text":"😀"}`, `{"text":"\ud83d\ude00"}`, `{"t\u0065xt":"a"}`, `{"text":"null"}`, `{"text":"-0"}`, `{"text":""}`,
		`{"text":"ok","node":"node.example"}`, `{"node":"node.example","text":"ok"}`, `{"number":0}`, `{"number":-1}`, `{"number":9007199254740991}`, `{"number":-9007199254740991}`, `{"count":9007199254740991}`,
		`{"bytes":""}`, `{"bytes":"-_-_"}`, `{"list":[]}`, `{"flag":true}`, `{"flag":false}`, `{"deeper":{"deeper":{}}}`, `{"handle":"alice"}`, `{"address":"alice@node.example"}`,
		`{"id":"` + alice.String() + `"}`, `{"list":["` + alice.String() + `"]}`,
	} {
		add(good, "")
	}
	for _, why := range slices.Sorted(maps.Keys(badJSON())) {
		for _, text := range badJSON()[why] {
			add(text, why)
		}
	}
	return f
}

// name shows a text in a vector's name.
func name(text string) string {
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return strings.Trim(fmt.Sprintf("%+q", text), `"`)
}

// badJSON are bodies that are refused, by the reason.
func badJSON() map[string][]string {
	return map[string][]string{
		"it is no JSON":                        {"", " ", `{"text":"a"`, `{"text":"\u00`, `{"text":"a",}`, `{'text':'a'}`, `{text:"a"}`, "{\"text\":\"\n\"}", `{"number":}`},
		"comments are no JSON":                 {`{/* */}`, "{}// x"},
		"another type":                         {"null", "[]", `"ok"`, "1", "true", `{"text":1}`, `{"text":true}`, `{"text":{}}`, `{"text":["ok"]}`, `{"number":"1"}`, `{"number":true}`, `{"number":[1]}`, `{"flag":1}`, `{"list":{}}`, `{"node":["node.example"]}`},
		"an operator is an unknown member":     {`{"$where":"1"}`, `{"text":{"$ne":""}}`, `{"node":{"$gt":""}}`},
		"a member twice":                       {`{"text":"a","text":"a"}`, `{"text":"a","t\u0065xt":"a"}`, `{"x":1,"x":1}`},
		"an unknown member":                    {`{"text":"a","x":1}`, `{"deeper":{"x":1}}`},
		"another case":                         {`{"Text":"a"}`, `{"TEXT":"a"}`, `{"text":"a","Text":"b"}`, `{"t\u212ae":"a"}`, `{"li\u017ft":[]}`},
		"null stands nowhere":                  {`{"text":null}`, `{"node":null}`, `{"list":null}`, `{"list":[null]}`, `{"deeper":null}`, `{"number":null}`},
		"U+0000 stands nowhere":                {`{"text":"a\u0000b"}`, "{\"text\":\"\x00\"}", `{"\u0000":""}`, `{"node":"node.example\u0000"}`},
		"nothing but white space is around it": {`{}{}`, `{}}`, "{}\x00", `{} x`, "\f{}", "\u00a0{}"},
		"a byte order mark, or not UTF-8":      {"\ufeff{}", "{\x00}\x00"},
		"bad UTF-8":                            {"{\"text\":\"\xff\"}", "{\"text\":\"\xc0\xaf\"}", "{\"text\":\"\xed\xa0\x80\"}"},
		"a lone surrogate":                     {`{"text":"\ud800"}`, `{"text":"\udc00"}`, `{"text":"\udc00\ud800"}`},
		"another spelling": {`{"node":"Node.example"}`, `{"handle":"Alice"}`, `{"address":"alice"}`, `{"bytes":"AA=="}`, `{"bytes":"AB"}`, `{"id":"` + strings.ToUpper(alice.String()) + `"}`,
			`{"id":""}`, `{"list":["a"]}`},
		"an integer has one spelling": {`{"number":-0}`, `{"number":1.0}`, `{"number":1.5}`, `{"number":1e0}`, `{"number":1E3}`, `{"number":1e400}`, `{"number":1e-400}`, `{"number":00}`, `{"number":01}`,
			`{"number":-01}`, `{"number":+1}`, `{"number":.5}`, `{"number":1.}`, `{"number":0x10}`, `{"number":NaN}`, `{"number":Infinity}`, `{"number":-}`},
		"above 2^53-1, or below 0 for a count": {`{"number":9007199254740992}`, `{"number":-9007199254740992}`, `{"number":9223372036854775807}`, `{"number":9223372036854775808}`, `{"number":18446744073709551616}`,
			`{"count":9007199254740992}`, `{"count":-1}`, `{"count":18446744073709551615}`},
	}
}

func problemVectors() *vectorFile {
	f := &vectorFile{About: "Bodies of error answers, application/problem+json, and what a reader makes of them: kind, field, detail (made fit to show), seconds to wait (0 for none), status of the kind."}
	add := func(name string, body []byte, kind Kind, field, detail string, retry int64) {
		text := string(body)
		f.Accepted = append(f.Accepted, vector{Name: name, Kind: "problem", Input: &text, With: map[string]string{
			"status": fmt.Sprint(kind.Status()), "kind": string(kind), "field": field, "detail": detail, "retry_after_s": fmt.Sprint(retry),
		}})
	}
	for _, k := range slices.Sorted(maps.Keys(statuses)) {
		if k == Tampered {
			continue // readers alone say so
		}
		if k == Internal || k == Unauthenticated {
			add(string(k), EncodeJSON(ProblemOf(k)), k, "", "", 0)
			continue
		}
		add(string(k), EncodeJSON(ProblemOf(&Error{Kind: k, Field: "field", Detail: "what is wrong", RetryAfter: 1500 * time.Millisecond})), k, "field", "what is wrong", 2)
		add(string(k)+" alone", EncodeJSON(ProblemOf(k)), k, "", "", 0)
	}
	for _, k := range []Kind{"", "made up", Tampered} {
		add(fmt.Sprintf("code %q", k), EncodeJSON(&Problem{Type: "about:blank", Title: "title", Status: 400, Code: k}), Internal, "", "", 0)
	}
	p := Problem{Type: "about:blank", Title: "throttled", Status: 429, Code: Throttled, Field: "a\x1b[2J\nb", Detail: "\u202eb" + strings.Repeat("\u00e9", 500), Retry: 1 << 40}
	add("a hostile node's", EncodeJSON(&p), Throttled, "a?[2J?b", "?b"+strings.Repeat("\u00e9", 398), 86400)
	for _, c := range [][2]string{
		{`{"type":"about:blank","title":"t","status":404,"code":"not_exist","instance":"x"}`, "an unknown member"}, {`{"code":null}`, "null stands nowhere"}, {`not_exist`, "it is no JSON"},
		{`{"code":"not_exist","code":"internal"}`, "a member twice"}, {`{"status":"404"}`, "another type"}, {`{"status":404.0}`, "an integer has one spelling"},
	} {
		f.Refused = append(f.Refused, vector{Name: name(c[0]), Kind: "problem", Input: &c[0], Error: Invalid, Why: c[1]})
	}
	return f
}
