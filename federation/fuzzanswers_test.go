package federation

import (
	"net/netip"
	"slices"
	"testing"
	"time"
	"unicode"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzAnswers reads answers as another node may give them, success or not: they
// are what was asked for, or an error that is not taken for one of this node's
// own, in words that are fit to be shown.
func FuzzAnswers(f *testing.F) {
	document := wire.EncodeJSON(wire.NodeDocumentReply{Document: testDocument(f, nodeA, testSecrets("a"), 0, time.Unix(1_790_000_000, 0))})
	f.Add(uint16(200), wire.MediaJSON, document)
	f.Add(uint16(200), "text/html", []byte("<p>"))
	for _, k := range []wire.Kind{wire.Unauthenticated, wire.Internal, wire.Method, wire.Media, wire.Conflict, wire.Throttled, wire.Tampered} {
		f.Add(uint16(k.Status()), wire.MediaProblem, wire.EncodeJSON(wire.Problem{Status: k.Status(), Code: k, Detail: "d\u202e"}))
	}
	f.Fuzz(func(t *testing.T, status uint16, contentType string, body []byte) {
		err := answer{status: int(status), contentType: contentType, body: body}.problem(nodeA)
		if err == nil {
			for _, out := range []any{new(wire.NodeDocumentReply), new(wire.KeysReply), new(wire.PeerFriendReply), new(wire.SyncReply)} {
				if err := wire.DecodeJSON(body, out); err != nil && wire.KindOf(err) == wire.Internal {
					t.Errorf("%q: %v", body, err)
				}
			}
			return
		}
		if foreign := []wire.Kind{wire.Unauthenticated, wire.Internal, wire.Method, wire.Media, wire.Tampered}; slices.Contains(foreign, wire.KindOf(err)) {
			t.Errorf("status %d, %s %q: %v is of kind %s", status, contentType, body, err, wire.KindOf(err))
		}
		for _, r := range err.Error() {
			if !unicode.IsPrint(r) {
				t.Errorf("%q shows %U", body, r)
			}
		}
	})
}

// FuzzDial: an address that is dialled is none that the standard library knows
// as private, local or of several.
func FuzzDial(f *testing.F) {
	for _, s := range []string{
		"9.9.9.9:443", "[2620:fe::9]:443", "127.0.0.1:443", "[::ffff:127.0.0.1]:443", "[64:ff9b::7f00:1]:443", "[2002:7f00:1::]:443",
		"100.64.0.1:1", "[fe80::1%eth0]:1", "2130706433:1", "0x7f.1:1", "[2000::1%lo]:1", "9.9.9.9", "localhost:1",
	} {
		f.Add(s)
	}
	d := newDialer(false)
	f.Fuzz(func(t *testing.T, address string) {
		if d.check(t.Context(), "tcp", address, nil) != nil {
			return
		}
		a := netip.MustParseAddrPort(address).Addr()
		if a.IsPrivate() || !a.IsGlobalUnicast() || a.Is4In6() || a.Zone() != "" {
			t.Errorf("%q is dialled", address)
		}
	})
}
