package forgery

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

// A frame writes an honest request r so that it is no proper HTTP/1.1, or so that
// two servers would read two things. next is another honest one that may be
// hidden in it.
type frame struct {
	name  string
	write func(r, next Request) string
}

// line returns what adds a header line, as it is, to r.
func line(l string) func(r, next Request) string {
	return func(r, _ Request) string { return strings.Replace(text(r), "\r\n", "\r\n"+l+"\r\n", 1) }
}

// instead returns what replaces old in the text of r.
func instead(old, new string) func(r, next Request) string {
	return func(r, _ Request) string {
		if !strings.Contains(text(r), old) {
			panic("forgery: nothing to replace: " + old)
		}
		return strings.Replace(text(r), old, new, 1)
	}
}

func text(r Request) string { return string(r.Bytes()) }

// chunked has r's body in one chunk, with this header line, whether there is a
// Content-Length beside it or not.
func chunked(l string, length bool, rest func(next Request) string) func(r, next Request) string {
	return func(r, next Request) string {
		if !length {
			r.Drop("Content-Length")
		}
		r.Body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(r.Body), r.Body)
		if rest != nil {
			r.Body = append(r.Body, rest(next)...)
		}
		if length {
			*r.Header("Content-Length") = fmt.Sprint(len(r.Body))
		}
		return line(l)(r, next)
	}
}

// lengths are F12 with another number of bytes, or more than one.
func lengths() []frame {
	length := func(change func(n int) string) func(r, next Request) string {
		return func(r, next Request) string {
			*r.Header("Content-Length") = change(len(r.Body))
			return text(r)
		}
	}
	return []frame{
		{"a longer length", length(func(n int) string { return fmt.Sprint(n + 1) })},
		{"a shorter length", length(func(n int) string { return fmt.Sprint(n - 1) })},
		{"a length of zero", length(func(int) string { return "0" })},
		{"a negative length", length(func(n int) string { return fmt.Sprint(-n) })},
		{"a length with a sign", length(func(n int) string { return fmt.Sprint("+", n) })},
		{"a length in hex", length(func(n int) string { return fmt.Sprintf("0x%x", n) })},
		{"a length with a zero", length(func(n int) string { return fmt.Sprint("0", n) })},
		{"a list of lengths", length(func(n int) string { return fmt.Sprintf("%d, %d", n, n) })},
		{"an empty length", length(func(int) string { return "" })},
		{"a huge length", length(func(int) string { return strings.Repeat("9", 30) })},
		{"another length before", line("Content-Length: 3")},
		{"the same length twice", func(r, _ Request) string {
			r.Add("content-length", *r.Header("Content-Length"))
			return text(r)
		}},
		{"no length", func(r, _ Request) string { r.Drop("Content-Length"); return text(r) }},
		{"the body of two requests", func(r, next Request) string {
			r.SetBody(string(r.Body) + text(next))
			return text(r)
		}},
	}
}

// codings are F12 with a body that is not as it was signed until it is decoded.
func codings() []frame {
	hidden := func(next Request) string { return text(next) }
	return []frame{
		{"chunked", chunked("Transfer-Encoding: chunked", false, nil)},
		{"chunked, in capitals", chunked("TRANSFER-ENCODING: CHUNKED", false, nil)},
		{"chunked, with a tab", chunked("Transfer-Encoding:\tchunked", false, nil)},
		{"chunked, with a space before the colon", chunked("Transfer-Encoding : chunked", false, nil)},
		{"chunked twice", chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", false, nil)},
		{"chunked after identity", chunked("Transfer-Encoding: identity, chunked", false, nil)},
		{"xchunked", chunked("Transfer-Encoding: xchunked", false, nil)},
		{"length and chunks", chunked("Transfer-Encoding: chunked", true, nil)},
		{"length, chunks and a request behind", chunked("Transfer-Encoding: chunked", true, hidden)},
		{"length, folded chunks and a request behind", chunked("Transfer-Encoding:\r\n chunked", true, hidden)},
		{"chunks and a request behind", chunked("Transfer-Encoding: chunked", false, hidden)},
		{"a trailer", chunked("Transfer-Encoding: chunked\r\nTrailer: Digest", false, nil)},
		{"a trailer announced", line("Trailer: Digest")},
		{"gzip announced", line("Content-Encoding: gzip")},
		{"gzip, digest of what is in it", func(r, next Request) string {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(r.Body)
			z.Close()
			r.SetBody(b.String())
			return line("Content-Encoding: gzip")(r, next)
		}},
		{"deflate in Transfer-Encoding", line("Transfer-Encoding: deflate")},
	}
}

// heads are F12 before the body.
func heads() []frame {
	return []frame{
		{"HTTP/1.0", instead("HTTP/1.1", "HTTP/1.0")},
		{"HTTP/1.2", instead("HTTP/1.1", "HTTP/1.2")},
		{"HTTP/2.0", instead("HTTP/1.1", "HTTP/2.0")},
		{"no version", instead(" HTTP/1.1", "")},
		{"the preface of HTTP/2", func(Request, Request) string { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" }},
		{"an upgrade", line("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk")},
		{"absolute form", func(r, _ Request) string { r.Target = "http://" + *r.Header("Host") + r.Target; return text(r) }},
		{"absolute form of another host", func(r, _ Request) string { r.Target = "http://other.example" + r.Target; return text(r) }},
		{"a second Host", line("Host: other.example")},
		{"Host twice", func(r, next Request) string { return line("Host: "+*r.Header("Host"))(r, next) }},
		{"an empty Host first", line("Host:")},
		{"no Host", func(r, _ Request) string { r.Drop("Host"); return text(r) }},
		{"bare line feeds", func(r, _ Request) string { return strings.ReplaceAll(text(r), "\r\n", "\n") }},
		{"a bare line feed", instead("\r\nDigest", "\nDigest")},
		{"a bare carriage return", instead("\r\nDigest", "\rDigest")},
		{"a folded line", line("X-Folded: a\r\n b")},
		{"a line without a name", line(": x")},
		{"a line without a colon", line("nonsense")},
		{"a space before the first line", instead("\r\nHost", "\r\n Host")},
		{"a space before a colon", instead("Digest:", "Digest :")},
		{"a NUL", line("X-Nul: a\x00b")},
		{"a head without end", line("X-Long: " + strings.Repeat("x", 64<<10))},
		{"two spaces in the first line", instead("POST ", "POST  ")},
		{"a tab in the first line", instead("POST ", "POST\t")},
		{"GET with POST in an override", func(r, next Request) string {
			r.Method = "GET"
			return line("X-HTTP-Method-Override: POST")(r, next)
		}},
		{"other path, with ours in X-Original-URL", func(r, next Request) string {
			l := line("X-Original-URL: " + r.Target + "\r\nX-Rewrite-URL: " + r.Target)
			r.Target += "/x"
			return l(r, next)
		}},
		{"other host, with ours in X-Forwarded-Host", func(r, next Request) string {
			l := line("X-Forwarded-Host: " + *r.Header("Host") + "\r\nForwarded: host=" + *r.Header("Host"))
			*r.Header("Host") = "other.example"
			return l(r, next)
		}},
	}
}

// forwarded are headers that proxies believe, and that change nothing here.
var forwarded = [][2]string{
	{"X-Forwarded-Host", "other.example"}, {"X-Forwarded-For", "192.0.2.1"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Port", "1"},
	{"Forwarded", "host=other.example;for=192.0.2.1"}, {"X-Original-URL", "/x"}, {"X-Rewrite-URL", "/x"}, {"X-HTTP-Method-Override", "GET"}, {"Date", "x"},
}

// Framing is F12. A request that was hidden in another was not read: it passes
// afterwards.
func (s *Suite) Framing(t *testing.T) {
	t.Helper()
	for _, route := range s.Routes {
		for _, frames := range [][]frame{lengths(), codings(), heads()} {
			for _, f := range frames {
				next := s.Pen(s.Me, route).Write()
				s.refusesRaw(t, "F12 "+f.name+" to "+route.Path, []byte(f.write(s.Pen(s.Me, route).Write(), next)))
				if !s.Blind {
					s.passes(t, "what was hidden behind "+f.name, route, next)
				}
			}
		}
		if s.Blind {
			continue
		}
		p := s.Pen(s.Me, route)
		p.Extra = forwarded
		s.passes(t, "the honest request with headers of proxies", route, p.Write())
	}
}
