package node

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

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
	begun   time.Time

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

// A byteSet has the bytes that something may consist of.
type byteSet [256]bool

// alphanumericAnd makes a set of letters, digits and others.
func alphanumericAnd(others string) *byteSet {
	s := new(byteSet)
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + others) {
		s[c] = true
	}
	return s
}

func (b *byteSet) hasAll(s string) bool {
	for i := range len(s) {
		if !b[s[i]] {
			return false
		}
	}
	return true
}

var (
	tokenBytes  = alphanumericAnd("!#$%&'*+-.^_`|~") // RFC 9110, section 5.6.2
	targetBytes = alphanumericAnd("/._-?&=~:")       // what paths and queries here consist of
	// What a query may consist of where another specification says what is in it
	// (RFC 3986, section 3.4).
	foreignBytes = alphanumericAnd("/._-?&=~:%@!$'()*+,;")
)

func isToken(s string) bool { return s != "" && tokenBytes.hasAll(s) }

func malformed(why string) error { return wire.Errorf(wire.Invalid, "", "%s", why) }

// all returns the values of every header called name, in any case.
func (r *incoming) all(name string) []string {
	var values []string
	for _, h := range r.headers {
		if isNamed(h, name) {
			values = append(values, h[1])
		}
	}
	return values
}

// one returns the first value of all headers called name, and how many there are.
func (r *incoming) one(name string) (value string, count int) {
	for _, h := range r.headers {
		if isNamed(h, name) {
			if count++; count == 1 {
				value = h[1]
			}
		}
	}
	return value, count
}

func (r *incoming) has(name string) bool {
	return slices.ContainsFunc(r.headers, func(h [2]string) bool { return isNamed(h, name) })
}

// isNamed reports whether a header is called name, a token as all names are.
func isNamed(h [2]string, name string) bool {
	return len(h[0]) == len(name) && strings.EqualFold(h[0], name)
}

// check refuses requests whose end, receiver or meaning is in doubt, before
// anything else looks at them. What it finds closes the connection.
func (r *incoming) check(version string) error {
	if version != "HTTP/1.1" {
		return malformed("HTTP/1.1 was expected")
	}
	if host, count := r.one("Host"); count != 1 || host == "" {
		return malformed("exactly one Host was expected")
	}
	if r.has("Transfer-Encoding") || r.has("Trailer") {
		return malformed("a body needs a Content-Length; transfer encodings and trailers are not taken")
	}
	if r.has("Upgrade") {
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
	length, count := r.one("Content-Length")
	if count > 1 {
		return malformed("more than one Content-Length")
	}
	if count == 0 {
		return nil
	}
	n, err := parseNumber("Content-Length", length)
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
	if r.has("Content-Encoding") {
		return wire.Errorf(wire.Media, "Content-Encoding", "bodies are taken as they are")
	}
	if r.target == wire.PathWitness { // whose specification names no type
		return nil
	}
	if media, count := r.one("Content-Type"); r.length > 0 && (count != 1 || media != wire.MediaJSON) {
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
	allowed := targetBytes
	if path == wire.PathWebFinger || path == wire.PathPage {
		allowed = foreignBytes
	}
	if !allowed.hasAll(r.target) {
		return malformed("the target holds escapes or characters that no path here has")
	}
	if strings.Contains(query, "?") {
		return malformed("the target has two queries")
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "." || part == ".." || part == "" && path != "/" {
			return wire.Errorf(wire.NotExist, "", "no such path")
		}
	}
	return nil
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
	value, count := r.one("Authorization")
	s, ok := strings.CutPrefix(value, "Bearer ")
	if count != 1 || !ok {
		return wire.Token{}, unauthenticated()
	}
	return wire.ParseToken(s)
}

// shownCode returns the code of a second factor that came with the request, nil if
// none did.
func (r *incoming) shownCode() (*shownCode, error) {
	value, count := r.one(wire.HeaderSecondFactor)
	switch count {
	case 0:
		return nil, nil
	case 1:
		code, err := wire.ParseFactorCode(value)
		return &shownCode{code, r.from}, err
	}
	return nil, wire.Errorf(wire.Invalid, "second factor", "it is there more than once")
}

// decode reads the body.
func decode[T any](r *incoming) (v T, err error) {
	return v, wire.DecodeJSON(r.body, &v)
}

// clientAddress returns who asks: the remote end of the connection or, where
// that is one of our proxies, the last in X-Forwarded-For that is not.
func clientAddress(remote netip.Addr, forwarded []string, proxies []netip.Prefix) netip.Addr {
	remote = remote.Unmap()
	if len(forwarded) == 0 {
		return remote
	}
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
