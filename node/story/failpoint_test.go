package story_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A failpoint is a place in the code of a node at which it kills itself with
// SIGKILL, when it is told to. The code in the tree holds none: the node is built
// from an overlay in which a call stands before the line that is named. They are
// listed in testdata/crash/failpoints.txt, one a line, # begins a comment:
//
//	name | under | passes | file | line
//
// The line, without what it is indented by, occurs exactly once in the file.
type failpoint struct {
	name   string
	under  string // what leads there: a kind of deed, or begin, serve, end
	passes int    // it happens in one of so many, chosen at random
	file   string // from the root, or behind the path of a module
	line   string
}

const (
	failpointList     = "testdata/crash/failpoints.txt"
	rotationList      = "testdata/crash/rotation.txt"
	failpointVariable = "FAILPOINT" // NAME:PASS
)

// failpointFile stands in each package that has failpoints.
const failpointFile = `package %s

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	failpointName, failpointPass, _ = strings.Cut(os.Getenv("` + failpointVariable + `"), ":")
	failpointPassed                 atomic.Int64
)

func failpoint(name string) {
	if name == failpointName && strconv.FormatInt(failpointPassed.Add(1), 10) == failpointPass {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more is done
	}
}
`

// failpoints reads the list of those that the loops of kills go through.
func failpoints(t testing.TB) []failpoint { return failpointsIn(t, failpointList) }

// failpointsIn reads a list.
func failpointsIn(t testing.TB, list string) (all []failpoint) {
	t.Helper()
	for line := range strings.Lines(string(must(os.ReadFile(list)))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " | ", 5)
		if len(f) != 5 {
			t.Fatalf("%s: %q: five fields were expected", list, line)
		}
		passes, err := strconv.Atoi(f[2])
		if err != nil || passes < 1 {
			t.Fatalf("%s: %q: a number of passes was expected", list, line)
		}
		all = append(all, failpoint{f[0], f[1], passes, f[3], f[4]})
	}
	return all
}

// Parts of the node that run with one kind of store only, by what the path of a
// file begins with, or by the name of a place.
var (
	onlyEmbedded = []string{"node/store/bolt/", bboltPath, "loaded"}
	onlyDatabase = []string{"node/store/mongo/", "node/database.go", "node/news.go", "node/hear.go"}
	// Only where there are many copies are some trimmed.
	onlyMany = []string{"node/gap.go", "node/refill.go", "node/room.go"}
)

// without leaves out the failpoints in some parts of the code, and with some names.
func without(points []failpoint, parts []string) []failpoint {
	return slices.DeleteFunc(points, func(p failpoint) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return p.name == part || strings.HasPrefix(p.file, part) })
	})
}

// bboltPath is the module whose code has failpoints too.
const bboltPath = "go.etcd.io/bbolt"

// bboltFolder is where its code lies.
var bboltFolder = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", bboltPath).Output()
	return strings.TrimSpace(string(out)), err
})

// Changes of the code, in the form of removals.
const (
	// Faults are what the loop of kills has to find.
	faultList = "testdata/crash/faults.txt"
	// Apart lets a store make each change of an Apply by itself. That is all that
	// package store promises, so a node has to live with an end in between.
	apartList = "testdata/crash/apart.txt"
	// Quick lets the processes of a node notice a death sooner.
	quickList = "testdata/crash/quick.txt"
	// Hurry lets nodes change their keys in seconds.
	hurryList = "testdata/crash/hurry.txt"
)

func changesOf(t testing.TB, list string) []removal {
	t.Helper()
	all, err := parseRemovals(list, string(must(os.ReadFile(list))))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A crashFault is a change that the loop of kills has to find.
type crashFault struct {
	removal
	places []failpoint // where a node has to die for it to show; nil: anywhere
}

// crashFaults reads their list. Names of places stand behind that of the fault.
func crashFaults(t testing.TB) (all []crashFault) {
	t.Helper()
	points := failpoints(t)
	for _, r := range changesOf(t, faultList) {
		name, places, _ := strings.Cut(r.name, " | ")
		f := crashFault{removal: r}
		f.name = name
		for place := range strings.FieldsSeq(places) {
			at := slices.IndexFunc(points, func(p failpoint) bool { return p.name == place })
			if at < 0 {
				t.Fatalf("%s: no failpoint is called %q", r.list, place)
			}
			f.places = append(f.places, points[at])
		}
		all = append(all, f)
	}
	return all
}

// A crashBuild is a node with failpoints, and perhaps with faults.
type crashBuild struct {
	root  string            // of the repository
	dir   string            // for everything that is made
	texts map[string]string // changed files, by the names that failpoints have
}

// buildCrash returns the folder of the binary. Faults are changes of the code.
func buildCrash(t testing.TB, points []failpoint, faults ...removal) string {
	t.Helper()
	b := &crashBuild{root: must(houseRoot()), dir: t.TempDir(), texts: map[string]string{}}
	for _, r := range faults {
		if n := strings.Count(b.text(r.file), r.old); n != 1 {
			t.Fatalf("%s: the old text occurs %d times", r, n)
		}
		b.texts[r.file] = strings.Replace(b.text(r.file), r.old, r.new, 1)
	}
	for _, p := range points {
		text, err := p.put(b.text(p.file))
		if err != nil && len(faults) == 0 {
			t.Fatal(err)
		}
		if err == nil {
			b.texts[p.file] = text
		}
	}
	if err := b.build(); err != nil {
		t.Fatal(err)
	}
	return b.dir
}

func (b *crashBuild) text(file string) string {
	if text, ok := b.texts[file]; ok {
		return text
	}
	return string(must(os.ReadFile(sourceOf(b.root, file))))
}

// sourceOf is where a file lies that a failpoint names.
func sourceOf(root, file string) string {
	if inside, ok := strings.CutPrefix(file, bboltPath+"/"); ok {
		return filepath.Join(must(bboltFolder()), filepath.FromSlash(inside))
	}
	return filepath.Join(root, filepath.FromSlash(file))
}

// put puts the call into the text of its file.
func (p failpoint) put(text string) (string, error) {
	lines := strings.Split(text, "\n")
	at := -1
	for i, line := range lines {
		if strings.TrimSpace(line) == p.line {
			if at >= 0 {
				return text, fmt.Errorf("failpoint %s: %s has its line twice: %s", p.name, p.file, p.line)
			}
			at = i
		}
	}
	if at < 0 {
		return text, fmt.Errorf("failpoint %s: %s does not have its line: %s", p.name, p.file, p.line)
	}
	return strings.Join(slices.Insert(lines, at, fmt.Sprintf("failpoint(%q)", p.name)), "\n"), nil
}

// build compiles. Files of the repository are overlaid; the go command lets
// nobody do that to a module, so a copy of it takes its place.
func (b *crashBuild) build() error {
	overlay, module := map[string]string{}, filepath.Join(b.dir, "bbolt")
	if err := os.CopyFS(module, os.DirFS(must(bboltFolder()))); err != nil {
		return err
	}
	folders := map[string]bool{}
	write := func(file, text string) error {
		if inside, ok := strings.CutPrefix(file, bboltPath+"/"); ok {
			return os.WriteFile(filepath.Join(module, filepath.FromSlash(inside)), []byte(text), 0o600)
		}
		to := filepath.Join(b.dir, strings.ReplaceAll(file, "/", "_"))
		overlay[filepath.Join(b.root, filepath.FromSlash(file))] = to
		return os.WriteFile(to, []byte(text), 0o600)
	}
	for file, text := range b.texts {
		if err := write(file, text); err != nil {
			return err
		}
		if folder := path.Dir(file); !folders[folder] {
			folders[folder] = true
			if err := write(path.Join(folder, "failpoint.go"), fmt.Sprintf(failpointFile, path.Base(folder))); err != nil {
				return err
			}
		}
	}
	flags := filepath.Join(b.dir, "overlay.json")
	if err := os.WriteFile(flags, must(json.Marshal(map[string]any{"Replace": overlay})), 0o600); err != nil {
		return err
	}
	mod := string(must(os.ReadFile(filepath.Join(b.root, "go.mod")))) + fmt.Sprintf("\nreplace %s => %s\n", bboltPath, module)
	if err := os.WriteFile(filepath.Join(b.dir, "crash.mod"), []byte(mod), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "crash.sum"), must(os.ReadFile(filepath.Join(b.root, "go.sum"))), 0o600); err != nil {
		return err
	}
	return build(b.root, b.dir, "-trimpath", "-overlay", flags, "-modfile", filepath.Join(b.dir, "crash.mod"), "./"+nodeBinary)
}

// TestFailpointsFit keeps the list from rotting: each still names a line that
// occurs once, and the code with its call parses.
func TestFailpointsFit(t *testing.T) {
	root, names := must(houseRoot()), map[string]bool{}
	all := slices.Concat(failpoints(t), failpointsIn(t, rotationList), failpointsIn(t, passwdList), failpointsIn(t, deleteList))
	for _, p := range all {
		if names[p.name] {
			t.Errorf("failpoint %s is listed twice", p.name)
		}
		names[p.name] = true
		if !slices.Contains(slices.Concat(deedKinds, []string{underBegin, underServe, underEnd, underRotate, underRotateRoot, underPasswd, underDelete}), p.under) {
			t.Errorf("failpoint %s: nothing is called %q", p.name, p.under)
		}
		text, err := p.put(string(must(os.ReadFile(sourceOf(root, p.file)))))
		if err == nil {
			_, err = parser.ParseFile(token.NewFileSet(), p.file, text, 0)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if len(all) == 0 {
		t.Error("no failpoints are listed")
	}
}

// TestCrashChangesFit does the same for the changes of the code that the loop of
// kills makes. A fault leaves the places in the code that it names.
func TestCrashChangesFit(t *testing.T) {
	undetected(t)
	_, code := house(t)
	for _, list := range []string{faultList, apartList, quickList, hurryList} {
		all := changesOf(t, list)
		report(t, removalFaults(all, code))
		if len(all) == 0 {
			t.Errorf("%s is empty", list)
		}
	}
	root := must(houseRoot())
	for _, f := range crashFaults(t) {
		for _, p := range f.places {
			text := string(must(os.ReadFile(sourceOf(root, p.file))))
			if p.file == f.file {
				text = strings.Replace(text, f.old, f.new, 1)
			}
			if _, err := p.put(text); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}
