package node

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol). A browser
// lets a page ask the node that it came from, and no other, unless that node says
// so: for a page that somebody serves from their own disk (peerbrain web), where the
// operator has named its origin. There are no credentials that a browser sends by itself
// and no answer is for all origins, so a page that is not named can do nothing that its
// visitor's own programs could not.

// maxOrigins bounds web.origins.
const maxOrigins = 16

// Origins are those of pages that may ask the node, beside its own.
type Origins []string

// ParseOrigins reads a list with commas. An origin has one spelling, that which browsers
// send: https://host or https://host:port, in lower case, and plain http for this
// machine's own addresses alone.
func ParseOrigins(list string) (Origins, error) {
	var all Origins
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if !isOrigin(part) {
			return nil, fmt.Errorf("%q was found, an origin such as https://pb.example or http://127.0.0.1:8800 was expected", part)
		}
		if slices.Contains(all, part) {
			return nil, fmt.Errorf("%q is there twice", part)
		}
		all = append(all, part)
	}
	if len(all) > maxOrigins {
		return nil, fmt.Errorf("at most %d origins were expected", maxOrigins)
	}
	return all, nil
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) {
		return false
	}
	host, port := u.Hostname(), u.Port()
	if strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) || port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return false // browsers leave the port out where it is the usual one
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return (u.Scheme == "https" || u.Scheme == "http" && a.IsLoopback()) && a.String() == host && a.Zone() == ""
	}
	if host == "localhost" {
		return u.Scheme == "https" || u.Scheme == "http"
	}
	_, err = wire.ParseNodeName(host) // names of hosts, as strict as those of nodes
	return err == nil && u.Scheme == "https"
}

func isPort(s string) bool {
	n, err := parseNumber("port", s)
	return err == nil && n > 0 && n < 1<<16
}

// isShared reports whether a path is of the API that people's clients ask. What is for
// other nodes, and the page, which is served by whoever has it, are of no use elsewhere.
func isShared(path string) bool {
	return strings.HasPrefix(path, "/v1/") || path == wire.PathDocument
}

// headers are those of an answer to a request that says to come from these origins. A
// cache must not give to one what was answered to another, so Vary is always there.
func (o Origins) headers(target string, from []string) [][2]string {
	path, _, _ := strings.Cut(target, "?")
	if len(o) == 0 || !isShared(path) {
		return nil
	}
	headers := [][2]string{{"Vary", "Origin"}}
	if len(from) == 1 && slices.Contains(o, from[0]) {
		headers = append(headers, [2]string{"Access-Control-Allow-Origin", from[0]}, [2]string{"Access-Control-Expose-Headers", "Date, Retry-After"})
	}
	return headers
}

// preflight are the further headers of the answer to a browser that asks whether it may
// send a request; nil if that is no such question, or the answer is no.
func (o Origins) preflight(r *incoming) [][2]string {
	if r.method != "OPTIONS" || !r.has("Access-Control-Request-Method") || len(o.headers(r.target, r.all("Origin"))) < 2 {
		return nil
	}
	return [][2]string{
		{"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"},
		{"Access-Control-Allow-Headers", "Authorization, Content-Type, " + wire.HeaderSecondFactor + ", " + wire.HeaderLastEvent},
		{"Access-Control-Max-Age", "600"},
	}
}
