package story_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// checked is a file with one site of each kind, and some that are none.
const checked = `package wire

func check(a, b int) error {
	if a == 1 || b == 2 && a != 3 {
		return Errorf(Invalid, "a", "%d is | none", a)
	}
	if err := verify(b); err != nil {
		return err
	}
	switch {
	case a == 4:
		return Errorf(Tampered, "a", "four")
	case b == 5:
		return nil
	}
	if a > b { // nothing is refused
		return nil
	}
	v, err := open(a)
	if err != nil {
		return errTampered(v)
	}
	return checkMore(a)
}

func Sign(a int) error {
	if a == 1 {
		return Errorf(Invalid, "a", "one")
	}
	return nil
}
`

func TestSites(t *testing.T) {
	f := parse(t, "federation/wire/a.go", checked)[0]
	var got []string
	for _, s := range sites(f) {
		got = append(got, s.name+" = "+string(f.text[s.at.from:s.at.to])+" -> "+s.text)
	}
	want := []string{
		`check: %d is or none <a == 1> = a == 1 -> false && (a == 1)`,
		`check: %d is or none <b == 2 && a != 3> = b == 2 && a != 3 -> false && (b == 2 && a != 3)`,
		`check: without verify = err != nil -> false && (err != nil)`,
		`check: four = a == 4 -> false && (a == 4)`,
		`check: without open = err != nil -> false && (err != nil)`,
		`check: without checkMore = checkMore(a) -> error(nil)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !verifies(f) || verifies(parse(t, "federation/wire/a_test.go", checked)[0]) || verifies(parse(t, "node/store/a.go", checked)[0]) {
		t.Error("other files are looked at than those that verify")
	}
}

// TestRemovalGuards shows that a list that has rotted is found out.
func TestRemovalGuards(t *testing.T) {
	code := parse(t, "federation/wire/a.go", checked, "federation/wire/a_test.go", "package wire\nfunc TestA(t *testing.T) {}")
	var list strings.Builder
	for _, s := range sites(code[0]) {
		list.WriteString(strings.Replace(s.removal(code[0]), "TestX", "TestA", 1))
	}
	good := list.String()
	for _, test := range []struct {
		name   string
		change func(string) string
		want   string // part of the only fault
	}{
		{"as it should be", func(s string) string { return s }, ""},
		{"doubled", func(s string) string {
			return strings.Replace(s, "./federation/wire TestA | check: four", "doubled: by five | check: four", 1)
		}, ""},
		{"comments", func(s string) string { return "# words\n\n" + s }, ""},
		{"the code has moved on", func(s string) string { return strings.ReplaceAll(s, "case a == 4", "case a == 44") }, "occurs 0 times"},
		{"not clear", func(s string) string {
			return s + "@@ federation/wire/a.go | ./federation/wire TestA | x\n-\t\treturn nil\n+\t\treturn err\n"
		}, "occurs 2 times"},
		{"no change", func(s string) string {
			return s + "@@ federation/wire/a.go | ./federation/wire TestA | x\n-\tcase b == 5:\n+\tcase b == 5:\n"
		}, "or is the new one"},
		{"no Go", func(s string) string {
			return s + "@@ federation/wire/a.go | ./federation/wire TestA | x\n-\tcase b == 5:\n+\tcase b ==:\n"
		}, "does not parse"},
		{"no such test", func(s string) string { return strings.Replace(s, "TestA", "TestA|TestB", 1) }, "has no TestB"},
		{"twice", func(s string) string { return s + s[strings.LastIndex(s, "@@"):] }, "twice"},
		{"one less", func(s string) string { return s[:strings.LastIndex(s, "@@")] }, "without checkMore"},
	} {
		all, err := parseRemovals("x.txt", test.change(good))
		if err != nil {
			t.Fatal(err)
		}
		faults := removalFaults(all, code)
		if len(faults) == 0 {
			faults = siteFaults(all, code)
		}
		if test.want == "" && len(faults) > 0 || test.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], test.want)) {
			t.Errorf("%s: got faults %q, want one with %q", test.name, faults, test.want)
		}
	}
	for _, bad := range []string{"@@ a.go | x\n", "@@ a.go | ./p | x\n", "-a\n", "@@ a.go | ./p TestA | x\n+a\n", "words\n"} {
		if _, err := parseRemovals("x.txt", bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// TestSwitches shows what is compiled for a removal, and how a run is judged.
func TestSwitches(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"if f(a) {", "if false && (f(a)) {", "(!sabotaged(7) && (f(a)))"},
		{"case a == (1):", "case false && (a == (1)):", "(!sabotaged(7) && (a == (1)))"},
		{"if a || f(b) {", "if a || false && (f(b)) {", "(!sabotaged(7) && (f(b)))"},
		{"return check(a)", "return error(nil)", "sabotagedCall(7, func() error { return check(a) })"},
	} {
		if got, ok := (removal{old: c.old, new: c.new}).switched(7); !ok || got != c.want {
			t.Errorf("%q: got %q, %t, want %q", c.old, got, ok, c.want)
		}
	}
	if got, ok := (removal{old: "a()\nb()\n", new: "b()\n"}).switched(7); ok || got != "b()\n" {
		t.Errorf("another removal became %q, %t", got, ok)
	}
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		out  string
		err  error
		want bool
	}{
		{"PASS", nil, false}, {"--- FAIL: TestA", failed, true}, {"panic: nil pointer", failed, true},
		{"--- FAIL: TestA\npanic: test timed out after 10m0s", failed, false}, {"no such file", failed, false},
	} {
		if verdict, good := judge(c.out, c.err); good != c.want {
			t.Errorf("%q, %v is judged %s", c.out, c.err, fmt.Sprint(verdict))
		}
	}
}
