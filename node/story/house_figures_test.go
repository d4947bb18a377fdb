package story_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"slices"
	"testing"
)

// TestFigures holds sizes to their limits and prints all that the house is
// measured by: the sizes, and how often each of its rules is broken.
func TestFigures(t *testing.T) {
	undetected(t)
	all, code := house(t)
	figures := measure(code)
	for _, f := range figures {
		t.Log(f)
	}
	report(t, figureFaults(figures))
	t.Logf("packages: %d, without exactly one good comment: %d", len(byFolder(code)), len(commentFaults(code)))
	t.Logf("imports inside the house: %d, that climb or cross: %d", countArrows(code), len(arrowFaults(code))+len(meetingFaults(code)))
	t.Logf("init functions and imports for effects: %d", len(initFaults(code)))
	t.Logf("files in the wrong place or of the wrong name: %d", len(topFaults(all))+len(nameFaults(code)))
	t.Logf("paths of one machine and notes that say neither who nor where: %d", len(leftoverFaults(all)))
}

// countArrows counts the imports of one part of the house by another.
func countArrows(code []houseFile) (arrows int) {
	for _, f := range code {
		for _, to := range f.imports() {
			if part := partOf(to); part != "" && part != partOf(f.folder()) {
				arrows++
			}
		}
	}
	return arrows
}

// sized is a function, file or interface and how big it is.
type sized struct {
	name string
	size int
}

// figure is the distribution of one kind of size, and its limits; most is 0
// where a single outlier is allowed.
type figure struct {
	what      string
	things    []sized // from small to big
	p90, most int
}

// at is the smallest size that a share of percent does not exceed.
func (f figure) at(percent int) int {
	if len(f.things) == 0 {
		return 0
	}
	return f.things[(len(f.things)*percent+99)/100-1].size
}

func (f figure) String() string {
	s := fmt.Sprintf("%s: %d, median %d, p90 %d (limit %d)", f.what, len(f.things), f.at(50), f.at(90), f.p90)
	if f.most > 0 {
		s += fmt.Sprintf(", most %d (limit %d)", f.at(100), f.most)
	}
	for i := range min(3, len(f.things)) {
		thing := f.things[len(f.things)-1-i]
		s += fmt.Sprintf("\n\t%4d %s", thing.size, thing.name)
	}
	return s
}

func figureFaults(figures []figure) (faults []string) {
	for _, f := range figures {
		if f.at(90) > f.p90 || f.most > 0 && f.at(100) > f.most {
			faults = append(faults, "too big: "+f.String())
		}
	}
	return faults
}

// measure sizes everything written by hand that is not a test.
func measure(code []houseFile) []figure {
	functions := figure{what: "lines of a function", p90: 42}
	files := figure{what: "lines of a file", p90: 400}
	interfaces := figure{what: "methods of an interface", p90: 5, most: 7}
	written := slices.DeleteFunc(slices.Clone(code), func(f houseFile) bool { return f.isTest() || ast.IsGenerated(f.tree) })
	for _, inFolder := range byFolder(written) {
		declared := interfacesOf(inFolder)
		for _, f := range inFolder {
			files.things = append(files.things, sized{f.path, bytes.Count(f.text, []byte("\n"))})
			for _, decl := range f.tree.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					from, to := f.fset.Position(fn.Pos()), f.fset.Position(fn.End())
					functions.things = append(functions.things, sized{f.path + " " + fn.Name.Name, to.Line - from.Line + 1})
				}
			}
		}
		for name, def := range declared {
			if n := countMethods(def, declared); n > 0 {
				interfaces.things = append(interfaces.things, sized{inFolder[0].folder() + " " + name, n})
			}
		}
	}
	figures := []figure{functions, files, interfaces}
	for _, f := range figures {
		slices.SortFunc(f.things, func(a, b sized) int { return a.size - b.size })
	}
	return figures
}

// interfacesOf finds the named interfaces of one package.
func interfacesOf(files []houseFile) map[string]*ast.InterfaceType {
	found := make(map[string]*ast.InterfaceType)
	for _, f := range files {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if def, ok := spec.Type.(*ast.InterfaceType); ok {
					found[spec.Name.Name] = def
				}
			}
			return true
		})
	}
	return found
}

// countMethods counts an embedded interface of the same package by its own
// methods, and one of another package as a single method.
func countMethods(def *ast.InterfaceType, declared map[string]*ast.InterfaceType) (n int) {
	for _, field := range def.Methods.List {
		switch kind := field.Type.(type) {
		case *ast.FuncType:
			n += len(field.Names)
		case *ast.Ident:
			if embedded, ok := declared[kind.Name]; ok {
				n += countMethods(embedded, declared)
			}
		case *ast.SelectorExpr:
			n++
		}
	}
	return n
}
