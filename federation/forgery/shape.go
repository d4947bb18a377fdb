package forgery

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// times is F7. The limits to the second are in package federation, where the
// clock stands still (TestTimes).
func times() []Forgery {
	at := func(created, expires int64) func(*Pen) {
		return func(p *Pen) { p.Created, p.Expires = p.At(created), p.At(expires) }
	}
	created := func(spell func(now string) string) func(*Pen) {
		return func(p *Pen) { p.Created = spell(p.Created) }
	}
	fixed := func(created, expires string) func(*Pen) {
		return func(p *Pen) { p.Created, p.Expires = created, expires }
	}
	uncovered := func(name string) func(*Pen) {
		return func(p *Pen) { p.Covered = strings.Replace(Covered, name+" ", "", 1) }
	}
	return []Forgery{
		before("F7 301 s old", at(-301, -1)),
		before("F7 301 s old with a long life", at(-301, 60)),
		before("F7 a life of 301 s", at(0, 301)),
		before("F7 a minute ahead", at(60, 120)),
		before("F7 expires before it was created", at(5, 4)),
		before("F7 no life", at(0, 0)),
		before("F7 of 2001", fixed("1000000000", "1000000100")),
		before("F7 ms", func(p *Pen) {
			ms := p.Now.UnixMilli()
			p.Created, p.Expires = strconv.FormatInt(ms, 10), strconv.FormatInt(ms+100, 10)
		}),
		before("F7 created in ms", created(func(now string) string { return now + "000" })),
		before("F7 negative", created(func(string) string { return "-1" })),
		before("F7 both negative", fixed("-100", "-50")),
		before("F7 zero", created(func(string) string { return "0" })),
		before("F7 2^63", created(func(string) string { return "9223372036854775808" })),
		before("F7 expires 2^63", func(p *Pen) { p.Expires = "9223372036854775808" }),
		before("F7 2^63-1", fixed("9223372036854775807", "9223372036854775807")),
		before("F7 expires overflows", fixed("-9223372036854775808", "9223372036854775807")),
		before("F7 empty", created(func(string) string { return "" })),
		before("F7 plus sign", created(func(now string) string { return "+" + now })),
		before("F7 leading zero", created(func(now string) string { return "0" + now })),
		before("F7 quoted", created(func(now string) string { return `"` + now + `"` })),
		before("F7 fraction", created(func(now string) string { return now + ".5" })),
		before("F7 space", created(func(now string) string { return " " + now })),
		before("F7 created not covered", uncovered("(created)")),
		before("F7 expires not covered", uncovered("(expires)")),
		after("F7 created absent", func(r *Request) {
			h := r.Header("Signature")
			i, j := strings.Index(*h, "created="), strings.Index(*h, "expires=")
			*h = (*h)[:i] + (*h)[j:]
		}),
		after("F7 created respelled with zero", edit("created=", "created=0")),
		after("F7 created respelled with plus", edit("created=", "created=+")),
		after("F7 expires respelled with zero", edit("expires=", "expires=0")),
		{Name: "F7 life prolonged", Before: func(p *Pen) { p.Expires = p.At(40) }, After: func(r *Request) {
			h := r.Header("Signature")
			i := strings.Index(*h, "expires=") + len("expires=")
			n, err := strconv.ParseInt((*h)[i:i+10], 10, 64)
			if err != nil {
				panic(err)
			}
			*h = (*h)[:i] + strconv.FormatInt(n+20, 10) + (*h)[i+10:]
		}},
	}
}

// Shapes is F9: other spellings of what was signed, and other lists of what is
// covered.
func Shapes() []Forgery {
	return slices.Concat(headers(), spellings(), nonces(), spareBits(), coverage())
}

func headers() []Forgery {
	first := func(name string) func(*Request) {
		return func(r *Request) { r.Headers = append([][2]string{{name, ""}}, r.Headers...) }
	}
	return []Forgery{
		after("F9 second signature header", func(r *Request) { r.Add("Signature", *r.Header("Signature")) }),
		after("F9 second header, other case", func(r *Request) { r.Add("SIGNATURE", "x") }),
		after("F9 an empty signature first", first("Signature")),
		after("F9 an empty nonce first", first("Peerbrain-Nonce")),
		after("F9 two in one header", func(r *Request) { h := r.Header("Signature"); *h += "," + *h }),
		after("F9 other order", func(r *Request) {
			h := r.Header("Signature")
			p := strings.SplitN(*h, ",", 3)
			*h = p[1] + "," + p[0] + "," + p[2]
		}),
		after("F9 space after comma", edit(`",algorithm`, `", algorithm`)),
		after("F9 parameter twice", edit(`algorithm="hs2019",`, `algorithm="hs2019",algorithm="hs2019",`)),
		after("F9 key id twice", func(r *Request) { h := r.Header("Signature"); *h = `keyId="other.example/x",` + *h }),
		after("F9 unknown parameter", func(r *Request) { *r.Header("Signature") += `,opaque="x"` }),
		after("F9 comma at the end", func(r *Request) { *r.Header("Signature") += "," }),
		after("F9 covered list in capitals", edit("host digest", "Host Digest")),
		after("F9 two spaces", edit("host digest", "host  digest")),
	}
}

// spell writes the signature in another way.
func spell(f func(string) string) func(*Request) {
	return func(r *Request) {
		_, s, _ := strings.Cut(*r.Header("Signature"), `signature="`)
		s = strings.TrimSuffix(s, `"`)
		n := f(s)
		if s == n {
			n += "!"
		}
		edit(`signature="`+s, `signature="`+n)(r)
	}
}

func spellings() []Forgery {
	bytes := func(n int) func(*Request) {
		return spell(func(string) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) })
	}
	return []Forgery{
		after("F9 url alphabet", spell(strings.NewReplacer("+", "-", "/", "_").Replace)),
		after("F9 unpadded", spell(func(s string) string { return strings.TrimRight(s, "=") })),
		after("F9 more padding", spell(func(s string) string { return s + "=" })),
		early(after("F9 line break", spell(func(s string) string { return s[:40] + "\n" + s[40:] }))),
		after("F9 65 bytes", bytes(65)),
		after("F9 63 bytes", bytes(63)),
		after("F9 no bytes", spell(func(string) string { return "" })),
		after("F9 zeros", bytes(64)),
		after("F9 one bit", spell(func(s string) string {
			b, _ := base64.StdEncoding.DecodeString(s)
			b[10] ^= 4
			return base64.StdEncoding.EncodeToString(b)
		})),
	}
}

func nonces() []Forgery {
	return []Forgery{
		before("F9 nonce not covered", func(p *Pen) { p.Covered = strings.TrimSuffix(Covered, " peerbrain-nonce") }),
		after("F9 nonce changed", set("Peerbrain-Nonce", wire.Nonce{1}.String())),
		after("F9 nonce twice", func(r *Request) { r.Add("peerbrain-nonce", wire.Nonce{1}.String()) }),
		after("F9 no nonce", func(r *Request) { r.Drop("Peerbrain-Nonce") }),
		before("F9 short nonce", func(p *Pen) { p.Nonce = p.Nonce[:51] }),
		before("F9 nonce in capitals", func(p *Pen) { p.Nonce = strings.ToUpper(p.Nonce) }),
		before("F9 nonce with spare bits", func(p *Pen) { p.Nonce = p.Nonce[:51] + "b" }),
	}
}

// spareBits are the other spellings of 64 bytes in base64, which has 4 bits to
// spare.
func spareBits() (f []Forgery) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := 1; i < 16; i++ {
		f = append(f, after(fmt.Sprintf("F9 spelling %d", i), spell(func(s string) string {
			last := strings.IndexByte(alphabet, s[85])
			return s[:85] + string(alphabet[last&^15|(last+i)&15]) + s[86:]
		})))
	}
	return f
}

func coverage() (f []Forgery) {
	covers := func(name, list string) {
		f = append(f, before("F9 "+name, func(p *Pen) { p.Covered = list }))
	}
	list := strings.Fields(Covered)
	for i := range list {
		swapped := slices.Clone(list)
		swapped[i], swapped[(i+1)%len(list)] = swapped[(i+1)%len(list)], swapped[i]
		covers(list[i]+" dropped", strings.Join(slices.Delete(slices.Clone(list), i, i+1), " "))
		covers(list[i]+" twice", strings.Join(slices.Insert(slices.Clone(list), i, list[i]), " "))
		covers(list[i]+" reordered", strings.Join(swapped, " "))
	}
	covers("more covered", Covered+" content-type")
	covers("nothing covered", "")
	covers("date only", "date")
	return f
}
