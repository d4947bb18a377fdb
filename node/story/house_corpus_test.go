package story_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestCorpus(t *testing.T) {
	all, _ := house(t)
	report(t, corpusFaults(all))
}

// maxCorpus bounds what is committed of all corpora, in bytes.
const maxCorpus = 300 << 10

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// corpusFaults wants a corpus beside each fuzz target, a target for each corpus,
// and all of it small.
func corpusFaults(all []houseFile) (faults []string) {
	var targets, corpora []string
	size := 0
	for _, f := range all {
		if f.isTest() {
			for _, m := range fuzzTarget.FindAllStringSubmatch(string(f.text), -1) {
				targets = append(targets, path.Join(f.folder(), "testdata/fuzz", m[1]))
			}
		}
		if strings.Contains(f.path, "/testdata/fuzz/") {
			corpora = append(corpora, f.folder())
			size += len(f.text)
			if !strings.HasPrefix(string(f.text), "go test fuzz v1\n") {
				faults = append(faults, f.path+": is no input for a fuzz target")
			}
		}
	}
	for _, folder := range targets {
		if !slices.Contains(corpora, folder) {
			faults = append(faults, folder+": the target has no corpus")
		}
	}
	for _, folder := range slices.Compact(corpora) {
		if !slices.Contains(targets, folder) {
			faults = append(faults, folder+": the corpus has no target")
		}
	}
	if size > maxCorpus {
		faults = append(faults, fmt.Sprintf("the corpora have %d bytes, at most %d were expected", size, maxCorpus))
	}
	return faults
}
