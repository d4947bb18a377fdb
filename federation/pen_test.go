package federation

import (
	"time"

	"github.com/peerbrain/peerbrain/federation/forgery"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// keysRoute is a route whose honest body asks for bob's keys.
func keysRoute() forgery.Route {
	ask := func(h wire.Handle) string {
		return string(wire.EncodeJSON(wire.KeysRequest{Address: wire.Address{Handle: h, Node: "b.example"}}))
	}
	return forgery.Route{Path: wire.PathPeerKeys, Body: ask("bob"), Other: ask("eve")}
}

func keysBody() string { return keysRoute().Body }

func signer(name wire.NodeName, s Secrets) forgery.Signer {
	return forgery.Signer{Name: name, Root: s.Root, Request: s.Request}
}

// newPen is ready to write an honest request.
func newPen(from, to wire.NodeName, s Secrets, now time.Time) *forgery.Pen {
	return forgery.NewPen(signer(from, s), to, keysRoute(), now)
}

func write(p *forgery.Pen) RawRequest { return RawRequest(p.Write()) }

// header returns a pointer to the first value of name.
func header(r *RawRequest, name string) *string { return (*forgery.Request)(r).Header(name) }

func drop(r *RawRequest, name string) { (*forgery.Request)(r).Drop(name) }

func add(r *RawRequest, name, value string) { (*forgery.Request)(r).Add(name, value) }

// the401 is what every forgery gets.
var the401 = forgery.The401()
