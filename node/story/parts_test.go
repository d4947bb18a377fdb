package story_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// part is the benchmark of one step beside those who do it, and what it is
// called in the table. Its ratio, if beside is set, is to another of them.
type part struct{ name, folder, benchmark, beside string }

var parts = []part{
	{"seal a post of 600 B", "client/internal/seal", "SealEntry600", ""},
	{"open a post of 600 B", "client/internal/seal", "OpenEntry600", ""},
	{"wrap a key for a friend", "client/internal/seal", "SealWrap", ""},
	{"open a wrap", "client/internal/seal", "OpenWrap", ""},
	{"derive keys from a password", "client/internal/seal", "DerivePassword", ""},
	{"verify a raw Ed25519 signature", "federation", "Ed25519Verify", ""},
	{"check a request in full, replay included", "federation", "VerifyRequest", "Ed25519Verify"},
	{"sign a request", "federation", "SignRequest", ""},
	{"verify a key statement", "federation/wire", "OpenKeyStatement", "Ed25519Verify"},
	{"verify a chain of one key statement", "keyservice", "ParseChain", "Ed25519Verify"},
	{"verify an entry", "federation/wire", "OpenEntryHeader", "Ed25519Verify"},
	{"sign an entry", "federation/wire", "SignEntry", ""},
	{"encode a feed page of 50", "federation/wire", "EncodeFeed", ""},
	{"insert a record, 1 writer", "node/store/bolt", "Apply/writers=1", ""},
	{"insert a record, 64 writers", "node/store/bolt", "Apply/writers=64", "PlainBatch/delay=1ms/writers=64"},
	{"the same with bbolt's own Batch (1 ms)", "node/store/bolt", "PlainBatch/delay=1ms/writers=64", ""},
	{"read a record", "node/store/bolt", "Get/readers=1", ""},
	{"scan 50 records", "node/store/bolt", "Scan/limit=50", ""},
	{"open a store with 50,000 posts", "node/store/bolt", "Open", ""},
	{"publish, without HTTP, 1 writer", "node", "Publish/writers=1", ""},
	{"publish, without HTTP, 64 writers", "node", "Publish/writers=64", ""},
	{"merge the first feed page of 50, 200 friends", "node", "Feed/first", ""},
	{"merge the page behind a cursor", "node", "Feed/second", ""},
}

// cost is what a benchmark reported of one operation, in each round.
type cost struct{ nanos, allocs []float64 }

// BenchmarkParts runs the benchmarks of all packages in turn, several times, and
// prints the medians.
func BenchmarkParts(b *testing.B) {
	once(b, func() {
		programs := make(map[string]string) // by folder
		costs := make(map[string]*cost)     // by benchmark
		for range rounds {
			for _, p := range parts {
				if programs[p.folder] == "" {
					programs[p.folder] = testBinary(b, p.folder)
				}
				if costs[p.benchmark] == nil {
					costs[p.benchmark] = new(cost)
				}
				costs[p.benchmark].measure(programs[p.folder], p)
			}
		}
		rows := [][]any{{"what", "time", "allocations", "its rate"}}
		for _, p := range parts {
			c := costs[p.benchmark]
			ratio := any("")
			if p.beside != "" {
				ratio = show(median(costs[p.beside].nanos)/median(c.nanos)) + " of " + nameOf(p.beside)
			}
			rows = append(rows, []any{p.name, time.Duration(median(c.nanos)), int(median(c.allocs)), ratio})
		}
		tabulate("Single steps", rows...)
	})
}

func nameOf(benchmark string) string {
	return parts[slices.IndexFunc(parts, func(p part) bool { return p.benchmark == benchmark })].name
}

// testBinary builds the tests of a package.
func testBinary(b *testing.B, folder string) string {
	program := filepath.Join(b.TempDir(), "test")
	build := exec.Command("go", "test", "-c", "-o", program, "./"+folder)
	build.Dir = must(houseRoot())
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+([\d.]+) ns/op.*?(\d+) allocs/op$`)

func (c *cost) measure(program string, p part) {
	pattern := "^Benchmark" + strings.ReplaceAll(p.benchmark, "/", "$/^") + "$"
	run := exec.Command(program, "-test.run", "^$", "-test.bench", pattern, "-test.benchmem", "-test.benchtime", "200ms")
	run.Dir = filepath.Join(must(houseRoot()), filepath.FromSlash(p.folder))
	out := must(run.Output())
	found := benchmarkLine.FindAllSubmatch(out, -1)
	if len(found) != 1 {
		panic(fmt.Sprintf("%s: one result was expected in\n%s", pattern, out))
	}
	var nanos, allocs float64
	must(fmt.Sscan(string(bytes.Join(found[0][1:], []byte(" "))), &nanos, &allocs))
	c.nanos, c.allocs = append(c.nanos, nanos), append(c.allocs, allocs)
}
