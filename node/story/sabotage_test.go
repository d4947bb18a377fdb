package story_test

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A removal takes one verification out of the code. The lists in
// testdata/sabotage hold all of them, and which tests have to notice:
//
//	@@ federation/profile.go | ./federation TestForms | readClaim: host %q is not ours
//	-	if !slices.Contains(hosts, wire.NodeName(f.host)) {
//	+	if false && (!slices.Contains(hosts, wire.NodeName(f.host))) {
//
// The lines after - occur exactly once in the file and are replaced by those
// after +. A reason stands in place of the package and the tests where nothing
// notices: "doubled" where another check, or what comes after, refuses the same
// input, so that no test can tell the difference, and "unnoticed" where a test is
// missing.
//
//	@@ federation/wire/cbor.go | doubled: the encoding is compared as well | DecodeCBOR: not the expected CBOR: %v
type removal struct {
	list     string // where it stands: file:line
	file     string
	why      string // reason, or empty
	pkg      string // such as ./federation
	tests    string // names with | between
	name     string
	old, new string
}

var reason = regexp.MustCompile(`^(doubled|unnoticed): .`)

func (r removal) String() string { return r.file + ": " + r.name }

// parseRemovals reads a list. Lines that begin with # are comments.
func parseRemovals(list, text string) (all []removal, err error) {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		mark, rest := "", line
		if line != "" {
			mark, rest = line[:1], line[1:]
		}
		last := len(all) - 1
		switch {
		case mark == "" || mark == "#" || mark == "\n":
		case mark == "@":
			f := strings.SplitN(strings.TrimSuffix(strings.TrimPrefix(line, "@@ "), "\n"), " | ", 3)
			if len(f) != 3 {
				return nil, fmt.Errorf("%s:%d: file | package tests | name was expected", list, i+1)
			}
			r := removal{list: fmt.Sprintf("%s:%d", list, i+1), file: f[0], name: f[2]}
			if reason.MatchString(f[1]) {
				r.why = f[1]
			} else if r.pkg, r.tests, _ = strings.Cut(f[1], " "); r.tests == "" {
				return nil, fmt.Errorf("%s: no tests are named", r.list)
			}
			all = append(all, r)
		case last >= 0 && mark == "-" && all[last].new == "":
			all[last].old += rest
		case last >= 0 && mark == "+" && all[last].old != "":
			all[last].new += rest
		default:
			return nil, fmt.Errorf("%s:%d: a line that belongs nowhere", list, i+1)
		}
	}
	return all, nil
}

// removals reads all lists.
func removals(t *testing.T) (all []removal) {
	t.Helper()
	lists, err := filepath.Glob("testdata/sabotage/*.txt")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no lists of removals: %v", err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		some, err := parseRemovals(filepath.Base(list), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// TestRemovalsApply keeps the lists from rotting: each removal still fits the
// code, and the tests that have to notice it exist.
func TestRemovalsApply(t *testing.T) {
	undetected(t)
	_, code := house(t)
	report(t, removalFaults(removals(t), code))
}

func removalFaults(all []removal, code []houseFile) (faults []string) {
	files, tests := map[string]houseFile{}, map[string][]string{}
	for _, f := range code {
		files[f.path] = f
		if f.isTest() {
			tests["./"+f.folder()] = append(tests["./"+f.folder()], testNames(f)...)
		}
	}
	seen := map[string]bool{}
	for _, r := range all {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("%s: %s: ", r.list, r)+fmt.Sprintf(format, args...))
		}
		if seen[r.file+"\n"+r.old+"\n"+r.new] {
			fault("is listed twice")
		}
		seen[r.file+"\n"+r.old+"\n"+r.new] = true
		f := files[r.file]
		if n := strings.Count(string(f.text), r.old); n != 1 || r.old == r.new {
			fault("the old text occurs %d times, or is the new one", n)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), r.file, strings.Replace(string(f.text), r.old, r.new, 1), 0); err != nil {
			fault("does not parse: %v", err)
		}
		for name := range strings.SplitSeq(r.tests, "|") {
			if r.why == "" && !slices.Contains(tests[r.pkg], name) {
				fault("%s has no %s", r.pkg, name)
			}
		}
	}
	return faults
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

func testNames(f houseFile) (names []string) {
	for _, m := range testFunc.FindAllStringSubmatch(string(f.text), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestRemovalsAreComplete demands a removal for each site that sites finds.
func TestRemovalsAreComplete(t *testing.T) {
	undetected(t)
	_, code := house(t)
	report(t, siteFaults(removals(t), code))
}

func siteFaults(all []removal, code []houseFile) (faults []string) {
	for _, f := range code {
		if !verifies(f) {
			continue
		}
		var done []span
		for _, r := range all {
			if at := strings.Index(string(f.text), r.old); r.file == f.path && at >= 0 {
				done = append(done, r.span(at))
			}
		}
		for _, s := range sites(f) {
			if !slices.ContainsFunc(done, s.at.holds) {
				faults = append(faults, fmt.Sprintf("no removal for\n%s", s.removal(f)))
			}
		}
	}
	return faults
}

// A span is a part of a file, in bytes.
type span struct{ from, to int }

// holds reports whether inner is a part of s.
func (s span) holds(inner span) bool { return s.from <= inner.from && inner.to <= s.to }

// What a removal makes of a condition, and of the last call of a function.
const (
	never   = "false && ("
	noError = "error(nil)"
)

// span returns what r changes, when its old text begins at at: the whole of it,
// unless it makes a condition never hold or drops a last call.
func (r removal) span(at int) span {
	if from := strings.Index(r.new, never); from >= 0 && strings.HasPrefix(r.old, r.new[:from]) {
		for to := len(r.old); to > from; to-- {
			if r.new[from:] == never+r.old[from:to]+")"+r.old[to:] && isExpression(r.old[from:to]) {
				return span{at + from, at + to}
			}
		}
	}
	if before, after, ok := strings.Cut(r.new, noError); ok && strings.HasPrefix(r.old, before) && strings.HasSuffix(r.old, after) {
		return span{at + len(before), at + len(r.old) - len(after)}
	}
	return span{at, at + len(r.old)}
}

func isExpression(s string) bool {
	_, err := parser.ParseExpr(s)
	return err == nil
}

// TestSabotage removes the verifications one at a time, each by an overlay on
// the compiler's view of the tree, and demands that the tests that are named
// beside it fail. It runs on request:
//
//	PEERBRAIN_SABOTAGE=1       all
//	PEERBRAIN_SABOTAGE=REGEXP  those whose file and name match
//	PEERBRAIN_SABOTAGE_SAMPLE  that many of them, chosen by PEERBRAIN_SABOTAGE_SEED
func TestSabotage(t *testing.T) {
	wanted := os.Getenv("PEERBRAIN_SABOTAGE")
	if wanted == "" {
		t.Skip("takes minutes: run make sabotage")
	}
	all := removals(t)
	if wanted != "1" {
		match, err := regexp.Compile(wanted)
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(r removal) bool { return !match.MatchString(r.String()) })
	}
	count := map[string]int{}
	all = slices.DeleteFunc(all, func(r removal) bool {
		kind, _, _ := strings.Cut(r.why, ":")
		count[kind]++
		return r.why != ""
	})
	if len(all) == 0 {
		t.Fatalf("no removal matches %q", wanted)
	}
	all = sample(t, all)
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for _, s := range sabotages(t, all) {
		s.make(t, root)
		noticed += s.run(t, root)
	}
	fmt.Printf("%d verifications removed one at a time, %d noticed; not removed: %d doubled by others, %d that no test notices yet\n",
		len(all), noticed, count["doubled"], count["unnoticed"])
}

// sample chooses at random, when it is asked to.
func sample(t *testing.T, all []removal) []removal {
	t.Helper()
	want := number(t, "PEERBRAIN_SABOTAGE_SAMPLE", uint64(len(all)))
	if want >= uint64(len(all)) {
		return all
	}
	seed := number(t, "PEERBRAIN_SABOTAGE_SEED", rand.Uint64N(1_000_000))
	fmt.Printf("%d of %d removals, by seed %d\n", want, len(all), seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:want]
	slices.SortFunc(all, func(a, b removal) int {
		return cmp.Or(strings.Compare(a.file, b.file), strings.Compare(a.list, b.list))
	})
	return all
}

func number(t *testing.T, env string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return otherwise
	}
	var n uint64
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
		t.Fatalf("%s: %q is no number", env, s)
	}
	return n
}
