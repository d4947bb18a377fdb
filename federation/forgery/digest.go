package forgery

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

func md5Digest(s string) string {
	sum := md5.Sum([]byte(s))
	return "MD5=" + base64.StdEncoding.EncodeToString(sum[:])
}

func body(s string) func(*Request) { return func(r *Request) { r.SetBody(s) } }

// Digests is F5: the body, its digest, and what else says how it is to be read.
func Digests(route Route) []Forgery {
	without := strings.Replace(Covered, " digest", "", 1)
	respell := func(f func(right string) string) func(*Pen) {
		return func(p *Pen) { p.Digest = f(digest(p.Body)) }
	}
	return append([]Forgery{
		after("F5 body swapped", body(route.Other)),
		after("F5 body emptied", body("")),
		after("F5 body longer", body(route.Body+" ")),
		{Name: "F5 body added to an empty one", Before: func(p *Pen) { p.Body = "" }, After: body(route.Body)},
		after("F5 body and digest swapped", func(r *Request) {
			r.SetBody(route.Other)
			*r.Header("Digest") = "SHA-256=" + digest(route.Other)
		}),
		before("F5 digest of another body, signed", func(p *Pen) { p.Digest = "SHA-256=" + strings.Repeat("A", 43) + "=" }),
		after("F5 no digest", func(r *Request) { r.Drop("Digest") }),
		{Name: "F5 no digest, not covered", Before: func(p *Pen) { p.Covered = without }, After: func(r *Request) { r.Drop("Digest") }},
		before("F5 digest not covered", func(p *Pen) { p.Covered = without }),
		{Name: "F5 body swapped, digest not covered", Before: func(p *Pen) { p.Covered = without }, After: body(route.Other)},
		after("F5 digest twice", func(r *Request) { r.Add("Digest", *r.Header("Digest")) }),
		before("F5 digest listed twice", respell(func(d string) string { return "SHA-256=" + d + ",SHA-256=" + d })),
		before("F5 md5", func(p *Pen) { p.Digest = md5Digest(p.Body) }),
		before("F5 md5 beside", func(p *Pen) { p.Digest = "SHA-256=" + digest(p.Body) + "," + md5Digest(p.Body) }),
		before("F5 sha-256 in lower case", respell(func(d string) string { return "sha-256=" + d })),
		before("F5 digest unpadded", respell(func(d string) string { return "SHA-256=" + strings.TrimRight(d, "=") })),
		before("F5 digest in base64url", func(p *Pen) {
			p.Body = `{"k":50}` // its digest has both + and /
			p.Digest = "SHA-256=" + strings.NewReplacer("+", "-", "/", "_").Replace(digest(p.Body))
			if !strings.Contains(p.Digest, "_") {
				panic("forgery: choose another body")
			}
		}),
		before("F5 digest in hex", func(p *Pen) { p.Digest = fmt.Sprintf("SHA-256=%x", sha256.Sum256([]byte(p.Body))) }),
		after("F5 empty digest", set("Digest", "")),
	}, readings()...)
}

// readings would have the body read in another way than it was signed.
func readings() []Forgery {
	extra := func(name, value string) func(*Pen) {
		return func(p *Pen) { p.Extra = [][2]string{{name, value}} }
	}
	return []Forgery{
		early(after("F5 content length differs", func(r *Request) {
			r.Headers = append([][2]string{{"Content-Length", "3"}}, r.Headers...)
		})),
		early(before("F5 content encoding", extra("Content-Encoding", "gzip"))),
		early(before("F5 identity encoding", extra("content-encoding", "identity"))),
		early(before("F5 transfer encoding", extra("Transfer-Encoding", "chunked"))),
		early(before("F5 trailer", extra("Trailer", "Digest"))),
		early(before("F5 other content type", func(p *Pen) { p.ContentType = "text/plain" })),
		early(before("F5 content type with charset", func(p *Pen) { p.ContentType += "; charset=utf-8" })),
		early(after("F5 no content type", func(r *Request) { r.Drop("Content-Type") })),
	}
}
