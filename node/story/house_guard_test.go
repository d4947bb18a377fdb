package story_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// parse makes files of names and texts by turns.
func parse(t *testing.T, pairs ...string) (files []houseFile) {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		f, err := newHouseFile(pair[0], []byte(pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// importing is a Go file of package p that imports paths, those of folders of
// the module without its prefix.
func importing(p string, paths ...string) string {
	s := "package " + p + "\n"
	for _, to := range paths {
		if partOf(to) != "" {
			to = module + "/" + to
		}
		s += fmt.Sprintf("import %q\n", to)
	}
	return s
}

// TestGuards shows that each guard finds its fault, and only that.
func TestGuards(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	oversize := func(code []houseFile) []string { return figureFaults(measure(code)) }
	for _, test := range []struct {
		name  string
		guard func([]houseFile) []string
		files []string
		want  string // part of the only fault; "" for no fault
	}{
		{"a comment", commentFaults, []string{"p/a.go", "// Package p is.\npackage p", "p/b.go", "package p", "p/p_test.go", "// Package p_test.\npackage p_test"}, ""},
		{"a comment on tests alone", commentFaults, []string{"p/p_test.go", "// Package p_test is.\npackage p_test"}, ""},
		{"a comment on a main", commentFaults, []string{"p/main.go", "// Peerbrain does.\npackage main"}, ""},
		{"no comment", commentFaults, []string{"p/a.go", "package p"}, "got 0"},
		{"no comment but a build tag", commentFaults, []string{"p/a.go", "//go:build js\n\npackage p"}, "got 0"},
		{"no comment but on a test", commentFaults, []string{"p/a.go", "package p", "p/p_test.go", "// Package p is.\npackage p"}, "got 0"},
		{"two comments", commentFaults, []string{"p/a.go", "// Package p is.\npackage p", "p/b.go", "// Package p is.\npackage p"}, "got 2"},
		{"a comment of another package", commentFaults, []string{"p/a.go", "// Package q is.\npackage p"}, "does not begin"},

		{"arrows down", arrowFaults, []string{
			"federation/wire/a.go", importing("wire", "fmt"),
			"federation/a.go", importing("federation", "federation/wire"),
			"keyservice/a.go", importing("keyservice", "federation/wire"),
			"keyservice/a_test.go", importing("keyservice_test", "keyservice", "pgregory.net/rapid"),
			"client/internal/seal/a.go", importing("seal", "federation/wire"),
			"client/a.go", importing("client", "client/internal/seal", "keyservice"),
			"client/peerbrain/a.go", importing("main", "client", "client/web"),
			"node/store/bolt/a.go", importing("bolt", "node/store", "go.etcd.io/bbolt"),
			"node/a.go", importing("node", "federation", "keyservice", "node/store"),
			"node/peerbrain-node/a.go", importing("main", "node", "node/store/bolt", "client/web"),
			"node/story/a_test.go", importing("story_test", "node", "client"),
		}, ""},
		{"wire climbs", arrowFaults, []string{"federation/wire/a.go", importing("wire", "federation")}, "federation/wire may not import federation"},
		{"federation climbs", arrowFaults, []string{"federation/a.go", importing("federation", "keyservice")}, "may not import keyservice"},
		{"keyservice leans on federation", arrowFaults, []string{"keyservice/a.go", importing("keyservice", "federation")}, "may not import federation"},
		{"client signs requests", arrowFaults, []string{"client/a.go", importing("client", "federation")}, "may not import federation"},
		{"client in a node's test", arrowFaults, []string{"node/a_test.go", importing("node_test", "client")}, "may not import client"},
		{"client in the node's binary", arrowFaults, []string{"node/peerbrain-node/a.go", importing("main", "client")}, "may not import client"},
		{"node in the client's binary", arrowFaults, []string{"client/peerbrain/a.go", importing("main", "node")}, "may not import node"},
		{"a backend above its floor", arrowFaults, []string{"node/store/bolt/a.go", importing("bolt", "node")}, "may not import node"},
		{"the page decrypts", arrowFaults, []string{"client/web/a.go", importing("web", "client")}, "may not import client"},
		{"code beside the stories", arrowFaults, []string{"node/story/a.go", importing("story")}, "tests only"},
		{"a folder of no floor", arrowFaults, []string{"tools/a.go", importing("tools")}, "no place in the house"},

		{"a kit in tests", kitFaults, []string{
			"federation/a_test.go", importing("federation", "federation/forgery"),
			"node/a_test.go", importing("node", "federation/forgery", "node/store/storetest"),
		}, ""},
		{"a kit in a node", kitFaults, []string{"node/a.go", importing("node", "federation/forgery")}, "federation/forgery is for tests"},
		{"a kit in a kit", kitFaults, []string{"node/store/storetest/a.go", importing("storetest", "federation/forgery")}, "is for tests"},

		{"apart", meetingFaults, []string{
			"node/a.go", importing("node", "keyservice"),
			"client/a.go", importing("client", "keyservice"),
			"node/peerbrain-node/a.go", importing("main", "node", "client/web"),
			"node/story/a_test.go", importing("story_test", "node", "client"),
		}, ""},
		{"met through another", meetingFaults, []string{
			"node/a.go", importing("node", "federation"),
			"federation/a.go", importing("federation", "client"),
		}, "node/a.go: reaches client"},
		{"met through the page", meetingFaults, []string{
			"node/peerbrain-node/a.go", importing("main", "client/web"),
			"client/web/a.go", importing("web", "client/internal/seal"),
		}, "reaches client/internal/seal"},
		{"met from the client", meetingFaults, []string{"client/a_test.go", importing("client", "node/store")}, "reaches node/store"},
		{"the page in package node", meetingFaults, []string{"node/a.go", importing("node", "client/web")}, "reaches client/web"},

		{"one adapter", frameworkFaults, []string{
			"node/fiber.go", importing("node", "github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp"),
			"node/fiber_test.go", importing("node", "github.com/gofiber/fiber/v2"),
		}, ""},
		{"two adapters", frameworkFaults, []string{
			"node/a.go", importing("node", "github.com/gofiber/fiber/v2"),
			"node/b.go", importing("node", "github.com/valyala/fasthttp"),
		}, "want one file"},
		{"an adapter elsewhere", frameworkFaults, []string{"federation/a.go", importing("federation", "github.com/valyala/fasthttp/fasthttputil")}, "only package node"},

		{"no init", initFaults, []string{"p/a.go", "package p\nimport _ \"embed\"\ntype T int\nfunc (T) init() {}\nfunc initialise() {}"}, ""},
		{"an init", initFaults, []string{"p/a.go", "package p\nfunc init() {}"}, "p/a.go:2:1: has an init"},
		{"an import for its effects", initFaults, []string{"p/a.go", "package p\nimport _ \"image/png\""}, "imports image/png"},

		{"leaks looked for", leakFaults, []string{
			"p/a.go", "package p", "p/a_test.go", "package p\nfunc TestA(t *testing.T) {}",
			"p/b_test.go", "package p_test\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }", "q/a.go", "package q",
		}, ""},
		{"leaks forgotten", leakFaults, []string{"p/a_test.go", "package p\nfunc TestMain(m *testing.M) { os.Exit(m.Run()) }"}, "p: has no TestMain with"},
		{"leaks never looked for", leakFaults, []string{"p/a_test.go", "package p\nfunc TestA(t *testing.T) { goleak.VerifyTestMain(nil) }"}, "p: has no TestMain with"},

		{"secrets tested", secretFaults, []string{
			"p/a.go", "package p\ntype T struct { VaultKey [32]byte }\ntype ChainKey struct{}", "p/a_test.go", importing("p", secretTests),
			"q/a.go", "package q\ntype T struct { Key string }", "q/a_test.go", "package q\ntype otherSecret []byte",
		}, ""},
		{"a secret that nothing tests", secretFaults, []string{"p/a.go", "package p\ntype ChainKey struct{}", "p/a_test.go", "package p"}, "sound like secrets: [ChainKey]"},
		{"a secret in plain", secretFaults, []string{"p/a.go", "package p\ntype T struct { loginSeed []byte }"}, "sound like secrets: [T.loginSeed]"},
		{"a test that is linked", secretFaults, []string{"p/a.go", importing("p", secretTests)}, "which is for tests"},

		{"small enough", oversize, []string{"p/a.go", "package p\nfunc f() {" + lines(41) + "}\ntype I interface{ A(); B(); C(); D(); E() }"}, ""},
		{"a long function", oversize, []string{"p/a.go", "package p\nfunc f() {" + lines(42) + "}"}, "lines of a function: 1, median 43"},
		{"a long test", oversize, []string{"p/a_test.go", "package p\nfunc f() {" + lines(500) + "}"}, ""},
		{"a long file", oversize, []string{"p/a.go", "package p\n" + lines(400)}, "lines of a file: 1, median 401"},
		{"one wide interface", oversize, []string{"p/a.go", "package p\ntype I interface{ A() }" + manyInterfaces(20) + "\ntype W interface{ I; A(); B(); C(); D(); E(); F(); G() }"}, "most 8"},
		{"many middling interfaces", oversize, []string{"p/a.go", "package p\ntype I interface{ A(); B(); C(); D(); E(); F() }"}, "methods of an interface: 1, median 6"},

		{"the top", topFaults, []string{"README.md", "", "node/a.go", "package node", ".ci/run", ""}, ""},
		{"a folder at the top", topFaults, []string{"cmd/a.go", "package cmd"}, "cmd/a.go"},
		{"a file at the top", topFaults, []string{"main.go", "package main"}, "main.go"},

		{"good names", nameFaults, []string{"node/a.go", "package node", "node/a_test.go", "package node_test", "client/peerbrain/a.go", "package main"}, ""},
		{"a drawer", nameFaults, []string{"node/util/a.go", "package util"}, "package util says nothing"},
		{"two names", nameFaults, []string{"node/store/a.go", "package storage"}, "package storage in folder node/store"},
		{"a program that go generate runs", nameFaults, []string{"client/web/build.go", "//go:build ignore\n\npackage main"}, ""},
		{"a program beside a package", nameFaults, []string{"client/web/build.go", "package main"}, "package main in folder client/web"},
		{"another that go generate runs", nameFaults, []string{"client/web/more.go", "//go:build ignore\n\npackage main"}, "package main in folder client/web"},
		{"a comment on what go generate runs", commentFaults, []string{"client/web/a.go", "// Package web is.\npackage web", "client/web/build.go", "//go:build ignore\n\n// Build builds.\npackage main"}, ""},
		{"a third binary", nameFaults, []string{"node/tool/a.go", "package main"}, "package main in folder node/tool"},

		{"formatted", formatFaults, []string{"p/a.go", "package p\n\nvar x = 1\n"}, ""},
		{"not formatted", formatFaults, []string{"p/a.go", "package p\n\nvar x=1\n"}, "gofmt"},

		{"a corpus", corpusFaults, []string{"p/a_test.go", "package p\nfunc FuzzA(f *testing.F) {}", "p/testdata/fuzz/FuzzA/1", "go test fuzz v1\nint(1)\n"}, ""},
		{"no corpus", corpusFaults, []string{"p/a_test.go", "package p\nfunc FuzzA(f *testing.F) {}"}, "FuzzA: the target has no corpus"},
		{"no target", corpusFaults, []string{"p/testdata/fuzz/FuzzA/1", "go test fuzz v1\n"}, "FuzzA: the corpus has no target"},
		{"a corpus of something else", corpusFaults, []string{"p/a_test.go", "package p\nfunc FuzzA(f *testing.F) {}", "p/testdata/fuzz/FuzzA/1", "x"}, "p/testdata/fuzz/FuzzA/1: is no input"},
		{"a large corpus", corpusFaults, []string{"p/a_test.go", "package p\nfunc FuzzA(f *testing.F) {}", "p/testdata/fuzz/FuzzA/1", "go test fuzz v1\n" + lines(300<<10)}, "at most"},

		{"nothing left over", leftoverFaults, []string{"a.md", "see https://node.example/work/x, ./tmp/x, /usr/bin/env; TO" + "DO(alice): a; context.TO" + "DO()"}, ""},
		{"a path", leftoverFaults, []string{"a.md", "x\ncd /" + "work/main"}, "a.md:2: the path /"},
		{"a quoted path", leftoverFaults, []string{"a.sh", `DIR="/` + `tmp/xyz"`}, "a.sh:1: the path /"},
		{"a path in a test's data", leftoverFaults, []string{"p/testdata/a.go", "/" + "root/x"}, "p/testdata/a.go:1: the path /"},
		{"a naked note", leftoverFaults, []string{"a.go", "package a // TO" + "DO: later"}, "neither who nor where"},
		{"a naked note at the end", leftoverFaults, []string{"a.go", "package a // FIX" + "ME"}, "neither who nor where"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.guard(parse(t, test.files...))
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("got faults %q, want none", got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)):
				t.Errorf("got faults %q, want one with %q", got, test.want)
			}
		})
	}
}

func manyInterfaces(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("\ntype I%d interface{ A() }", i)
	}
	return s
}

func TestLinkGuard(t *testing.T) {
	packages := []string{"fmt", module + "/federation/wire", module + "/client/web", module + "/client/internal/seal", "net/http"}
	for _, test := range []struct {
		binary    string
		forbidden []string
		want      []string
	}{
		{nodeBinary, []string{module + "/client"}, []string{nodeBinary + " links " + module + "/client/internal/seal"}},
		{wasmBinary, []string{module + "/federation", "net/http"}, []string{wasmBinary + " links net/http"}},
		{peerBinary, []string{module + "/federation", "go.etcd.io/bbolt"}, nil},
	} {
		if got := linkFaults(test.binary, packages, test.forbidden); !slices.Equal(got, test.want) {
			t.Errorf("%s without %q: got faults %q, want %q", test.binary, test.forbidden, got, test.want)
		}
	}
}
