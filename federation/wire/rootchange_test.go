package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
)

func rootChangeRules() []rule[RootChange] {
	return []rule[RootChange]{
		{"as it should be", func(*RootChange) {}, ""},
		{"at no time", func(c *RootChange) { c.Created = 0 }, ""},
		{"of a node in development", func(c *RootChange) { c.Name = "localhost:8081" }, Tampered},
		{"of another node", func(c *RootChange) { c.Name = "other.example" }, Tampered},
		{"bad name", func(c *RootChange) { c.Name = "Node.example" }, Invalid},
		{"no name", func(c *RootChange) { c.Name = "" }, Invalid},
		{"to the same key", func(c *RootChange) { c.New = c.Old }, Invalid},
		{"from another key", func(c *RootChange) { c.Old, c.New = c.New, c.Old }, Tampered},
		{"an old key of low order", func(c *RootChange) { c.Old = NodeRootKey{1} }, Invalid},
		{"a new key of low order", func(c *RootChange) { c.New = NodeRootKey{1} }, Invalid},
		{"no new key", func(c *RootChange) { c.New = NodeRootKey{} }, Invalid},
		{"a new key that is no point", func(c *RootChange) { c.New = NodeRootKey{2} }, Invalid},
		{"a new key in another form", func(c *RootChange) { c.New = NodeRootKey(unhex(oddPoints[0])) }, Invalid},
		{"negative time", func(c *RootChange) { c.Created = -1 }, Invalid},
		{"after the year 9999", func(c *RootChange) { c.Created = MaxTime + 1 }, Invalid},
		{"version 2", func(c *RootChange) { c.Version = 2 }, Update},
	}
}

func TestRootChangeRules(t *testing.T) {
	for _, r := range rootChangeRules() {
		c := rootChange()
		r.spoil(c)
		got, err := OpenRootChange(raw(LabelRootChange, EncodeCBOR(c), rootKey.seed), "node.example")
		wantKind(t, r.name, err, r.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", r.name, got, err)
		}
	}
	long := append(must(rootChange().Sign(rootKey)), make([]byte, MaxStatement)...)
	_, err := OpenRootChange(long, "node.example")
	wantKind(t, "a long one", err, TooLarge)
}

// roots are the keys that a node has one after the other.
func roots(count int) []NodeRootSecret {
	all := []NodeRootSecret{rootKey}
	for i := 1; i < count; i++ {
		all = append(all, NewNodeRootSecret(seedOf(fmt.Sprint("node root ", i))))
	}
	return all
}

// rootChanges leads a node along its keys.
func rootChanges(keys ...NodeRootSecret) (list []Signed) {
	for i, old := range keys[:len(keys)-1] {
		c := RootChange{Version, Suite, "node.example", old.Public(), keys[i+1].Public(), t0 + int64(i)}
		list = append(list, must(c.Sign(old)))
	}
	return list
}

// A rootList is a list of changes, what it leads to, and what is to come of it.
type rootList struct {
	name string
	list []Signed
	root NodeRootSecret
	want Kind
	why  string // it is refused
}

func rootLists() []rootList {
	r := roots(18)
	sound := rootChanges(r[:4]...)
	byNew := RootChange{Version, Suite, "node.example", r[0].Public(), r[1].Public(), t0}
	other := RootChange{Version, Suite, "other.example", r[1].Public(), r[2].Public(), t0 + 1}
	return []rootList{
		{"no change", nil, r[0], "", ""},
		{"one change", sound[:1], r[1], "", ""},
		{"three changes", sound, r[3], "", ""},
		{"16 changes", rootChanges(r[:17]...), r[16], "", ""},
		{"17 changes", rootChanges(r...), r[17], TooLarge, "there are 16 at most"},
		{"to another root", sound, r[4], Tampered, "the last change leads to another root than the document has"},
		{"to a root before", sound, r[2], Tampered, "the last change leads to another root than the document has"},
		{"a gap", []Signed{sound[0], sound[2]}, r[3], Tampered, "the second is not signed by the root that the first leads to"},
		{"newest first", []Signed{sound[1], sound[0]}, r[1], Tampered, "the oldest stands first"},
		{"one twice", []Signed{sound[0], sound[0], sound[1]}, r[2], Tampered, "the second is not signed by the root that the first leads to"},
		{"there and back", rootChanges(r[0], r[1], r[0]), r[0], Tampered, "a root that was left does not come again"},
		{"a loop in the middle", rootChanges(r[0], r[1], r[2], r[1], r[3]), r[3], Tampered, "a root that was left does not come again"},
		{"signed by the new root", []Signed{raw(LabelRootChange, EncodeCBOR(&byNew), r[1].seed)}, r[1], Tampered, "the old root signs"},
		{"one of another node", []Signed{sound[0], must(other.Sign(r[1])), sound[2]}, r[3], Tampered, "each change names the node"},
		{"one that is none", []Signed{sound[0], sound[1][:64]}, r[1], Invalid, "the second has no payload"},
	}
}

func TestRootChanges(t *testing.T) {
	for _, c := range rootLists() {
		got, err := OpenRootChanges(c.list, "node.example", c.root.Public())
		wantKind(t, c.name, err, c.want)
		if err != nil && got != nil {
			t.Errorf("%s: %d roots with an error", c.name, len(got))
		}
		var want []NodeRootKey
		for _, r := range roots(18)[:len(c.list)] {
			want = append(want, r.Public())
		}
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", c.name, got, want)
		}
	}
	reply := NodeDocumentReply{Document: must(nodeDocument().Sign(rootKey)), RootChanges: make([]Signed, MaxRootChanges)}
	_, err := reply.Open("node.example")
	wantKind(t, "a list that nobody needs", err, "")
	reply.RootChanges = make([]Signed, MaxRootChanges+1)
	_, err = reply.Open("node.example")
	wantKind(t, "a longer one", err, TooLarge)
}

func rootChangeVectors() *vectorFile {
	f := &vectorFile{About: "Changes of a node's root key, each opened under the name that was asked for; and lists of them, oldest first (change_0 ...), that lead to a root. roots_before are the roots that they lead from, one after the other."}
	m := maker{"root-change", LabelRootChange, rootKey.seed, map[string]string{"name": "node.example"}}
	f.Accepted = append(f.Accepted, m.good("a change", rootChange()))
	f.Refused = m.forms(rootChange())
	ruleVectors(f, m, rootChange, rootChangeRules())
	for _, c := range rootLists() {
		key := c.root.Public()
		with := map[string]string{"name": "node.example", "root": hex.EncodeToString(key[:])}
		for i, s := range c.list {
			with[fmt.Sprint("change_", i)] = hex.EncodeToString(s)
		}
		v := vector{Name: c.name, Kind: "root-changes", With: with, Error: c.want, Why: c.why}
		if c.want != "" {
			f.Refused = append(f.Refused, v)
			continue
		}
		with["roots_before"] = ""
		for _, r := range roots(18)[:len(c.list)] {
			key := r.Public()
			with["roots_before"] += hex.EncodeToString(key[:])
		}
		f.Accepted = append(f.Accepted, v)
	}
	return f
}

// FuzzRootChanges cuts bytes into a list, and signs what is in it for whom it says,
// where the key is known: what is accepted leads along different keys to the root.
func FuzzRootChanges(f *testing.F) {
	keys := roots(4)
	join := func(list []Signed) (b []byte) {
		for _, s := range list {
			b = append(append(b, byte(len(s)-64)), s[64:]...)
		}
		return b
	}
	for _, c := range rootLists() {
		if c.name != "one that is none" {
			f.Add(join(c.list))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []Signed
		for len(b) > 0 && len(b) > int(b[0]) {
			payload := b[1 : 1+int(b[0])]
			b = b[1+int(b[0]):]
			signed := raw(LabelRootChange, payload, keys[0].seed)
			for _, k := range keys {
				if key := k.Public(); bytes.Contains(payload, append([]byte{4, 0x58, 32}, key[:]...)) {
					signed = raw(LabelRootChange, payload, k.seed)
				}
			}
			list = append(list, signed)
		}
		for _, k := range keys {
			before, err := OpenRootChanges(list, "node.example", k.Public())
			if err != nil {
				continue
			}
			if len(before) != len(list) || len(list) > MaxRootChanges {
				t.Fatalf("%d changes lead along %d roots", len(list), len(before))
			}
			for i, key := range append(before, k.Public()) {
				if slices.Contains(before[:i], key) {
					t.Errorf("root %d comes twice", i)
				}
				if i < len(list) && !bytes.Contains(list[i], key[:]) {
					t.Errorf("change %d does not name the root before it", i)
				}
			}
		}
	})
}
