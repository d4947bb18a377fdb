package story_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// module is the import path of the repository's root, which holds no package.
const module = "github.com/peerbrain/peerbrain"

// houseFile is one file of the repository, by its slash-separated path from
// the root. Only Go files outside testdata have a syntax tree.
type houseFile struct {
	path string
	text []byte
	fset *token.FileSet
	tree *ast.File
}

func (f houseFile) folder() string { return path.Dir(f.path) }
func (f houseFile) isTest() bool   { return strings.HasSuffix(f.path, "_test.go") }

// isGenerator reports whether go generate runs the file, which is a program by itself.
func (f houseFile) isGenerator() bool {
	return slices.Contains(generators, f.path) && bytes.HasPrefix(f.text, []byte("//go:build ignore\n"))
}

// imports returns the import specs' paths, those of this module without its prefix.
func (f houseFile) imports() []string {
	var paths []string
	for _, spec := range f.tree.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, strings.TrimPrefix(p, module+"/"))
	}
	return paths
}

// newHouseFile parses text when name is that of a Go file.
func newHouseFile(name string, text []byte) (houseFile, error) {
	f := houseFile{path: name, text: text, fset: token.NewFileSet()}
	if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
		return f, nil
	}
	var err error
	f.tree, err = parser.ParseFile(f.fset, name, text, parser.ParseComments)
	return f, err
}

// houseRoot is the folder of go.mod.
var houseRoot = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
})

// houseFiles reads every file that git tracks or would track.
var houseFiles = sync.OnceValues(func() ([]houseFile, error) {
	root, err := houseRoot()
	if err != nil {
		return nil, err
	}
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	out, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	slices.Sort(names)
	var files []houseFile
	for _, name := range slices.Compact(names) {
		// Looked into so that go test's cache knows a new file from an old result.
		if _, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(path.Dir(name)))); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // removed, and the removal not yet committed
		}
		if err != nil {
			return nil, err
		}
		f, err := newHouseFile(name, text)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
})

// house returns the files of the repository, and those of them that are Go.
func house(t *testing.T) (all, code []houseFile) {
	t.Helper()
	all, err := houseFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.tree != nil {
			code = append(code, f)
		}
	}
	return all, code
}

// report fails the test once for each fault.
func report(t *testing.T, faults []string) {
	t.Helper()
	for _, fault := range faults {
		t.Error(fault)
	}
}

func TestPackageComments(t *testing.T) {
	_, code := house(t)
	report(t, commentFaults(code))
}

// commentFaults wants exactly one comment for each package: in one of its
// files, or in one of its test files if it has no others.
func commentFaults(code []houseFile) (faults []string) {
	for folder, files := range byFolder(code) {
		files = slices.DeleteFunc(files, houseFile.isGenerator)
		if slices.ContainsFunc(files, func(f houseFile) bool { return !f.isTest() }) {
			files = slices.DeleteFunc(files, houseFile.isTest)
		}
		var in []string
		for _, f := range files {
			doc := f.tree.Doc.Text()
			if doc == "" {
				continue
			}
			in = append(in, path.Base(f.path))
			if name := f.tree.Name.Name; name != "main" && !strings.HasPrefix(doc, "Package "+name+" ") {
				faults = append(faults, fmt.Sprintf("%s: the package comment does not begin with %q", f.path, "Package "+name))
			}
		}
		if len(in) != 1 {
			faults = append(faults, fmt.Sprintf("%s: want one package comment, got %d %v", folder, len(in), in))
		}
	}
	return faults
}

func byFolder(files []houseFile) map[string][]houseFile {
	m := make(map[string][]houseFile)
	for _, f := range files {
		m[f.folder()] = append(m[f.folder()], f)
	}
	return m
}

func TestNoInit(t *testing.T) {
	_, code := house(t)
	report(t, initFaults(code))
}

// initFaults finds what runs without being called.
func initFaults(code []houseFile) (faults []string) {
	for _, f := range code {
		for _, decl := range f.tree.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults, fmt.Sprintf("%s: has an init function", f.fset.Position(fn.Pos())))
			}
		}
		for i, to := range f.imports() {
			if name := f.tree.Imports[i].Name; name != nil && name.Name == "_" && to != "embed" {
				faults = append(faults, fmt.Sprintf("%s: imports %s for its effects", f.path, to))
			}
		}
	}
	return faults
}

func TestLeaks(t *testing.T) {
	_, code := house(t)
	report(t, leakFaults(code))
}

// leakFaults wants every package with tests to look for goroutines that they
// leave behind. TestMain is the one place from which that sees all of them.
func leakFaults(code []houseFile) (faults []string) {
	for folder, files := range byFolder(code) {
		files = slices.DeleteFunc(files, func(f houseFile) bool { return !f.isTest() })
		if len(files) > 0 && !(anyNode(files, isTestMain) && anyNode(files, callsGoleak)) {
			faults = append(faults, folder+": has no TestMain with goleak.VerifyTestMain")
		}
	}
	return faults
}

func isTestMain(n ast.Node) bool {
	fn, ok := n.(*ast.FuncDecl)
	return ok && fn.Recv == nil && fn.Name.Name == "TestMain"
}

func callsGoleak(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	return ok && isSelector(call.Fun, "goleak", "VerifyTestMain")
}

// isSelector tells whether n is written x.name.
func isSelector(n ast.Node, x, name string) bool {
	s, ok := n.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == x
}

// anyNode looks through the trees of files for a node that is as asked for.
func anyNode(files []houseFile, is func(ast.Node) bool) (found bool) {
	for _, f := range files {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			found = found || n != nil && is(n)
			return !found
		})
	}
	return found
}

func TestSecretsAreTested(t *testing.T) {
	_, code := house(t)
	report(t, secretFaults(code))
}

// secretTests is the package of what every secret must do. It names what sounds
// like one.
const secretTests = "federation/wire/secrettest"

// secretFaults wants each package that has something which sounds like a secret
// to test that it is not written out; which names that test has to know, the
// test finds itself.
func secretFaults(code []houseFile) (faults []string) {
	for folder, files := range byFolder(code) {
		var names []string
		tested := false
		for _, f := range files {
			switch asks := slices.Contains(f.imports(), secretTests); {
			case f.isTest():
				tested = tested || asks
			case asks:
				faults = append(faults, f.path+": links "+secretTests+", which is for tests")
			default:
				names = append(names, secrettest.Names(f.tree)...)
			}
		}
		if len(names) > 0 && !tested {
			faults = append(faults, fmt.Sprintf("%s: no test fills a table of %s, and these sound like secrets: %v", folder, secretTests, names))
		}
	}
	return faults
}

func TestLayout(t *testing.T) {
	all, code := house(t)
	report(t, topFaults(all))
	report(t, nameFaults(code))
}

// topLevel is all that may stand in the root, beside the folders of the house.
var (
	topFolders = []string{".ci", "client", "docs", "federation", "keyservice", "node"}
	topFiles   = []string{
		".dockerignore", ".editorconfig", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile",
		"LICENSE", "Makefile", "README.md", "SECURITY.md", "config.example.yaml", "docker-compose.yml", "go.mod", "go.sum",
	}
	drawers = []string{"common", "helpers", "models", "shared", "types", "util", "utils"}
	mains   = []string{peerBinary, wasmBinary, nodeBinary}

	generators = []string{"client/web/build.go"}
)

func topFaults(all []houseFile) (faults []string) {
	for _, f := range all {
		folder, _, nested := strings.Cut(f.path, "/")
		if nested && !slices.Contains(topFolders, folder) || !nested && !slices.Contains(topFiles, f.path) {
			faults = append(faults, f.path+": does not belong at the top of the repository")
		}
	}
	return faults
}

// nameFaults wants folder and package to have one name, and a good one.
func nameFaults(code []houseFile) (faults []string) {
	for _, f := range code {
		name := f.tree.Name.Name
		if f.isTest() {
			name = strings.TrimSuffix(name, "_test")
		}
		if slices.Contains(drawers, path.Base(f.folder())) || slices.Contains(drawers, name) {
			faults = append(faults, fmt.Sprintf("%s: package %s says nothing of what it provides", f.path, name))
		}
		if isMain := slices.Contains(mains, f.folder()); isMain != (name == "main") && !f.isGenerator() || !isMain && !f.isGenerator() && name != path.Base(f.folder()) {
			faults = append(faults, fmt.Sprintf("%s: package %s in folder %s", f.path, name, f.folder()))
		}
	}
	return faults
}

func TestGofmt(t *testing.T) {
	undetected(t)
	_, code := house(t)
	report(t, formatFaults(code))
}

func formatFaults(code []houseFile) (faults []string) {
	for _, f := range code {
		if formatted, err := format.Source(f.text); err != nil || !bytes.Equal(formatted, f.text) {
			faults = append(faults, f.path+": not formatted; run gofmt -w")
		}
	}
	return faults
}

func TestNoMachinePaths(t *testing.T) {
	undetected(t)
	all, _ := house(t)
	report(t, leftoverFaults(all))
}

// Spelled so that they do not find themselves.
var (
	machinePath = regexp.MustCompile("(?m)(?:^|[\\s\"'`=:(<,\\[])(/(?:work|tmp|root|home|Users)/[\\w.-]+)")
	nakedNote   = regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME)\b(?:[^(]|$)`)
)

// leftoverFaults finds paths of somebody's machine, and notes to oneself that
// name no issue or person in brackets.
func leftoverFaults(all []houseFile) (faults []string) {
	for _, f := range all {
		if bytes.IndexByte(f.text, 0) >= 0 {
			continue // not text
		}
		for i, line := range strings.Split(string(f.text), "\n") {
			if found := machinePath.FindStringSubmatch(line); found != nil {
				faults = append(faults, fmt.Sprintf("%s:%d: the path %s is of one machine only", f.path, i+1, found[1]))
			}
			if nakedNote.MatchString(line) {
				faults = append(faults, fmt.Sprintf("%s:%d: a note that says neither who nor where", f.path, i+1))
			}
		}
	}
	return faults
}
