package web

import (
	"strconv"
	"strings"
)

// Answer is what a GET of path is answered with: 200, 304 where match, the value of
// If-None-Match, has what would be sent, and 404 without headers. accept is the value
// of Accept-Encoding. Neither headers nor body may be changed. The headers are those
// of this one file; those of all answers are in Headers.
func (s *Site) Answer(path, accept, match string) (status int, headers [][2]string, body []byte) {
	f := s.files[path]
	if f == nil {
		return 404, nil, nil
	}
	coding, body := f.coded(accept)
	tag := `"` + f.digest[:32] + coding + `"`
	headers = [][2]string{{"ETag", tag}, {"Cache-Control", f.cache}, {"Vary", "Accept-Encoding"}}
	if matches(match, tag) {
		return 304, headers, nil
	}
	headers = append(headers, [2]string{"Content-Type", f.media})
	if coding != "" {
		headers = append(headers, [2]string{"Content-Encoding", coding})
	}
	return 200, headers, body
}

// coded chooses the smallest form of a file that accept allows. A file without a coding
// is taken by all, whatever they say.
func (f *file) coded(accept string) (coding string, body []byte) {
	switch {
	case f.brotli != nil && accepts(accept, "br"):
		return "br", f.brotli
	case f.gzip != nil && accepts(accept, "gzip"):
		return "gzip", f.gzip()
	}
	return "", f.plain()
}

// accepts reads Accept-Encoding (RFC 9110, section 12.5.3). What is not named, or in
// another way than browsers do it, is not accepted.
func accepts(accept, coding string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, parameter, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
		if !ok {
			return parameter == ""
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0 && q <= 1
	}
	return false
}

// matches reads If-None-Match (RFC 9110, section 13.1.2), for which a weak tag is as good.
func matches(match, tag string) bool {
	for one := range strings.SplitSeq(match, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// Headers are those of all answers to browsers: to the page's files, and to what the
// page asks for. The page may run its own scripts and its own WebAssembly, and speak
// with the origin that it came from, and with api if that is not empty. Package node
// has the same, without api (TestHeadersAgree).
func Headers(api string) [][2]string {
	connect := "'self'"
	if api != "" {
		connect += " " + api
	}
	return [][2]string{
		{"Content-Security-Policy", "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src " + connect + "; img-src 'self' blob:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
		{"X-Content-Type-Options", "nosniff"},
	}
}
