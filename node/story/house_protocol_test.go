package story_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	protocolPath = "docs/protocol.md"
	vectorFolder = "docs/vectors"
)

// TestProtocolExamples reads the worked examples of the specification and
// compares each of their bytes with the vector that they name.
func TestProtocolExamples(t *testing.T) {
	undetected(t)
	all, _ := house(t)
	examples := examplesOf(textOf(all, protocolPath))
	report(t, exampleFaults(all))
	shown := map[string]int{}
	for _, e := range examples {
		shown[e.file]++
	}
	t.Logf("%d examples, by vector file: %v", len(examples), shown)
	for _, f := range all {
		if path.Dir(f.path) == vectorFolder && shown[path.Base(f.path)] == 0 {
			t.Errorf("%s has no example of a case in %s", protocolPath, f.path)
		}
	}
}

// TestVectorsAreRead wants each vector file to be named by a test and to have
// something to accept and something to refuse.
func TestVectorsAreRead(t *testing.T) {
	all, _ := house(t)
	report(t, vectorFaults(all))
}

func textOf(files []houseFile, name string) string {
	for _, f := range files {
		if f.path == name {
			return string(f.text)
		}
	}
	return ""
}

// An example is a block of the document and the cases of a vector file that the
// paragraph before it names.
type example struct {
	line  int // of the block's first line
	file  string
	cases []string // names, "the first of `list`", or "in text": each line stands somewhere in the file
	lines []string
}

// reference is how a paragraph names the cases: (`file.json`, "a case", "another")
// or (`file.json`, the first of `list`) or (`file.json`, in text).
var reference = regexp.MustCompile("\\(`([a-z-]+\\.json)`, ((?:\"[^\"]+\"(?:, )?)+|the first of `[a-z_]+`|in text)\\)")

// examplesOf finds the blocks, indented by four, of the document. Those that no
// paragraph with a reference leads in to are rules, not examples.
func examplesOf(text string) (found []example) {
	paragraph, last := "", "" // the one that is being read, the last that is whole
	var block *example
	for i, line := range strings.Split(text+"\n", "\n") {
		switch {
		case strings.HasPrefix(line, "    ") && strings.TrimSpace(line) != "":
			if block == nil {
				block = &example{line: i + 1}
				if m := reference.FindStringSubmatch(paragraph + last); m != nil {
					block.file, block.cases = m[1], strings.Split(m[2], "\", \"")
				}
			}
			block.lines = append(block.lines, strings.TrimSpace(line))
		case strings.TrimSpace(line) == "":
			if block != nil {
				block.lines = append(block.lines, "")
			} else if paragraph != "" {
				last, paragraph = paragraph, ""
			}
		default:
			if block != nil && block.file != "" {
				found = append(found, *block)
			}
			if block != nil {
				block, last = nil, ""
			}
			paragraph += line + "\n"
		}
	}
	if block != nil && block.file != "" {
		found = append(found, *block)
	}
	return found
}

func exampleFaults(all []houseFile) (faults []string) {
	for _, e := range examplesOf(textOf(all, protocolPath)) {
		where := fmt.Sprintf("%s:%d", protocolPath, e.line)
		var file map[string]any
		if err := json.Unmarshal([]byte(textOf(all, vectorFolder+"/"+e.file)), &file); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %s: %v", where, e.file, err))
			continue
		}
		if e.cases[0] == "in text" {
			faults = append(faults, textFaults(where, e, valuesOf(file))...)
			continue
		}
		var values []string
		for _, name := range e.cases {
			in := casesOf(file, strings.Trim(name, `"`))
			if len(in) == 0 {
				faults = append(faults, fmt.Sprintf("%s: %s has no case %s", where, e.file, name))
			}
			values = append(values, in...)
		}
		for _, w := range wordsOf(e.lines) {
			if !slices.ContainsFunc(values, w.in) {
				faults = append(faults, fmt.Sprintf("%s: %s has no %s", where, e.file, w.text))
			}
		}
	}
	return faults
}

func textFaults(where string, e example, values []string) (faults []string) {
	for _, line := range e.lines {
		if !slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, line) }) {
			faults = append(faults, fmt.Sprintf("%s: %s has no %s", where, e.file, line))
		}
	}
	return faults
}

// casesOf lists the values of the cases of that name, in any list of the file.
func casesOf(file map[string]any, name string) (values []string) {
	for _, key := range slices.Sorted(keysOf(file)) {
		list, ok := file[key].([]any)
		if !ok || len(list) == 0 {
			if c, ok := file[key].(map[string]any); ok && c["name"] == name {
				values = append(values, valuesOf(c)...)
			}
			continue
		}
		if name == "the first of `"+key+"`" {
			values = append(values, valuesOf(list[0])...)
		}
		for _, item := range list {
			if c, ok := item.(map[string]any); ok && c["name"] == name {
				values = append(values, valuesOf(c)...)
			}
		}
	}
	return values
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// valuesOf lists the texts and numbers anywhere in v.
func valuesOf(v any) (values []string) {
	switch v := v.(type) {
	case string:
		values = append(values, v)
	case float64:
		values = append(values, strconv.FormatFloat(v, 'f', -1, 64))
	case bool:
		values = append(values, strconv.FormatBool(v))
	case []any:
		for _, item := range v {
			values = append(values, valuesOf(item)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(keysOf(v)) {
			values = append(values, valuesOf(v[k])...)
		}
	}
	return values
}

// A word is what an example shows as one value: bytes in hex, ... for what is
// left out, or a text.
type word struct {
	text  string
	bytes *regexp.Regexp // nil for a text
}

func (w word) in(value string) bool {
	if w.bytes != nil {
		return w.bytes.MatchString(value)
	}
	return value == w.text
}

var (
	columns  = regexp.MustCompile(`\s{2,}`)
	hexBytes = regexp.MustCompile(`^(?:(?:[0-9a-f]{2})+|\.\.\.)(?: ?(?:(?:[0-9a-f]{2})+|\.\.\.))*$`)
)

// wordsOf reads the lines of an example. Columns are two spaces or more apart. A
// line is either bytes with a comment, or a name, a value and a comment. Bytes go
// on from line to line up to an empty line or the next name, and have to be the
// whole of a value.
func wordsOf(lines []string) (words []word) {
	var bytes []string
	flush := func() {
		if len(bytes) > 0 {
			words = append(words, bytesWord(strings.Join(bytes, " ")))
		}
		bytes = nil
	}
	for _, line := range lines {
		c := columns.Split(line, 3)
		switch {
		case line == "":
			flush()
		case hexBytes.MatchString(c[0]):
			bytes = append(bytes, c[0])
		case len(c) > 1 && hexBytes.MatchString(c[1]) && len(c[1]) > 3:
			flush()
			bytes = []string{c[1]}
		case len(c) > 1:
			flush()
			words = append(words, word{text: strings.Trim(c[1], `"`)})
		default:
			flush()
			words = append(words, word{text: "line that can be checked: " + line})
		}
	}
	flush()
	return words
}

func bytesWord(s string) word {
	pattern := strings.ReplaceAll(strings.ReplaceAll(s, " ", ""), "...", "(?:[0-9a-f]{2})+")
	return word{text: s, bytes: regexp.MustCompile("^" + pattern + "$")}
}

// vectorFaults finds vector files that no test names in its own words, and those
// without cases of both sorts.
func vectorFaults(all []houseFile) (faults []string) {
	named := map[string]bool{}
	for _, f := range all {
		if f.tree == nil || !f.isTest() || f.folder() == "node/story" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					named[path.Base(s)] = true
				}
			}
			return true
		})
	}
	for _, f := range all {
		if path.Dir(f.path) != vectorFolder {
			continue
		}
		if !named[path.Base(f.path)] {
			faults = append(faults, f.path+": no test reads it")
		}
		var file map[string]any
		if err := json.Unmarshal(f.text, &file); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", f.path, err))
			continue
		}
		accepted, refused := 0, 0
		for key, v := range file {
			list, _ := v.([]any)
			if strings.HasSuffix(key, "refused") {
				refused += len(list)
			} else {
				accepted += len(list)
			}
			if _, one := v.(map[string]any); one {
				accepted++
			}
		}
		if accepted == 0 || refused == 0 {
			faults = append(faults, fmt.Sprintf("%s: %d cases are accepted and %d refused, want some of each", f.path, accepted, refused))
		}
	}
	return faults
}

// TestExampleGuards shows that a wrong byte, a wrong text and a byte too few are
// found, each alone.
func TestExampleGuards(t *testing.T) {
	vectors := `{"about": "", "accepted": [{"name": "a case", "number": 7, "payload": "` + hex.EncodeToString([]byte("0123456789")) + `", "in": [{"text": "alice"}]}], "codes": [{"code": "AB"}], "refused": [{"name": "no"}]}`
	for _, test := range []struct {
		name, text, want string
	}{
		{"right", "Example (`x.json`, \"a case\"):\n\n    3031 32     head\n    33 ...      middle\n    38 39\n\n    name    alice    who\n    number  7\n", ""},
		{"right, the first", "(`x.json`, the first of `codes`)\n\n    code  AB\n", ""},
		{"right, in text", "(`x.json`, in text)\n\n    li\n    ice\n", ""},
		{"wrong, in text", "(`x.json`, in text)\n\n    li\n    ace\n", "has no ace"},
		{"a rule, not an example", "As follows:\n\n    3032\n", ""},
		{"a rule after an example", "Example (`x.json`, \"a case\"):\n\n    name  alice\n\nThen:\n\n    3032\n", ""},
		{"a wrong byte", "Example (`x.json`, \"a case\"):\n\n    3031 33     head\n    33 ...      middle\n    38 39\n", "x.json has no 3031 33 33 ... 38 39"},
		{"a byte too few", "Example (`x.json`, \"a case\"):\n\n    303132333435363738\n", "has no 3031"},
		{"a gap of nothing", "Example (`x.json`, \"a case\"):\n\n    30313233343536373839...\n", "has no 3031"},
		{"a wrong text", "Example (`x.json`, \"a case\"):\n\n    name  bob\n", "has no bob"},
		{"a wrong number", "Example (`x.json`, \"a case\"):\n\n    number  8\n", "has no 8"},
		{"no such case", "Example (`x.json`, \"another\"):\n\n    name  alice\n", "has no case"},
		{"a line that says nothing", "Example (`x.json`, \"a case\"):\n\n    alice is here\n", "has no line that can be checked"},
	} {
		files := parse(t, protocolPath, test.text, vectorFolder+"/x.json", vectors)
		got := exampleFaults(files)
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) == 0 || !strings.Contains(got[0], test.want)) {
			t.Errorf("%s: got faults %q, want %q", test.name, got, test.want)
		}
	}
	test := "package p\nvar files = []string{\"x.json\"}"
	for want, files := range map[string][]houseFile{
		"":                      parse(t, vectorFolder+"/x.json", vectors, "p/a_test.go", test),
		"no test reads it":      parse(t, vectorFolder+"/x.json", vectors, "p/a.go", test, "node/story/a_test.go", strings.Replace(test, "package p", "package story_test", 1)),
		"1 cases are accepted":  parse(t, vectorFolder+"/x.json", `{"accepted": [1]}`, "p/a_test.go", test),
		"and 1 refused, want":   parse(t, vectorFolder+"/x.json", `{"a_refused": [1]}`, "p/a_test.go", test),
		"unexpected end of JSO": parse(t, vectorFolder+"/x.json", ``, "p/a_test.go", test),
	} {
		got := vectorFaults(files)
		if (want == "") != (len(got) == 0) || want != "" && !strings.Contains(got[0], want) {
			t.Errorf("got faults %q, want %q", got, want)
		}
	}
}
