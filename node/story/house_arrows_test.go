package story_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// within reports whether a path is root or below it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func withinAny(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return within(p, root) })
}

// floors names the parts of the module and, for each, the other parts that it
// may import. A folder belongs to the longest name that holds it, and may
// import its own part. Nothing here points up, and node and client do not meet.
var floors = map[string][]string{
	"federation/wire":      {},
	"federation":           {"federation/wire", "federation/forgery"},
	"federation/forgery":   {"federation/wire"},
	"keyservice":           {"federation/wire"},
	"node/store":           {"federation/wire"},
	"node/archive":         {"federation/wire", "node/store"},
	"node":                 {"federation/wire", "federation", "federation/forgery", "keyservice", "node/store", "node/archive"},
	"node/peerbrain-node":  {"federation/wire", "federation", "keyservice", "node/store", "node", "client/web"},
	"client/internal":      {"federation/wire", "keyservice"},
	"client/internal/load": {"federation/wire", "client/internal"},
	"client":               {"federation/wire", "keyservice", "client/internal"},
	"client/web":           {},
	"client/web/port":      {"federation/wire", "client"},
	"client/web/wasm":      {"federation/wire", "client", "client/web/port"},
	"client/peerbrain":     {"federation/wire", "keyservice", "client", "client/internal/load", "client/web"},
}

const (
	storyFolder = "node/story" // its tests see both sides; it has nothing but tests
	nodeBinary  = "node/peerbrain-node"
	peerBinary  = "client/peerbrain"
	wasmBinary  = "client/web/wasm"
	pageFolder  = "client/web" // files only, so the node's binary may serve them
)

// kits are for tests: nothing but tests imports them, so that no binary links one.
var kits = []string{"federation/forgery", "federation/wire/secrettest", "node/store/mongo/mongotest", "node/store/storetest"}

// webFrameworks are imported by one file of package node, and by tests beside
// it or among the stories, which measure against them.
var webFrameworks = []string{"github.com/gofiber", "github.com/valyala/fasthttp"}

func partOf(folder string) (part string) {
	for p := range floors {
		if within(folder, p) && len(p) > len(part) {
			part = p
		}
	}
	return part
}

func TestArrows(t *testing.T) {
	_, code := house(t)
	report(t, arrowFaults(code))
	report(t, meetingFaults(code))
	report(t, frameworkFaults(code))
	report(t, kitFaults(code))
}

// arrowFaults finds the imports that floors does not allow.
func arrowFaults(code []houseFile) (faults []string) {
	folders := byFolder(code)
	for _, f := range code {
		if within(f.folder(), storyFolder) {
			if !f.isTest() {
				faults = append(faults, fmt.Sprintf("%s: %s holds tests only", f.path, storyFolder))
			}
			continue
		}
		part := partOf(f.folder())
		if part == "" {
			faults = append(faults, fmt.Sprintf("%s: its folder has no place in the house", f.path))
			continue
		}
		for _, to := range f.imports() {
			_, ours := folders[to]
			ours = ours || partOf(to) != ""
			if ours && partOf(to) != part && !slices.Contains(floors[part], partOf(to)) {
				faults = append(faults, fmt.Sprintf("%s: %s may not import %s", f.path, part, to))
			}
		}
	}
	return faults
}

// kitFaults finds what imports a kit and is no test.
func kitFaults(code []houseFile) (faults []string) {
	for _, f := range code {
		for _, to := range f.imports() {
			if slices.Contains(kits, to) && !f.isTest() {
				faults = append(faults, fmt.Sprintf("%s: %s is for tests", f.path, to))
			}
		}
	}
	return faults
}

// meetingFaults finds the ways, however long, between node and client.
func meetingFaults(code []houseFile) (faults []string) {
	arrows := make(map[string][]string)
	for _, f := range code {
		if !f.isTest() {
			arrows[f.folder()] = append(arrows[f.folder()], f.imports()...)
		}
	}
	for _, f := range code {
		from, other := f.folder(), ""
		switch {
		case within(from, storyFolder):
			continue
		case within(from, "node"):
			other = "client"
		case within(from, "client"):
			other = "node"
		default:
			continue
		}
		seen := make(map[string]bool)
		queue := f.imports()
		for len(queue) > 0 {
			to := queue[0]
			queue = queue[1:]
			if seen[to] {
				continue
			}
			seen[to] = true
			if within(to, other) && !(from == nodeBinary && to == pageFolder) {
				faults = append(faults, fmt.Sprintf("%s: reaches %s", f.path, to))
			}
			queue = append(queue, arrows[to]...)
		}
	}
	return faults
}

func frameworkFaults(code []houseFile) (faults []string) {
	var adapters []string
	for _, f := range code {
		if !slices.ContainsFunc(f.imports(), func(to string) bool { return withinAny(to, webFrameworks) }) {
			continue
		}
		switch {
		case f.isTest() && (f.folder() == "node" || f.folder() == storyFolder):
		case f.folder() == "node":
			adapters = append(adapters, f.path)
		default:
			faults = append(faults, f.path+": imports a web framework; only package node may")
		}
	}
	if len(adapters) > 1 {
		faults = append(faults, fmt.Sprintf("want one file that imports a web framework, got %v", adapters))
	}
	return faults
}

// TestLinks asks the go tool what each binary is made of.
func TestLinks(t *testing.T) {
	storage := []string{"go.etcd.io/bbolt", "go.mongodb.org"}
	for _, test := range []struct {
		binary    string
		env       []string
		forbidden []string
	}{
		{nodeBinary, nil, []string{module + "/client"}},
		{peerBinary, nil, slices.Concat(webFrameworks, storage, []string{module + "/node", module + "/federation"})},
		{wasmBinary, []string{"GOOS=js", "GOARCH=wasm"}, slices.Concat(webFrameworks, storage, []string{module + "/node", module + "/federation", "net/http"})},
	} {
		report(t, linkFaults(test.binary, linked(t, test.binary, test.env), test.forbidden))
	}
}

// linked lists the packages that a binary is made of, none if it is not there.
func linked(t *testing.T, binary string, env []string) []string {
	t.Helper()
	_, code := house(t)
	if !slices.ContainsFunc(code, func(f houseFile) bool { return f.folder() == binary && !f.isTest() }) {
		return nil
	}
	root, err := houseRoot()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "./"+binary)
	list.Dir, list.Env = root, append(os.Environ(), env...)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list -deps ./%s: %v\n%s", binary, err, stderr.Bytes())
	}
	return strings.Fields(string(out))
}

// linkFaults finds forbidden packages, and what is below them, among those
// linked. The words of all and the page's files are free to both sides.
func linkFaults(binary string, packages, forbidden []string) (faults []string) {
	free := []string{module + "/federation/wire"}
	if binary == nodeBinary {
		free = append(free, module+"/"+pageFolder)
	}
	for _, p := range packages {
		if withinAny(p, forbidden) && !slices.Contains(free, p) {
			faults = append(faults, fmt.Sprintf("%s links %s", binary, p))
		}
	}
	return faults
}
