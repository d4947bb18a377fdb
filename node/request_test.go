package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestParseHeaders holds the reader to one form of a header line. Much of this
// the server below refuses as well; nothing here relies on it.
func TestParseHeaders(t *testing.T) {
	for _, raw := range []string{
		"Host: a", "Host: a\n", "Host: a\r\nx", "Host\r\n", "Ho st: a\r\n", ": a\r\n", " Host: a\r\n", "Host : a\r\n", "Host: a\rb\r\n", "Host: a\nb\r\n",
		"Host: a\x00\r\n", "Host: a\r\n\r\nGET / HTTP/1.1\r\n", "H\xc3\xb6st: a\r\n",
	} {
		if got, err := parseHeaders(raw); err == nil {
			t.Errorf("%q is read as %q", raw, got)
		}
	}
	got, err := parseHeaders("Host: a.example\r\nX:\t b \r\nx:\r\n\r\n")
	if want := [][2]string{{"Host", "a.example"}, {"X", "b"}, {"x", ""}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestHeadIsClear holds check to the one request that a head can mean.
func TestHeadIsClear(t *testing.T) {
	for name, c := range map[string]struct {
		headers string
		target  string
		version string
		method  string
		want    wire.Kind
	}{
		"as it should be":  {},
		"another version":  {version: "HTTP/1.0", want: wire.Invalid},
		"no host":          {headers: "X: y", want: wire.Invalid},
		"an empty host":    {headers: "Host: ", want: wire.Invalid},
		"two hosts":        {headers: "Host: a.example\r\nhost: a.example", want: wire.Invalid},
		"two lengths":      {headers: "Host: a\r\nContent-Length: 0\r\nContent-Length: 0", want: wire.Invalid},
		"no number":        {headers: "Host: a\r\nContent-Length: +1", want: wire.Invalid},
		"a large number":   {headers: "Host: a\r\nContent-Length: 9223372036854775808", want: wire.Invalid},
		"a body of a GET":  {headers: "Host: a\r\nContent-Length: 1\r\nContent-Type: application/json", want: wire.Invalid},
		"a body of a POST": {headers: "Host: a\r\nContent-Length: 1\r\nContent-Type: application/json", method: "POST"},
		"chunks":           {headers: "Host: a\r\nTransfer-Encoding: chunked", method: "POST", want: wire.Invalid},
		"a trailer":        {headers: "Host: a\r\nTrailer: X", want: wire.Invalid},
		"an upgrade":       {headers: "Host: a\r\nUpgrade: h2c", want: wire.Invalid},
		"a packed body":    {headers: "Host: a\r\nContent-Encoding: gzip", want: wire.Media},
		"a form":           {headers: "Host: a\r\nContent-Length: 1\r\nContent-Type: text/plain", method: "POST", want: wire.Media},
		"no type":          {headers: "Host: a\r\nContent-Length: 1", method: "POST", want: wire.Media},
		"two types":        {headers: "Host: a\r\nContent-Length: 1\r\nContent-Type: application/json\r\nContent-Type: application/json", method: "POST", want: wire.Media},
		"no path":          {target: "v1/feed", want: wire.Invalid},
		"a whole URL":      {target: "http://a/v1/feed", want: wire.Invalid},
		"an empty query":   {target: "/v1/feed?", want: wire.Invalid},
		"two queries":      {target: "/v1/feed?a=b?c", want: wire.Invalid},
		"an escape":        {target: "/v1/f%65ed", want: wire.Invalid},
		"a dot":            {target: "/v1/./feed", want: wire.NotExist},
		"two dots":         {target: "/v1/../feed", want: wire.NotExist},
		"two strokes":      {target: "/v1//feed", want: wire.NotExist},
		"a stroke behind":  {target: "/v1/feed/", want: wire.NotExist},
		"the root":         {target: "/"},
	} {
		r := &incoming{method: c.method, target: c.target}
		r.headers = must(parseHeaders(strings.TrimSpace(c.headers+"\r\nAccept: x") + "\r\n"))
		if c.headers == "" {
			r.headers = must(parseHeaders("Host: a.example\r\n"))
		}
		if r.method == "" {
			r.method = "GET"
		}
		if r.target == "" {
			r.target = "/v1/feed?limit=1"
		}
		if c.version == "" {
			c.version = "HTTP/1.1"
		}
		if err := r.check(c.version); (c.want != "" || err != nil) && wire.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// TestQueryIsClear: each parameter once, with one value, in one spelling.
func TestQueryIsClear(t *testing.T) {
	for query, ok := range map[string]bool{
		"limit=1": true, "limit=100": true, "limit=0": false, "limit=101": false, "limit=01": false, "limit=-1": false, "limit=x": false,
		"limit=": false, "limit": false, "limit=1&limit=1": false, "limit=1=2": false, "other=1": false, "limit=1&": false, "limit=18446744073709551616": false,
		"before=a": true, "before=": false, "before": false, "before=a=b": false, "before=a&limit=1": true,
	} {
		r := &incoming{target: "/v1/feed?" + query}
		err := r.readQuery([]string{"limit", "before"})
		if err == nil {
			_, err = r.limit()
		}
		if (err == nil) != ok || err != nil && wire.KindOf(err) != wire.Invalid {
			t.Errorf("%s: got %v", query, err)
		}
	}
}

// TestTokenIsClear: a session is named in one way, by one header.
func TestTokenIsClear(t *testing.T) {
	token := wire.NewToken([32]byte{1}).Reveal()
	for header, ok := range map[string]bool{
		"Authorization: Bearer " + token + "\r\n": true,
		"authorization: Bearer " + token + "\r\n": true,
		"X: y\r\n":                                 false,
		"Authorization: " + token + "\r\n":         false,
		"Authorization: bearer " + token + "\r\n":  false,
		"Authorization: Bearer  " + token + "\r\n": false,
		"Authorization: Basic " + token + "\r\n":   false,
		"Authorization: Bearer " + token + "\r\nAuthorization: Bearer " + token + "\r\n": false,
	} {
		r := &incoming{headers: must(parseHeaders(header))}
		got, err := r.token()
		if (err == nil) != ok || err != nil && wire.KindOf(err) != wire.Unauthenticated || err == nil && got.Reveal() != token {
			t.Errorf("%q: got %v", header, err)
		}
	}
}
