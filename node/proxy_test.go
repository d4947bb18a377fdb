package node

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestForwarded counts whose budget a request takes from: behind a proxy that the
// operator has named that of whom it names, else that of the connection, whatever
// the headers say.
func TestForwarded(t *testing.T) {
	node := func(proxies ...string) (taken func(headers ...string) int) {
		c := devConfig(t)
		c.Dev, c.Name = false, "node.example" // in development budgets are generous
		for _, p := range proxies {
			c.Proxies = append(c.Proxies, netip.MustParsePrefix(p))
		}
		r := runs(t, c)
		return func(headers ...string) (count int) {
			lines := append([]string{"POST " + wire.PathRegister + " HTTP/1.1", "Host: node.example", jsonLine, "Content-Length: 2"}, headers...)
			for range 12 {
				response, body, _ := says(t, strings.TrimPrefix(r.url, "http://"), head(lines...)+"{}")
				switch response.StatusCode {
				case 400:
					count++
				case 429:
				default:
					t.Fatalf("got %d %s", response.StatusCode, body)
				}
			}
			return count
		}
	}
	const whole = 10
	wants := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d of 12 were taken, want %d", what, got, want)
		}
	}
	behind := node("127.0.0.1/32", "10.0.0.0/8")
	wants("one behind the proxy", behind("X-Forwarded-For: 192.0.2.1"), whole)
	wants("another", behind("X-Forwarded-For: 192.0.2.2"), whole)
	wants("the first with something made up in front", behind("X-Forwarded-For: 192.0.2.3, 192.0.2.1"), 0)
	wants("the same in two lines", behind("X-Forwarded-For: 192.0.2.4", "X-Forwarded-For: 192.0.2.2"), 0)
	wants("a third behind two proxies", behind("X-Forwarded-For: 192.0.2.5, 10.1.2.3"), whole)
	wants("the third behind one", behind("X-Forwarded-For: 192.0.2.5"), 0)
	wants("of one network", behind("X-Forwarded-For: 2001:db8::1"), whole)
	wants("of the same network", behind("X-Forwarded-For: 2001:db8::2"), 0)
	wants("by other headers", behind("X-Real-IP: 192.0.2.6", "Forwarded: for=192.0.2.6", "X-Forwarded-Host: 192.0.2.6"), whole)
	wants("by other headers again", behind("X-Real-IP: 192.0.2.7", "Forwarded: for=192.0.2.7", "True-Client-IP: 192.0.2.7"), 0)
	for name, other := range map[string]func(...string) int{"no proxy": node(), "another proxy": node("10.0.0.0/8")} {
		wants(name+", somebody", other("X-Forwarded-For: 192.0.2.1"), whole)
		wants(name+", the same who says to be another", other("X-Forwarded-For: 192.0.2.2"), 0)
		wants(name+", or a proxy", other("X-Forwarded-For: 192.0.2.2, 10.0.0.1"), 0)
	}
}

// TestForwardedNames wants no header to change what the node says of itself.
func TestForwardedNames(t *testing.T) {
	c := devConfig(t)
	c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	r := runs(t, c)
	for _, path := range []string{wire.PathNodeInfoLinks, wire.PathDocument, wire.PathHealth} {
		plain := head("GET "+path+" HTTP/1.1", "Host: a")
		odd := head("GET "+path+" HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1", "Forwarded: host=evil.example;proto=https")
		_, want, _ := says(t, strings.TrimPrefix(r.url, "http://"), plain)
		if _, got, _ := says(t, strings.TrimPrefix(r.url, "http://"), odd); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
