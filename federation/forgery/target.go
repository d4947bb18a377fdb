package forgery

import (
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// hosts is F3.
func hosts() []Forgery {
	return []Forgery{
		after("F3 other host", set("Host", "other.example")),
		before("F3 other host, signed", func(p *Pen) { p.Host = "other.example" }),
		before("F3 host of the sender", func(p *Pen) { p.Host, _, _ = strings.Cut(p.KeyID, "/") }),
		before("F3 host in capitals", func(p *Pen) { p.Host = strings.ToUpper(p.Host) }),
		early(before("F3 host with dot", func(p *Pen) { p.Host += "." })), // after a port, no host at all
		early(after("F3 second host", func(r *Request) { r.Add("Host", "other.example") })),
		early(after("F3 same host twice", func(r *Request) { r.Add("host", *r.Header("Host")) })),
		early(after("F3 no host", func(r *Request) { r.Drop("Host") })),
		after("F3 ours in X-Forwarded-Host only", func(r *Request) {
			r.Add("X-Forwarded-Host", *r.Header("Host"))
			*r.Header("Host") = "other.example"
		}),
	}
}

// methods is F4, the method.
func methods() (f []Forgery) {
	for _, m := range []string{"PUT", "GET", "DELETE", "HEAD", "OPTIONS", "PATCH", "post", "PROPFIND"} {
		changed := after("F4 method "+m, func(r *Request) { r.Method = m })
		signed := before("F4 signed method "+m, func(p *Pen) { p.Method = m })
		bare := before("F4 signed method "+m+" without a body", func(p *Pen) { p.Method, p.Body = m, "" })
		if m != "PUT" { // with others a body means nothing
			changed, signed = early(changed), early(signed)
		}
		if m == "post" || m == "PROPFIND" { // no path has these
			bare = early(bare)
		}
		f = append(f, changed, signed, bare)
	}
	return append(f, after("F4 method in an override", func(r *Request) {
		r.Method = "PUT"
		r.Add("X-HTTP-Method-Override", "POST")
	}))
}

// targets is F4, the target: of another request, or another spelling of the same.
func targets(route Route, routes []Route, to wire.NodeName) (f []Forgery) {
	for _, o := range routes {
		if o.Path != route.Path {
			f = append(f, after("F4 other path "+o.Path, func(r *Request) { r.Target = o.Path }))
		}
	}
	i := strings.LastIndexByte(route.Path, '/')
	folder, last := route.Path[:i], route.Path[i+1:]
	for _, t := range []string{
		route.Path + "?", route.Path + "?a=b", route.Path + "/", route.Path + "%0A", route.Path + "%0A(created):%201", route.Path + "%00",
		route.Path + "%3F", route.Path + "#x", route.Path + ";x", folder, folder + "//" + last, folder + "/./" + last, folder + "%2f" + last, folder + "%2F" + last,
		fmt.Sprintf("%s/%%%x%s", folder, last[0], last[1:]), folder + "/" + strings.ToUpper(last), folder + "/x/../" + last, folder + `\` + last,
		"/" + route.Path, "/x/.." + route.Path, strings.ToUpper(route.Path), "/", "*", wire.PathDocument + "x", wire.PathKeys,
		"http://" + string(to) + route.Path, string(to), route.Path[1:],
	} {
		changed := after("F4 target "+t, func(r *Request) { r.Target = t })
		signed := before("F4 signed target "+t, func(p *Pen) { p.Target = t })
		if !strings.HasPrefix(t, "/federation/") {
			changed, signed = early(changed), early(signed)
		}
		f = append(f, changed, signed)
	}
	return f
}
