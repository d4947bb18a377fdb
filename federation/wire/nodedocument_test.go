package wire

import (
	"strings"
	"testing"
)

func nodeDocumentRules() []rule[NodeDocument] {
	other := NodeKey{KeyForLog, NewNodeRequestSecret(seedOf("log")).Public(), t0, t0 + 1}
	return []rule[NodeDocument]{
		{"as it should be", func(*NodeDocument) {}, ""},
		{"no contact", func(d *NodeDocument) { d.Contact = "" }, ""},
		{"another key", func(d *NodeDocument) { d.Keys = append(d.Keys, other) }, ""},
		{"a purpose of a later release", func(d *NodeDocument) { d.Keys[0].Purpose = "later-2" }, ""},
		{"no purpose", func(d *NodeDocument) { d.Keys[0].Purpose = "" }, Invalid},
		{"a purpose with a line break", func(d *NodeDocument) { d.Keys[0].Purpose = "a\nb" }, Invalid},
		{"a long purpose", func(d *NodeDocument) { d.Keys[0].Purpose = KeyPurpose(strings.Repeat("a", 33)) }, Invalid},
		{"bad name", func(d *NodeDocument) { d.Name = "Node.example" }, Invalid},
		{"bad host", func(d *NodeDocument) { d.Host = "https://node.example" }, Invalid},
		{"a host with a port", func(d *NodeDocument) { d.Host = "node.example:8443" }, Invalid},
		{"a host on loopback", func(d *NodeDocument) { d.Host = "localhost:1" }, Invalid},
		{"no host", func(d *NodeDocument) { d.Host = "" }, Invalid},
		{"no keys", func(d *NodeDocument) { d.Keys = nil }, Invalid},
		{"33 keys", func(d *NodeDocument) {
			for i := range 32 {
				d.Keys = append(d.Keys, NodeKey{KeyForLog, NewNodeRequestSecret(seedOf(string(rune(i)))).Public(), t0, t0 + 1})
			}
		}, Invalid},
		{"32 keys", func(d *NodeDocument) {
			for i := range 31 {
				d.Keys = append(d.Keys, NodeKey{KeyForLog, NewNodeRequestSecret(seedOf(string(rune(i)))).Public(), t0, t0 + 1})
			}
		}, ""},
		{"one key for two purposes", func(d *NodeDocument) { d.Keys = append(d.Keys, NodeKey{KeyForLog, d.Keys[0].Key, t0, t0 + 1}) }, Invalid},
		{"the root key as online key", func(d *NodeDocument) { d.Keys[0].Key = NodeRequestKey(d.Root) }, Invalid},
		{"an online key of low order", func(d *NodeDocument) { d.Keys[0].Key = NodeRequestKey{1} }, Invalid},
		{"a root key of low order", func(d *NodeDocument) { d.Root = NodeRootKey{1} }, Invalid},
		{"an empty span", func(d *NodeDocument) { d.Keys[0].NotAfter = d.Keys[0].NotBefore }, Invalid},
		{"a negative time", func(d *NodeDocument) { d.Keys[0].NotBefore = -1 }, Invalid},
		{"after the year 9999", func(d *NodeDocument) { d.Keys[0].NotAfter = MaxTime + 1 }, Invalid},
		{"created never", func(d *NodeDocument) { d.Created = -1 }, Invalid},
		{"number above the limit", func(d *NodeDocument) { d.Number = MaxInteger + 1 }, Invalid},
		{"oldest client above the limit", func(d *NodeDocument) { d.OldestClient = MaxInteger + 1 }, Invalid},
		{"max post above the limit", func(d *NodeDocument) { d.MaxPost = MaxInteger + 1 }, Invalid},
		{"long software", func(d *NodeDocument) { d.Software = strings.Repeat("a", 129) }, Invalid},
		{"long contact", func(d *NodeDocument) { d.Contact = strings.Repeat("a", 257) }, Invalid},
		{"an escape in software", func(d *NodeDocument) { d.Software = "\x1b[2J" }, Invalid},
		{"a right-to-left mark in contact", func(d *NodeDocument) { d.Contact = "\u202eexample" }, Invalid},
		{"a log", func(d *NodeDocument) { logged(d) }, ""},
		{"a log after another", func(d *NodeDocument) { *logged(d) = NodeLog{5, 4, 3, Hash{1}} }, ""},
		{"a log without its key", func(d *NodeDocument) { logged(d); d.Keys = d.Keys[:1] }, Invalid},
		{"a log with two keys", func(d *NodeDocument) { logged(d); d.Keys = append(d.Keys, other) }, Invalid},
		{"a log without a number", func(d *NodeDocument) { logged(d).Number = 0 }, Invalid},
		{"a log before the one before it", func(d *NodeDocument) { logged(d).Before = 1_790_000_001 }, Invalid},
		{"a log after itself", func(d *NodeDocument) { logged(d).Before = 1_790_000_000 }, Invalid},
		{"a size of no log", func(d *NodeDocument) { logged(d).Size = 1 }, Invalid},
		{"a root of no log", func(d *NodeDocument) { logged(d).Root[0] = 1 }, Invalid},
		{"the number of a log above the limit", func(d *NodeDocument) { logged(d).Number = MaxInteger + 1 }, Invalid},
		{"a size above the limit", func(d *NodeDocument) { *logged(d) = NodeLog{5, 4, MaxInteger + 1, Hash{1}} }, Invalid},
		{"version 2", func(d *NodeDocument) { d.Version = 2 }, Update},
	}
}

// logged gives a document a log, and its key.
func logged(d *NodeDocument) *NodeLog {
	d.Keys = append(d.Keys, NodeKey{KeyForLog, NodeRequestKey(NewNodeLogSecret(seedOf("the log")).Public()), t0, MaxTime})
	d.Log = &NodeLog{Number: 1_790_000_000}
	return d.Log
}

func TestNodeDocumentRules(t *testing.T) {
	for _, c := range nodeDocumentRules() {
		d := nodeDocument()
		c.spoil(d)
		got, err := OpenNodeDocument(raw(LabelNodeDocument, EncodeCBOR(d), rootKey.seed), "node.example")
		wantKind(t, c.name, err, c.want)
		if (err == nil) != (got != nil) {
			t.Errorf("%s: got %v with %v", c.name, got, err)
		}
	}
}

func TestNodeDocumentIsOfItsNode(t *testing.T) {
	s := must(nodeDocument().Sign(rootKey))
	_, err := OpenNodeDocument(s, "other.example")
	wantKind(t, "under another name", err, Tampered)
	dev := nodeDocument()
	dev.Name, dev.Host = "localhost:8081", "localhost:8081"
	_, err = OpenNodeDocument(must(dev.Sign(rootKey)), "localhost:8081")
	wantKind(t, "in development", err, "")
	d := nodeDocument()
	d.Root = NewNodeRootSecret(seedOf("another root")).Public()
	_, err = OpenNodeDocument(raw(LabelNodeDocument, EncodeCBOR(d), rootKey.seed), "node.example")
	wantKind(t, "by another root", err, Tampered)
}

func TestRequestKey(t *testing.T) {
	d := nodeDocument()
	log := NewNodeRequestSecret(seedOf("log")).Public()
	d.Keys = append(d.Keys, NodeKey{KeyForLog, log, t0, t0 + 1000})
	key := requestKey.Public()
	for _, c := range []struct {
		name string
		key  NodeRequestKey
		now  int64
		want bool
	}{
		{"at the beginning", key, t0, true}, {"at the end", key, t0 + 1000, true}, {"before", key, t0 - 1, false}, {"after", key, t0 + 1001, false},
		{"the log's key", log, t0, false}, {"the root key", NodeRequestKey(d.Root), t0, false}, {"no key", NodeRequestKey{}, t0, false},
	} {
		if got := d.RequestKey(c.key, c.now); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
