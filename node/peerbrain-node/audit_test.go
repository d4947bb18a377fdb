package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/node"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// TestAudit audits the records of a whole story, then plants some.
func TestAudit(t *testing.T) {
	clean(t)
	data := frozen(t)
	status, out, stderr := ran(t, "audit", "--data", data)
	if status != 0 || !strings.Contains(out, "own entry") || !strings.Contains(out, "copies wrap") || !strings.Contains(out, " 0 findings\n") || stderr != "" {
		t.Fatalf("status %d, said %q and %q", status, out, stderr)
	}

	s, err := bolt.Open(filepath.Join(data, "copies.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), store.Change{Key: "notes/1", Value: []byte("plain words")}); err != nil {
		t.Fatal(err)
	}
	const running = "is running; end it, and check it then"
	if status, out, stderr := ran(t, "audit", "--data", data); status != 1 || out != "" || !strings.Contains(stderr, running) {
		t.Errorf("while it is open: status %d, said %q and %q", status, out, stderr)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	status, out, stderr = ran(t, "audit", "--data", data)
	if status != 1 || !strings.Contains(out, "found: copies notes/1\n  the record: no record of this release has such a key\n") || !strings.Contains(out, " 1 findings\n") || !strings.Contains(stderr, "not all that lies there") || strings.Contains(out, "plain words") {
		t.Errorf("status %d, said %q and %q", status, out, stderr)
	}
	status, out, _ = ran(t, "audit", "--data", data, "--json")
	var first node.AuditFinding
	var last node.AuditReport
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for text, into := range map[string]any{lines[0]: &first, lines[len(lines)-1]: &last} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	sum := int64(0)
	for _, k := range last.Kinds {
		for _, class := range node.AuditClasses() {
			sum += k.Bytes[class]
		}
	}
	if status != 1 || len(lines) != 2 || first.Store != "copies" || first.Key != "notes/1" || last.Findings != 1 || last.Name == "" || sum != last.Bytes || sum == 0 {
		t.Errorf("status %d, the classes have %d bytes, said %s", status, sum, out)
	}
	if err := os.Remove(filepath.Join(data, "copies.db")); err != nil {
		t.Fatal(err)
	}
	if _, out, _ = ran(t, "audit", "--data", data); strings.Contains(out, "copies") || !strings.Contains(out, " 0 findings\n") {
		t.Errorf("without copies, it said %q", out)
	}
}
