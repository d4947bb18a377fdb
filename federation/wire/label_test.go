package wire

import (
	"bytes"
	"crypto/sha256"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLabels proves the registry unique, prefix-free and complete.
func TestLabels(t *testing.T) {
	form := regexp.MustCompile(`^peerbrain/v1/[a-z0-9-]+(/[a-z0-9-]+)*$`)
	all := Labels()
	for i, a := range all {
		if !form.MatchString(string(a)) {
			t.Errorf("%q is no label", a)
		}
		for j, b := range all {
			if i != j && strings.HasPrefix(string(b), string(a)) {
				t.Errorf("%q begins with %q", b, a)
			}
		}
	}
	declared := declaredLabels(t)
	if len(declared) < 40 {
		t.Fatalf("only %d constants were found in label.go", len(declared))
	}
	for name, l := range declared {
		if !slices.Contains(all, l) {
			t.Errorf("Labels misses %s", name)
		}
	}
	if len(all) != len(declared) {
		t.Errorf("Labels has %d labels, label.go declares %d", len(all), len(declared))
	}
}

// declaredLabels reads the constants of type Label from the source.
func declaredLabels(t *testing.T) map[string]Label {
	file, err := parser.ParseFile(token.NewFileSet(), "label.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]Label{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, v := range spec.Values {
			lit, ok := v.(*ast.BasicLit)
			if typ, isIdent := spec.Type.(*ast.Ident); !ok || !isIdent || typ.Name != "Label" {
				t.Errorf("%s is not declared as a Label with a literal", spec.Names[i])
				continue
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			labels[spec.Names[i].Name] = Label(s)
		}
		return true
	})
	return labels
}

// Labels are made in label.go only.
func TestLabelsAreMadeInOnePlace(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) < 20 {
		t.Fatalf("found %v, %v", names, err)
	}
	for _, name := range names {
		if name == "label.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && strings.Contains(lit.Value, "peerbrain/v") {
				t.Errorf("%s holds the label %s", name, lit.Value)
			}
			return true
		})
	}
}

func TestMessageAndHash(t *testing.T) {
	l := LabelVaultHash
	want := append([]byte(l), 0, 'a', 'b', 'c')
	if got := l.Message([]byte("a"), nil, []byte("bc")); !bytes.Equal(got, want) {
		t.Errorf("Message = %q, want %q", got, want)
	}
	if got := l.Hash([]byte("ab"), []byte("c")); got != sha256.Sum256(want) {
		t.Errorf("Hash = %s", got)
	}
	if got := l.Hash(); got != sha256.Sum256(append([]byte(l), 0)) {
		t.Errorf("Hash of nothing = %s", got)
	}
	for _, size := range []int{200, 255 - len(l), 256 - len(l), 1000} {
		part := bytes.Repeat([]byte{7}, size)
		if got := l.Hash(part, part[:1]); got != sha256.Sum256(l.Message(part, part[:1])) {
			t.Errorf("Hash of %d bytes = %s", size+1, got)
		}
	}
}
