package node

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// FuzzRecords: a record that is read is written as it would be read, and what
// is made of it for others is fit to travel.
func FuzzRecords(f *testing.F) {
	fresh := func(kind byte) any {
		all := []any{
			new(schemaRecord), new(nodeKeys), new(documentRecord), new(handleRecord), new(accountRecord), new(statementRecord), new(vaultRecord),
			new(sealedRecord), new(wrapRecord), new(entryRecord), new(idRecord), new(friendRecord), new(deliverRecord), new(addressRecord),
			new(syncRecord), new(peerRecord), new(highWaterRecord), new(session), new(device),
		}
		return all[int(kind)%len(all)]
	}
	for kind := range byte(19) {
		b := wire.EncodeCBOR(fresh(kind))
		f.Add(kind, b)
		f.Add(kind, append(slices.Clone(b), 0))
	}
	f.Add(byte(11), wire.EncodeCBOR(&friendRecord{
		Version: recordVersion, Handle: "bob", Node: south, OfferGot: wire.Signed{1}, EndsMade: []keptEnd{{wire.Signed{2}, []wire.Hash{{3}}}},
		Friendship: wire.Friendship{Me: wire.AccountID{1}, Other: wire.AccountID{2}}, Queue: []queuedRecord{{wire.FriendEnd, wire.Signed{2}}},
	}))
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		v := fresh(kind)
		if decodeRecord(store.Record{Key: "k", Value: value}, v) != nil {
			return
		}
		written := wire.EncodeCBOR(v)
		again := fresh(kind)
		if err := decodeRecord(store.Record{Key: "k", Value: written}, again); err != nil || !bytes.Equal(wire.EncodeCBOR(again), written) {
			t.Errorf("%T: %x is written %x, and that is not read as it was (%v)", v, value, written, err)
		}
		switch r := v.(type) {
		case *friendRecord:
			r.link()
			wire.EncodeJSON(r.reply())
		case *entryRecord:
			wire.EncodeJSON(r.item(streamName{}))
		}
	})
}

// FuzzTarget: a target that is served has one spelling, and its query gives the
// parameters back as they stood there.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"/v1/feed?limit=2&before=abc", "/v1/feed", "/", "/v1/feed?", "/v1/feed?limit=1&limit=2", "/v1/feed?limit=01", "/v1//feed", "/v1/../x",
		"/v1/feed?a=1", "/v1/%66eed", "http://node.example/v1/feed", "/v1/feed?limit=1?", "/v1/feed?limit=1=2", "*", federationPrefix + "%00",
		"/?limit-%", "/%",
	} {
		f.Add(s)
	}
	names := []string{"limit", "before", "after"}
	f.Fuzz(func(t *testing.T, target string) {
		r := &incoming{method: "GET", target: target}
		if r.checkTarget() != nil || strings.HasPrefix(target, federationPrefix) {
			return
		}
		path, query, _ := strings.Cut(target, "?")
		strict := target
		if path == wire.PathPage || path == wire.PathWebFinger { // whose queries others have written
			strict = path
		}
		if strings.ContainsAny(strict, "%\\# \x00") || strings.Contains(path, "//") || strings.Contains(path+"/", "/../") {
			t.Errorf("%q is served", target)
		}
		if r.readQuery(names) != nil {
			return
		}
		parts := strings.Split(query, "&")
		for name, value := range r.query {
			if !slices.Contains(names, name) || !slices.Contains(parts, name+"="+value) {
				t.Errorf("%q: %s is %q", target, name, value)
			}
		}
		if query != "" && len(parts) != len(r.query) {
			t.Errorf("%q: %v", target, r.query)
		}
		if n, err := r.number("limit"); err == nil && n > 1<<63 {
			t.Errorf("%q: limit %d", target, n)
		}
		if n, err := r.limit(); err == nil && (n < 1 || n > wire.MaxPage) {
			t.Errorf("%q: a page of %d", target, n)
		}
	})
}

// FuzzCursor gives the fuzzer the node's secret, so that it gets past the tag:
// what opens is the cursor of its place, for this reader alone.
func FuzzCursor(f *testing.F) {
	n := &Node{secret: wire.Hide([32]byte{1})}
	ann, ben := wire.AccountID{1}, wire.AccountID{2}
	p := placeOf(streamName{ann, wire.AudienceID{3}}, 4, 5)
	f.Add(wire.EncodeCBOR(&p), "")
	f.Add(wire.EncodeCBOR(&p), n.cursor(ann, p))
	f.Add([]byte{0xa0}, n.cursor(ben, p))
	f.Add([]byte{}, "AA==")
	f.Fuzz(func(t *testing.T, payload []byte, strange string) {
		tag := n.mac(wire.LabelCursorTag, append(ann[:], payload...))
		made, _ := wire.Bytes(append(slices.Clone(payload), tag[:cursorTag]...)).MarshalText()
		for _, s := range []string{string(made), strange} {
			p, err := n.openCursor(ann, s)
			if err != nil {
				continue
			}
			if again := n.cursor(ann, p); again != s {
				t.Errorf("%q is the cursor %q", s, again)
			}
			if _, err := n.openCursor(ben, s); err == nil {
				t.Errorf("%q opens for another reader", s)
			}
		}
	})
}

// FuzzConfigFile: a file that is read holds known keys only, one value each, and
// what the settings make of them is written as it would be read.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		"name: node.example\nlimits:\n  connections: 5\n", "", "# nothing\n", "name: a\nname: b\n", "limits.connections: 5\n", "name: [a]\n", "name: null\n",
		"nam: x\n", "a: &a b\nname: *a\n", "proxies: 10.0.0.0/8,::1\n", "sync:\n  interval: 1h\n", "---\n---\n", "log:\n  level: debug\n  format: json\n", "dev: true\n",
	} {
		f.Add([]byte(s))
	}
	var known []string
	for _, s := range Settings() {
		known = append(known, s.Key)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseFile(text)
		if err != nil {
			return
		}
		for key := range maps.Keys(values) {
			if !slices.Contains(known, key) {
				t.Errorf("%q: key %q", text, key)
			}
		}
		c := DefaultConfig()
		for _, s := range Settings() {
			value, ok := values[s.Key]
			if !ok || s.set(&c, value) != nil {
				continue
			}
			was := s.get(&c)
			if err := s.set(&c, was); err != nil || s.get(&c) != was {
				t.Errorf("%s: %q became %q and then %q (%v)", s.Key, value, was, s.get(&c), err)
			}
		}
		_ = c.Check()
	})
}

// FuzzForwarded: only a proxy of ours is believed, and never about itself.
func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1", "9.9.9.9, 10.0.0.2", "8.8.8.8")
	f.Add("9.9.9.9", "8.8.8.8", "7.7.7.7")
	f.Add("::ffff:10.0.0.1", "x, 9.9.9.9", "10.0.0.1, ::1%eth0")
	f.Add("10.0.0.1", "", "127.1")
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		from, err := netip.ParseAddr(remote)
		if err != nil {
			return
		}
		got := clientAddress(from, []string{first, second}, proxies)
		if from = from.Unmap(); !proxies[0].Contains(from) {
			if got != from {
				t.Errorf("%s is no proxy, and is believed to be asked by %s", from, got)
			}
			return
		}
		hops := strings.Split(first+","+second, ",")
		named := slices.ContainsFunc(hops, func(hop string) bool {
			a, err := netip.ParseAddr(strings.Trim(hop, " \t"))
			return err == nil && a.Unmap() == got
		})
		if got != from && !named {
			t.Errorf("%s with %q and %q is %s", from, first, second, got)
		}
	})
}
