package forgery

import (
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Forgery changes an honest request before or after it is signed. Its name
// begins with its class, F1 to F10.
type Forgery struct {
	Name   string
	Before func(*Pen)
	After  func(*Request)
	// Early says that a whole node may refuse it before its verifier is asked, with
	// another 4xx: it is no request in HTTP/1.1, or leads to no route between nodes.
	Early bool
}

// Write forges the request that p is ready to write.
func (f Forgery) Write(p *Pen) Request {
	if f.Before != nil {
		f.Before(p)
	}
	r := p.Write()
	if f.After != nil {
		f.After(&r)
	}
	return r
}

// List is every forgery of one request at one of routes to the node called to:
// of me, whom that node knows, as is other.
func List(route Route, routes []Route, to wire.NodeName, me, other Signer) []Forgery {
	return slices.Concat(Unsigned(), hosts(), methods(), targets(route, routes, to), Digests(route), times(), Shapes(), keys(me, other))
}

// before makes a forgery that is signed, after one that is changed when it was.
func before(name string, change func(*Pen)) Forgery    { return Forgery{Name: name, Before: change} }
func after(name string, change func(*Request)) Forgery { return Forgery{Name: name, After: change} }

// early marks f.
func early(f Forgery) Forgery {
	f.Early = true
	return f
}

// set replaces the value of a header.
func set(name, value string) func(*Request) {
	return func(r *Request) { *r.Header(name) = value }
}

// edit replaces old in the Signature header.
func edit(old, new string) func(*Request) {
	return func(r *Request) {
		h := r.Header("Signature")
		if !strings.Contains(*h, old) {
			panic("forgery: nothing to edit: " + old)
		}
		*h = strings.Replace(*h, old, new, 1)
	}
}

// Unsigned is F1.
func Unsigned() []Forgery {
	return []Forgery{
		after("F1 unsigned", func(r *Request) { r.Drop("Signature") }),
		after("F1 empty signature", set("Signature", "")),
		after("F1 signature in Authorization", func(r *Request) {
			r.Add("Authorization", "Signature "+*r.Header("Signature"))
			r.Drop("Signature")
		}),
		after("F1 Authorization beside it", func(r *Request) { r.Add("Authorization", "Bearer x") }),
		after("F1 nonsense", set("Signature", "yes")),
	}
}
