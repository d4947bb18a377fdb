package wire

import (
	"regexp"
	"strings"
	"testing"
)

func TestHandle(t *testing.T) {
	good := []string{"a", "0", "alice", "a_b", "a__b", "0x", strings.Repeat("a", 32), "xn", "a1_9z"}
	bad := []string{
		"", "_", "_a", "a_", "Alice", "alicE", "a b", " a", "a ", "a\n", "a\x00", "a-b", "a.b", "a@b", "a/b", `a\b`, "a%2e", "%2e%2e", "..",
		strings.Repeat("a", 33), "ａ", "é", "е", "ı", "K", "a\u200b", "a\xff", "$where", "\ufeffa",
	}
	for _, s := range good {
		if h, err := ParseHandle(s); err != nil || string(h) != s {
			t.Errorf("ParseHandle(%q) = %q, %v", s, h, err)
		}
	}
	for _, s := range bad {
		h, err := ParseHandle(s)
		wantKind(t, "ParseHandle("+s+")", err, Invalid)
		if h != "" {
			t.Errorf("ParseHandle(%q) gave %q with an error", s, h)
		}
	}
}

// The grammar of the specification, tried on every string of up to 4 of the
// characters that matter.
func TestHandleGrammar(t *testing.T) {
	grammar := regexp.MustCompile(`^[a-z0-9](?:[a-z0-9_]{0,30}[a-z0-9])?$`)
	for _, s := range combine("az09_-A.", 4) {
		_, err := ParseHandle(s)
		if (err == nil) != grammar.MatchString(s) {
			t.Errorf("ParseHandle(%q): %v, the grammar says %t", s, err, grammar.MatchString(s))
		}
	}
	for n := 30; n < 35; n++ {
		s := strings.Repeat("z", n)
		if _, err := ParseHandle(s); (err == nil) != grammar.MatchString(s) {
			t.Errorf("a handle of %d characters: %v", n, err)
		}
	}
}

// combine lists all strings of up to n characters of the alphabet.
func combine(alphabet string, n int) []string {
	all, last := []string{""}, []string{""}
	for range n {
		var next []string
		for _, s := range last {
			for _, c := range alphabet {
				next = append(next, s+string(c))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func TestReserved(t *testing.T) {
	for _, h := range strings.Fields(reserved) {
		if p, err := ParseHandle(h); err != nil || !p.Reserved() {
			t.Errorf("reserved handle %q: %v, reserved %t", h, err, p.Reserved())
		}
	}
	for _, h := range []Handle{"alice", "adm", "admins", "ro", "", "t", "roo t"} {
		if h.Reserved() {
			t.Errorf("%q is reserved", h)
		}
	}
	for _, h := range []Handle{"admin", "root", "api", "support"} {
		if !h.Reserved() {
			t.Errorf("%q is not reserved", h)
		}
	}
}

func TestNodeName(t *testing.T) {
	long := strings.Repeat("a", 63)
	good := []string{
		"node.example", "a.b", "a-b.c-d.example", "1.a", "4chan.example", "localhost.example", "xn.example", "a--b.example",
		long + ".example", strings.Join([]string{long, long, long, strings.Repeat("b", 61)}, "."),
		"localhost", "localhost:1", "localhost:8081", "localhost:65535", "0x7f.example", "a.x0",
	}
	bad := []string{
		"", ".", "node", "Node.example", "node.Example", "node.example.", ".node.example", "node..example", "node.example:443", "node.example:8081",
		"-a.example", "a-.example", "a_b.example", "xn--bcher-kva.example", "ab--c.example", "node.xn--p1ai", "bücher.example", "ｎode.example",
		"127.0.0.1", "127.1", "0x7f.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.2.3", "a.1", "a.0x1", "[::1]", "::1", "fe80::1%25lo0", "1.2.3.4:80",
		long + "a.example", strings.Join([]string{long, long, long, strings.Repeat("b", 62)}, "."),
		"a.localhost", "localhost.", "localhost:", "localhost:0", "localhost:080", "localhost:65536", "localhost:+80", "localhost:8_0", "localhost:80:80",
		"localhost: 80", "localhost:80/", "localhostx", "node.example/", "node.example/x", "https://node.example", "node.example?x", "node.example#x", "a@node.example",
		"node.example\x00", "node.exa\nmple", " node.example", "node.example ", "%2e%2e", "node%2eexample", `node.example\`, "node。example", "localhost:８０", "node.example\xff",
	}
	for _, s := range good {
		if n, err := ParseNodeName(s); err != nil || string(n) != s {
			t.Errorf("ParseNodeName(%q) = %q, %v", s, n, err)
		}
	}
	for _, s := range bad {
		n, err := ParseNodeName(s)
		wantKind(t, "ParseNodeName("+s+")", err, Invalid)
		if n != "" {
			t.Errorf("ParseNodeName(%q) gave %q with an error", s, n)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		n      NodeName
		dev    bool
		origin string
	}{
		{"node.example", false, "https://node.example"},
		{"localhost.example", false, "https://localhost.example"},
		{"localhost", true, "http://localhost"},
		{"localhost:8081", true, "http://localhost:8081"},
	} {
		if got := c.n.Development(); got != c.dev {
			t.Errorf("%q.Development() = %t", c.n, got)
		}
		if got := c.n.Origin(); got != c.origin {
			t.Errorf("%q.Origin() = %q, want %q", c.n, got, c.origin)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, s := range []string{"alice@node.example", "a@localhost:8081", "0@a.b"} {
		a, err := ParseAddress(s)
		if err != nil || a.String() != s || a.IsZero() {
			t.Errorf("ParseAddress(%q) = %v, %v", s, a, err)
		}
		var b Address
		if err := b.UnmarshalText(must(a.MarshalText())); err != nil || b != a {
			t.Errorf("%q does not come back: %v, %v", s, b, err)
		}
	}
	for _, s := range []string{
		"", "@", "alice", "alice@", "@node.example", "@alice@node.example", "alice@node.example@node.example", "alice @node.example",
		"alice@ node.example", "Alice@node.example", "alice@node.example.", "alice＠node.example", "acct:alice@node.example", "alice%40node.example",
	} {
		a, err := ParseAddress(s)
		wantKind(t, "ParseAddress("+s+")", err, Invalid)
		if !a.IsZero() {
			t.Errorf("ParseAddress(%q) gave %v with an error", s, a)
		}
	}
}

// Quoted input is cut, so that no error is as long as the input.
func TestNameErrorsAreShort(t *testing.T) {
	long := strings.Repeat("\u202e", 1<<20)
	for _, parse := range []func(string) error{
		func(s string) error { _, err := ParseHandle(s); return err },
		func(s string) error { _, err := ParseNodeName(s); return err },
		func(s string) error { _, err := ParseAddress(s); return err },
		func(s string) error { _, err := ParseAccountID(s); return err },
	} {
		if err := parse(long); err == nil || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\u202e") {
			t.Errorf("the error has %d bytes or holds a format character", len(err.Error()))
		}
	}
}
