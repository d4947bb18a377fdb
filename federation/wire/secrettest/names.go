package secrettest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What a secret is called: a type by the first, and by the second a field, which
// is no secret where its type is one.
var (
	secretType  = regexp.MustCompile(`(?i)(secret|seed|password|passphrase|token|code|key|private|hidden)s?$`)
	secretField = regexp.MustCompile(`(?i)(secret|seed|password|passphrase|token|code|private)s?$`)
)

// inFolder returns what sounds like a secret in the Go files of a folder.
func inFolder(dir string) (names []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			return nil, err
		}
		names = append(names, Names(file)...)
	}
	return names, nil
}

// Names returns the types that sound like a secret, and the fields that do and
// are plain bytes or strings, as Type.Field.
func Names(file *ast.File) (names []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if secretType.MatchString(spec.Name.Name) && !spec.Assign.IsValid() {
			names = append(names, spec.Name.Name)
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					if secretField.MatchString(name.Name) && plain(field.Type) {
						names = append(names, spec.Name.Name+"."+name.Name)
					}
				}
			}
		}
		return true
	})
	return names
}

// plain tells whether a value of type e is bytes or a string that print.
func plain(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return plain(e.X)
	case *ast.ArrayType:
		return plain(e.Elt)
	case *ast.SelectorExpr:
		return plain(e.Sel)
	case *ast.Ident:
		return slices.Contains([]string{"byte", "uint8", "string", "Bytes", "Hash", "Nonce"}, e.Name)
	}
	return false
}
