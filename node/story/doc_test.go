// Package story_test holds what only the whole system can show.
//
// Its stories start nodes and people and read as sentences; they need both
// sides, node and client, which otherwise never import each other, so they
// live in a folder of test files alone. Its guards (house*_test.go) hold the
// repository to its own conventions: which package may import which, one
// comment for each package, no init, sizes, layout, and nothing of the machine
// it was written on. Each guard is a function from files or a graph to a list
// of faults, shown to find its fault in house_guard_test.go. sabotage*_test.go
// removes each verification from the code in turn, and wants tests to fail.
// crash_test.go kills nodes at random and at named places, and compares what they
// acknowledged with what they have afterwards.
//
// Its benchmarks drive nodes over HTTP, and all packages' benchmarks in rounds;
// `make bench` prints what docs/benchmarks.md says.
//
// Nothing here is imported by, or linked into, any binary.
package story_test
