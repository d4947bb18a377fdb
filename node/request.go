package node

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// An incoming request is as it lay on the wire, nothing in it decoded, merged or
// normalised. None of its strings is a view of a buffer that is used again
// (TestParametersAreKept).
type incoming struct {
	method  string
	target  string      // as in the request line
	headers [][2]string // as received, in order
	length  int         // of the body, as declared; 0 for none
	from    netip.Addr  // who asks, behind a proxy too

	// What the route makes of it.
	pattern string            // of the route, for the log
	params  map[string]string // by name, without the colon
	query   map[string]string
	body    []byte
	person  *Person // who was authenticated, nil on open routes
}

// parseHeaders splits header lines, each "name: value" and CR LF, the last
// followed by an empty line. It refuses everything that two servers could read
// in two ways: bare line feeds, folded lines, spaces around names.
func parseHeaders(raw string) ([][2]string, error) {
	headers := make([][2]string, 0, 8) // what our client sends, and a proxy adds
	for raw != "" {
		line, rest, ok := strings.Cut(raw, "\r\n")
		if !ok {
			return nil, malformed("a header line does not end")
		}
		raw = rest
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, malformed("a header line is no name and value")
		}
		headers = append(headers, [2]string{name, strings.Trim(value, " \t")})
	}
	if raw != "" {
		return nil, malformed("something follows the headers")
	}
	return headers, nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func malformed(why string) error { return wire.Errorf(wire.Invalid, "", "%s", why) }

// all returns the values of every header called name, in any case.
func (r *incoming) all(name string) []string {
	var values []string
	for _, h := range r.headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

// check refuses requests whose end, receiver or meaning is in doubt, before
// anything else looks at them. What it finds closes the connection.
func (r *incoming) check(version string) error {
	if version != "HTTP/1.1" {
		return malformed("HTTP/1.1 was expected")
	}
	if hosts := r.all("Host"); len(hosts) != 1 || hosts[0] == "" {
		return malformed("exactly one Host was expected")
	}
	if len(r.all("Transfer-Encoding")) > 0 || len(r.all("Trailer")) > 0 {
		return malformed("a body needs a Content-Length; transfer encodings and trailers are not taken")
	}
	if len(r.all("Upgrade")) > 0 {
		return malformed("there is nothing to upgrade to")
	}
	if err := r.checkLength(); err != nil {
		return err
	}
	if err := r.checkMedia(); err != nil {
		return err
	}
	return r.checkTarget()
}

func (r *incoming) checkLength() error {
	lengths := r.all("Content-Length")
	if len(lengths) > 1 {
		return malformed("more than one Content-Length")
	}
	if len(lengths) == 0 {
		return nil
	}
	n, err := parseNumber("Content-Length", lengths[0])
	if err != nil {
		return err
	}
	if n > 0 && r.method != "POST" && r.method != "PUT" {
		return malformed("a body belongs to POST and PUT")
	}
	r.length = int(min(n, 1<<31-1))
	return nil
}

func (r *incoming) checkMedia() error {
	if len(r.all("Content-Encoding")) > 0 {
		return wire.Errorf(wire.Media, "Content-Encoding", "bodies are taken as they are")
	}
	types := r.all("Content-Type")
	if r.length > 0 && (len(types) != 1 || types[0] != wire.MediaJSON) {
		return wire.Errorf(wire.Media, "Content-Type", "%s was expected", wire.MediaJSON)
	}
	return nil
}

// checkTarget demands a path in its one spelling. What other nodes ask for is
// judged by package federation instead, byte for byte, so that everything that is
// wrong with it has the same answer.
func (r *incoming) checkTarget() error {
	if strings.HasPrefix(r.target, federationPrefix) {
		return nil
	}
	path, query, asked := strings.Cut(r.target, "?")
	if !strings.HasPrefix(path, "/") || asked && query == "" {
		return malformed("the target is no path")
	}
	for i := range len(r.target) {
		if !isTargetByte(r.target[i]) {
			return malformed("the target holds escapes or characters that no path here has")
		}
	}
	if strings.Contains(query, "?") {
		return malformed("the target has two queries")
	}
	for _, part := range strings.Split(path[1:], "/") {
		if part == "." || part == ".." || part == "" && path != "/" {
			return wire.Errorf(wire.NotExist, "", "no such path")
		}
	}
	return nil
}

func isTargetByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/._-?&=~:", c) >= 0
}

// readQuery accepts the parameters called names, each at most once and with a value.
func (r *incoming) readQuery(names []string) error {
	_, query, asked := strings.Cut(r.target, "?")
	if !asked {
		return nil
	}
	r.query = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return wire.Errorf(wire.Invalid, "query", "there is no parameter %q here", clip(name))
		}
		if _, twice := r.query[name]; twice || value == "" || strings.Contains(value, "=") {
			return wire.Errorf(wire.Invalid, name, "one value was expected")
		}
		r.query[name] = value
	}
	return nil
}

// number returns a parameter of the query, 0 if it is absent.
func (r *incoming) number(name string) (uint64, error) {
	s, ok := r.query[name]
	if !ok {
		return 0, nil
	}
	return parseNumber(name, s)
}

// parseNumber accepts the one decimal spelling of numbers below 2^63.
func parseNumber(field, s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, wire.Errorf(wire.Invalid, field, "%q is no number", clip(s))
	}
	return n, nil
}

// limit returns how many items are asked for.
func (r *incoming) limit() (int, error) {
	if _, ok := r.query["limit"]; !ok {
		return defaultPage, nil
	}
	n, err := r.number("limit")
	if err == nil && (n < 1 || n > wire.MaxPage) {
		err = wire.Errorf(wire.Invalid, "limit", "1 to %d were expected", wire.MaxPage)
	}
	return int(n), err
}

// token returns the session that the request is made in: exactly one header
// "Authorization: Bearer <52 characters>".
func (r *incoming) token() (wire.Token, error) {
	values := r.all("Authorization")
	if len(values) != 1 {
		return wire.Token{}, unauthenticated()
	}
	s, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok {
		return wire.Token{}, unauthenticated()
	}
	return wire.ParseToken(s)
}

// decode reads the body.
func decode[T any](r *incoming) (v T, err error) {
	return v, wire.DecodeJSON(r.body, &v)
}

// clientAddress returns who asks: the remote end of the connection or, where
// that is one of our proxies, the last in X-Forwarded-For that is not.
func clientAddress(remote netip.Addr, forwarded []string, proxies []netip.Prefix) netip.Addr {
	remote = remote.Unmap()
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && isProxy(remote, proxies); i-- {
		hop, err := netip.ParseAddr(strings.Trim(hops[i], " \t"))
		if err != nil {
			break
		}
		remote = hop.Unmap()
	}
	return remote
}

func isProxy(a netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// clip shortens input that is quoted in an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
