package node

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// unkept are types that look like records, and why they lie nowhere.
var unkept = map[string]string{
	"place":           "it stands in cursors",
	"restoringRecord": "nobody opens a database in which it is, fsck and audit neither",
}

// TestKeptKinds: each kind of record that fsck knows, in either store, and each type
// that a record is decoded into can be taken apart, and no other.
func TestKeptKinds(t *testing.T) {
	f := newFsck(FsckOptions{})
	prefixes := map[string]bool{}
	for _, d := range []*side{f.own, f.copies} {
		for _, k := range d.kinds() {
			prefixes[k.prefix] = true
			if !slices.ContainsFunc(keptKinds(), func(one keptKind) bool { return strings.HasPrefix(one.key, k.prefix) }) {
				t.Errorf("records of kind %s %s have no place in keptKinds", d.name, k.prefix)
			}
		}
	}
	types := map[string]bool{}
	for _, k := range keptKinds() {
		fits := func(prefix string) bool { return strings.HasPrefix(k.key, prefix) }
		if !slices.ContainsFunc(slices.Collect(mapKeys(prefixes)), fits) {
			t.Errorf("keptKinds has %s, which fsck does not know", k.key)
		}
		if k.record != nil {
			types[reflect.TypeOf(k.record).Elem().Name()] = true
		}
	}
	for name := range recordTypes(t) {
		if types[name] == (unkept[name] != "") {
			t.Errorf("type %s has a version: it stands in keptKinds: %t, in unkept: %q", name, types[name], unkept[name])
		}
	}
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// recordTypes are the structs of this package whose first field is a version, as that
// of every record is.
func recordTypes(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if ok && len(s.Fields.List) > 0 && s.Fields.List[0].Tag != nil && s.Fields.List[0].Names[0].Name == "Version" && strings.Contains(s.Fields.List[0].Tag.Value, `cbor:"1,`) {
				found[spec.Name.Name] = true
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %d types of records were found", len(found))
	}
	return found
}

// TestKeptPrivate: what the records hide from logs is what is private to the node.
func TestKeptPrivate(t *testing.T) {
	for _, k := range keptKinds() {
		if k.record == nil {
			continue
		}
		of := reflect.TypeOf(k.record).Elem()
		for i := range of.NumField() {
			hidden := strings.Contains(of.Field(i).Type.String(), "wire.Hidden[")
			if class, _ := classOf(k.key, of.Field(i).Name); (class == keptPrivate) != hidden {
				t.Errorf("%s of %s is of class %s, and hidden: %t", of.Field(i).Name, k.key, class, hidden)
			}
		}
	}
}

// eachShape visits all shapes of a kind of record: the parts of its key, its fields
// and what is inside of them.
func eachShape(p *keptPlace, visit func(*keptShape)) {
	var below func(s *keptShape)
	below = func(s *keptShape) {
		visit(s)
		for _, f := range s.fields {
			below(f.keptShape)
		}
		for _, inside := range s.inside {
			below(inside)
		}
		if s.signer != nil {
			visit(s.signer)
		}
		if s.elem != nil {
			for _, f := range s.elem.fields {
				below(f.keptShape)
			}
			for _, inside := range s.elem.inside {
				below(inside)
			}
			if s.elem.signer != nil {
				visit(s.elem.signer)
			}
		}
	}
	for _, part := range p.parts {
		if part != nil {
			visit(part)
		}
	}
	below(p.shape)
}

// holds says what a shape holds, if it is more than one thing, or nothing.
func holds(s *keptShape) string {
	list := ""
	if s.elem != nil {
		list, s = "a list of ", s.elem
	}
	switch {
	case s.field == "":
		return ""
	case s.sort == itemMap:
		return list + "`" + strings.TrimPrefix(typeOfFields(s), "*") + "`"
	case len(s.inside) > 0:
		return list + s.form.String()
	}
	return ""
}

// typeOfFields returns the type whose fields a shape has.
func typeOfFields(s *keptShape) string { return s.fields[0].what }

// TestKept: docs/security.md shows each field of each record, with its class and what
// can be learned from it, and what fields hold others, as they are declared and as the
// audit takes them.
func TestKept(t *testing.T) {
	fields, inner := map[string]bool{}, map[string]string{}
	for _, places := range keptPlaces() {
		for _, p := range places {
			locks := false
			eachShape(p, func(s *keptShape) {
				locks = locks || s.lock != ""
				name := s.what + " " + s.field
				if held := holds(s); held != "" {
					inner[name] = held
				}
				if s.field != "" && (holds(s) == "" || s.form != nil && s.form.sealed != nil) {
					fields[name] = true
					if sealed := s.form != nil && s.form.sealed != nil; sealed != (s.class == keptSealed) {
						t.Errorf("%s is of class %s, and its form says that it is sealed: %t", name, s.class, sealed)
					}
					if !s.known {
						t.Errorf("nothing says who may know %s: it has no row in keptRows", name)
					}
				}
			})
			if in := slices.ContainsFunc(locksIn, func(prefix string) bool { return strings.HasPrefix(p.key, prefix) }); in != locks {
				t.Errorf("%s has locks: %t, it stands in locksIn: %t", p.key, locks, in)
			}
		}
	}
	named := map[string]int{}
	for _, row := range keptRows {
		for _, field := range strings.Fields(row.fields) {
			name := row.what + " " + field
			if named[name]++; row.what == everywhere {
				continue
			}
			if !fields[name] {
				t.Errorf("keptRows speaks of %s, and no record has that", name)
			}
			if named[name] > 1 {
				t.Errorf("keptRows speaks twice of %s", name)
			}
		}
	}
	for name := range keptForms {
		if !fields[name] && inner[name] == "" {
			t.Errorf("keptForms speaks of %s, and no record has that", name)
		}
	}
	for name := range keptLocks {
		if !fields[name] {
			t.Errorf("keptLocks speaks of %s, and no record has that", name)
		}
	}
	doc := securityText(t)
	for _, table := range []string{keptTable(), innerTable(inner)} {
		if !strings.Contains(doc, table) {
			t.Errorf("docs/security.md does not have this table:\n%s", table)
		}
	}
}

func securityText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// code sets words in backticks.
func code(words ...string) string { return "`" + strings.Join(words, "`, `") + "`" }

// keptTable is keptRows as docs/security.md shows them.
func keptTable() string {
	var b strings.Builder
	b.WriteString("\n| record, or part of one | fields | class | as above |\n| --- | --- | --- | --- |\n")
	for _, row := range keptRows {
		what, about := code(row.what), row.about
		if row.what == everywhere {
			what = row.what
		}
		if about == aboutNothing {
			about = "-"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", what, code(strings.Fields(row.fields)...), row.class, about)
	}
	return b.String() + "\n"
}

// innerTable is what holds more than one thing, as docs/security.md shows it.
func innerTable(inner map[string]string) string {
	var lines []string
	for name, held := range inner {
		what, field, _ := strings.Cut(name, " ")
		lines = append(lines, fmt.Sprintf("| %s | %s | %s |\n", code(what), code(field), held))
	}
	slices.Sort(lines)
	return "\n| record, or part of one | field | holds |\n| --- | --- | --- |\n" + strings.Join(lines, "") + "\n"
}

// TestKeptAgrees compares the classes with the table "Who learns what": what nobody
// but the node knows does not stand there as known to strangers, nor what is sealed
// as known to the node; and each row is about something that is kept, or says that
// it is not.
func TestKeptAgrees(t *testing.T) {
	_, table, ok := strings.Cut(securityText(t), "\n## Who learns what\n")
	table, _, _ = strings.Cut(table, "\n## ")
	if !ok {
		t.Fatal("docs/security.md has no such table")
	}
	learns := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
		}
		if len(cells) == 7 && !strings.HasPrefix(cells[1], "-") && cells[0] != "" {
			learns[cells[0]] = cells[1:]
		}
	}
	about := map[string]bool{}
	for _, row := range keptRows {
		if row.about == aboutNothing {
			if row.class != keptFrame {
				t.Errorf("%s of %s is %s, and stands for nothing that anybody learns", row.fields, row.what, row.class)
			}
			continue
		}
		about[row.about] = true
		cells := learns[row.about]
		if cells == nil {
			t.Errorf("nobody learns what is called %q", row.about)
			continue
		}
		own, friendsNode, stranger := cells[0], cells[1], cells[3]
		var agrees bool
		switch row.class {
		case keptPublic:
			agrees = cellSays(stranger, "yes")
		case keptShared:
			agrees = !cellSays(own, "no") && !cellSays(friendsNode, "no") && cellSays(stranger, "no")
		case keptHere:
			agrees = !cellSays(own, "no") && cellSays(friendsNode, "no") && cellSays(stranger, "no") && row.about != aboutOwnKeys
		case keptPrivate:
			agrees = !cellSays(own, "no") && cellSays(friendsNode, "no") && cellSays(stranger, "no") && row.about == aboutOwnKeys
		case keptSealed:
			agrees = cellSays(own, "no") && cellSays(friendsNode, "no") && cellSays(stranger, "no")
		}
		if !agrees {
			t.Errorf("%s of %s is %s, and %q is learned by its own node: %s, a friend's: %s, a stranger: %s", row.fields, row.what, row.class, row.about, own, friendsNode, stranger)
		}
	}
	for name := range learns {
		if !about[name] {
			t.Errorf("the row %q is about nothing that is kept", name)
		}
	}
}

// cellSays reports whether a cell begins with a word, whatever is added to it.
func cellSays(cell, word string) bool {
	rest, ok := strings.CutPrefix(cell, word)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ",; "))
}
