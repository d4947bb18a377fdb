package story_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A sabotage is test binaries in which removals can be switched on, one for each
// run: compiling takes longer than testing. Removal i has the number i+1.
type sabotage struct {
	removals []removal
	dir      string
}

// switchFile stands in each package that is changed.
const switchFile = `package %s

import (
	"os"
	"strconv"
)

var sabotage, _ = strconv.Atoi(os.Getenv("SABOTAGE"))

func sabotaged(n int) bool { return sabotage == n }

func sabotagedCall(n int, call func() error) error {
	if sabotage == n {
		return nil
	}
	return call()
}
`

// sabotages are one with all removals that can be switched, and one for each
// other.
func sabotages(t *testing.T, all []removal) (list []sabotage) {
	t.Helper()
	var together []removal
	for _, r := range all {
		if _, ok := r.switched(0); ok {
			together = append(together, r)
			continue
		}
		list = append(list, sabotage{[]removal{r}, t.TempDir()})
	}
	if len(together) > 0 {
		list = append(list, sabotage{together, t.TempDir()})
	}
	return list
}

// switched returns what stands in the place of what r changes: both, and number
// n chooses.
func (r removal) switched(n int) (text string, ok bool) {
	s := r.span(0)
	was := r.old[s.from:s.to]
	switch before := r.old[:s.from]; {
	case r.new == before+never+was+")"+r.old[s.to:]:
		return fmt.Sprintf("(!sabotaged(%d) && (%s))", n, was), true
	case r.new == before+noError+r.old[s.to:]:
		return fmt.Sprintf("sabotagedCall(%d, func() error { return %s })", n, was), true
	}
	return r.new[s.from : len(r.new)-len(r.old)+s.to], false
}

// make compiles the binaries.
func (s sabotage) make(t *testing.T, root string) {
	t.Helper()
	overlay := map[string]string{}
	write := func(name, text string) {
		to := filepath.Join(s.dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, filepath.FromSlash(name))] = to
	}
	for name, text := range s.texts(t) {
		f, err := newHouseFile(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		write(name, text)
		write(path.Join(f.folder(), "sabotage_switch.go"), fmt.Sprintf(switchFile, f.tree.Name.Name))
	}
	all, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "overlay.json")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.Command("go", append([]string{"test", "-c", "-vet=off", "-overlay", file, "-o", s.dir + string(filepath.Separator)}, s.packages()...)...)
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("the removals do not compile: %v\n%s", err, out)
	}
}

// texts are the changed files.
func (s sabotage) texts(t *testing.T) map[string]string {
	t.Helper()
	_, code := house(t)
	texts := map[string]string{}
	for _, f := range code {
		type change struct {
			at   span
			text string
		}
		var changes []change
		for i, r := range s.removals {
			if r.file == f.path {
				text, _ := r.switched(i + 1)
				changes = append(changes, change{r.span(strings.Index(string(f.text), r.old)), text})
			}
		}
		slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(b.at.from, a.at.from) })
		text, upTo := string(f.text), len(f.text)
		for _, c := range changes {
			if c.at.to > upTo {
				t.Fatalf("%s: two removals overlap at byte %d", f.path, c.at.from)
			}
			text, upTo = text[:c.at.from]+c.text+text[c.at.to:], c.at.from
			texts[f.path] = text
		}
	}
	return texts
}

// packages are those whose tests are named.
func (s sabotage) packages() []string {
	named := map[string]bool{}
	for _, r := range s.removals {
		named[r.pkg] = true
	}
	return slices.Sorted(maps.Keys(named))
}

// run demands that all named tests pass while nothing is removed, and then that
// they fail for each removal. It returns how many do.
func (s sabotage) run(t *testing.T, root string) (noticed int) {
	t.Helper()
	if _, ok := s.removals[0].switched(0); ok {
		for _, pkg := range s.packages() {
			var tests []string
			for _, r := range s.removals {
				if r.pkg == pkg {
					tests = append(tests, r.tests)
				}
			}
			if out, err := s.test(root, pkg, strings.Join(tests, "|"), 0); err != nil {
				t.Fatalf("%s: tests fail while nothing is removed: %v\n%s", pkg, err, out)
			}
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, 2)
	for i, r := range s.removals {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			out, err := s.test(root, r.pkg, r.tests, i+1)
			verdict, good := judge(out, err)
			mu.Lock()
			defer mu.Unlock()
			fmt.Printf("%-8s %s\n", verdict, r)
			if good {
				noticed++
				return
			}
			t.Errorf("%s: %s: %s: %s %s\n%s", r.list, r, verdict, r.pkg, r.tests, out)
		})
	}
	all.Wait()
	return noticed
}

// test runs tests of a package with one removal, 0 for none.
func (s sabotage) test(root, pkg, tests string, number int) (out string, err error) {
	run := exec.Command(filepath.Join(s.dir, path.Base(pkg)+".test"), "-test.failfast", "-test.timeout=10m", "-test.run=^("+tests+")$")
	run.Dir = filepath.Join(root, filepath.FromSlash(pkg))
	run.Env = append(os.Environ(), fmt.Sprintf("SABOTAGE=%d", number))
	b, err := run.CombinedOutput()
	return string(b), err
}

// judge tells what became of a removal. That a test waits for ever, or does not
// run, shows nothing.
func judge(out string, err error) (verdict string, good bool) {
	switch {
	case err == nil:
		return "SURVIVED", false
	case strings.Contains(out, "panic: test timed out"):
		return "TIMEOUT", false
	case strings.Contains(out, "--- FAIL: "):
		return "noticed", true
	case strings.Contains(out, "panic: "): // outside of the test's goroutine
		return "panicked", true
	}
	return "BROKEN", false
}
