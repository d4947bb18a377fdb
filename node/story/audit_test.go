package story_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// recognised are the secrets of people that an audit knows by what a node has, and
// those that leave no trace there (docs/security.md).
var recognised = map[string]bool{
	"identity key": true, "encryption key": true, "login seed": true, "recovery key": true,
	"epoch secret": true, "content key": true, "chain key": true, "token": true, "device token": true,
	"vault key": false, "slot key": false, "self key": false, "cache key": false,
}

// TestAudit tells the whole story and audits what lies at both nodes: nothing is
// found. Then it puts each secret that the devices of the people hold into the store
// of the node where they are at home, and posts in plain among the sealed ones of
// both stores, and each is found.
func TestAudit(t *testing.T) {
	undetected(t)
	t.Parallel()
	b := &blind{all: map[string]canary{}, known: map[string]bool{}, temporary: t.TempDir()}
	b.world = newWorld(t)
	b.plays()
	for _, n := range []*server{b.left, b.right} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if report, found, err := b.audits(n); err != nil || len(found) > 0 || report.Findings > 0 {
			t.Errorf("%s: got %v, %+v, %+v", n.name, err, report, found)
		}
	}
	tried := map[string]int{}
	for _, n := range []*server{b.left, b.right} {
		want := map[string]string{}
		var planted []store.Change
		for _, name := range slices.Sorted(maps.Keys(b.all)) {
			c := b.all[name]
			known, ok := recognised[c.kind]
			if !ok || !strings.HasSuffix(b.address(person(c.of)), "@"+n.name) {
				continue
			}
			tried[c.kind]++
			key := fmt.Sprintf("nonce/%016x/%s/%s", len(planted)+1, n.name, wire.Nonce{byte(len(planted))})
			planted = append(planted, store.Change{Key: key, Value: c.bytes})
			if known && !b.replaced(name) {
				want["own "+key] = name
			}
		}
		b.writes(n, "own.db", planted...)
		for _, file := range []string{"own.db", "copies.db"} {
			key := b.plainPost(n, file)
			want[strings.TrimSuffix(file, ".db")+" "+key] = "a post in plain"
		}
		_, found, err := b.audits(n)
		if !failed(err) {
			t.Errorf("%s: the audit ends with %v", n.name, err)
		}
		for _, f := range found {
			if want[f.Store+" "+f.Key] == "" {
				t.Errorf("%s: found %+v", n.name, f)
			}
			delete(want, f.Store+" "+f.Key)
		}
		for key := range want {
			t.Errorf("%s: not found: %s, %s", n.name, key, want[key])
		}
	}
	for kind := range recognised {
		if tried[kind] < 3 {
			t.Errorf("%d of kind %q were tried, too few", tried[kind], kind)
		}
	}
}

// replaced reports whether nothing at the node leads to a secret any more: it took
// another log-in key or token for that. Of the three keys of a recovery code, the chain of
// key statements names two for ever, and the last one is that of the log-in.
func (b *blind) replaced(name string) bool {
	c := b.all[name]
	n := 1
	if _, after, numbered := strings.Cut(name, ", number "); numbered {
		n = must(strconv.Atoi(after))
	}
	next := n + 1
	switch {
	case c.kind == "recovery key" && n%3 == 0:
		next = n + 3
	case c.kind != "login seed" && c.kind != "token":
		return false
	}
	return b.all[fmt.Sprintf("%s of %s, number %d", c.kind, c.of, next)].bytes != nil
}

type auditFinding struct{ Store, Key, Field, Problem string }

type auditReport struct{ Bytes, Findings int }

// audits audits the records of a node.
func (b *blind) audits(n *server) (report auditReport, found []auditFinding, err error) {
	b.Helper()
	out, err := b.tries(n, "audit", "--data", n.data, "--json")
	for line := range strings.Lines(out) {
		var f auditFinding
		switch {
		case strings.HasPrefix(line, `{"store"`):
			must(0, json.Unmarshal([]byte(line), &f))
			found = append(found, f)
		case strings.HasPrefix(line, `{"name"`):
			must(0, json.Unmarshal([]byte(line), &report))
		}
	}
	if report.Bytes == 0 {
		b.Fatalf("%s: the audit says %s", n.name, out)
	}
	return report, found, err
}

// opens opens a store of a node that has ended.
func (b *blind) opens(n *server, file string) store.Store {
	b.Helper()
	return must(bolt.Open(filepath.Join(n.data, file), bolt.Options{}))
}

func (b *blind) writes(n *server, file string, changes ...store.Change) {
	b.Helper()
	s := b.opens(n, file)
	must(0, s.Apply(b.Context(), changes...))
	must(0, s.Close())
}

// plainPost replaces the sealed bytes of a post by its words, as a client could that
// does not seal, and returns the key of its record.
func (b *blind) plainPost(n *server, file string) string {
	b.Helper()
	s := b.opens(n, file)
	defer s.Close()
	for rec, err := range s.Scan(b.Context(), store.Prefix("entry/")) {
		must(0, err)
		fields := map[uint64]cbor.RawMessage{}
		must(0, cbor.Unmarshal(rec.Value, &fields))
		var body []byte
		must(0, cbor.Unmarshal(fields[3], &body))
		if fields[6][0] != byte(wire.KindPost) {
			continue
		}
		copy(body, strings.Repeat(firstText, len(body)/len(firstText)+1))
		fields[3] = must(cbor.Marshal(body))
		value := must(must(cbor.CoreDetEncOptions().EncMode()).Marshal(fields))
		must(0, s.Apply(b.Context(), store.Change{Key: strings.Clone(rec.Key), Value: value}))
		return strings.Clone(rec.Key)
	}
	b.Fatalf("%s has no post in %s", n.name, file)
	return ""
}
