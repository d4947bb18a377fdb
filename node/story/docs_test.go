package story_test

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// blocks returns the fenced blocks of one language in a text of Markdown.
func blocks(text, language string) (found []string) {
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, block[1])
	}
	return found
}

// houseText returns a file of the repository.
func houseText(t *testing.T, path string) string {
	t.Helper()
	all, _ := house(t)
	for _, f := range all {
		if f.path == path {
			return string(f.text)
		}
	}
	t.Fatalf("there is no %s", path)
	return ""
}

// words splits a command line as a shell does where there is nothing but words
// and double quotes.
func words(line string) (all []string) {
	for _, w := range regexp.MustCompile(`"([^"]*)"|\S+`).FindAllStringSubmatch(line, -1) {
		if w[1] != "" {
			all = append(all, w[1])
		} else {
			all = append(all, w[0])
		}
	}
	return all
}

// varies is what is different each time: recovery codes, ids and dates.
var varies = regexp.MustCompile(`(?:[0-9A-Z]{4}-){8}[0-9A-Z]{4}|\b[a-z2-7]{52}\b|\b[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d\b`)

// settled is out without what varies, and without empty lines.
func settled(out string) (lines []string) {
	for line := range strings.Lines(varies.ReplaceAllString(out, "...")) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestReadme types what the README shows, in its order: the two nodes, and the
// session of ada and bob. Everything is printed as it says, except for codes, ids,
// dates and ports.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, dir := houseText(t, "README.md"), t.TempDir()
	r := &reader{world: &world{TB: t, dir: dir, bin: built(t)}}
	for _, line := range strings.Split(strings.Join(blocks(readme, "sh"), ""), "\n") {
		if strings.HasPrefix(line, "bin/peerbrain-node ") {
			r.serves(line)
		}
	}
	sessions := blocks(readme, "console")
	if len(r.ports) != 4 || len(sessions) != 1 {
		t.Fatalf("the README has %d nodes and %d sessions, want 2 and 1", len(r.ports)/2, len(sessions))
	}
	if home := "PEERBRAIN_HOME=demo-data/ada bin/peerbrain"; !strings.Contains(readme, home) {
		t.Errorf("the README does not say what ada stands for: %s", home)
	}
	typed := 0
	for _, step := range strings.Split("\n"+sessions[0], "\n$ ")[1:] {
		line, want, _ := strings.Cut(step, "\n")
		r.types(line, want)
		typed++
	}
	if typed < 10 {
		t.Errorf("%d commands were typed, too few for a session", typed)
	}
}

// A reader does what a text says, on ports that are free.
type reader struct {
	*world
	ports []string // of the text and of this run by turns
}

// here writes a text of the README with the ports of this run.
func (r *reader) here(text string) string { return strings.NewReplacer(r.ports...).Replace(text) }

// serves starts a node as the text says.
func (r *reader) serves(line string) {
	r.Helper()
	port := regexp.MustCompile(`localhost(:\d+)`).FindStringSubmatch(line)
	if port == nil {
		r.Fatalf("%q names no port", line)
	}
	s, err := newServer(r.bin, r.dir, fmt.Sprintf("node-%d", len(r.ports)))
	if err != nil {
		r.Fatal(err)
	}
	r.ports = append(r.ports, port[1], strings.TrimPrefix(s.name, "localhost"))
	s.args, s.dir = words(r.here(line))[1:], r.dir
	r.Cleanup(func() {
		if err := s.stop(); err != nil {
			r.Error(err)
		}
	})
	if err := s.start(); err != nil {
		r.Fatal(err)
	}
}

// types types a command of the session until it prints what the text says. Only
// looking is done more than once: news travel.
func (r *reader) types(line, want string) {
	r.Helper()
	line, want = r.here(line), r.here(want)
	args := words(line)
	looks := slices.Contains(args, "list") || slices.Contains(args, "feed") || slices.Contains(args, "read")
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		cmd := exec.Command(filepath.Join(r.bin, "peerbrain"), args[1:]...)
		cmd.Dir = r.dir
		cmd.Env = append(bare(), "PEERBRAIN_HOME=demo-data/"+args[0], "PEERBRAIN_PASSWORD="+password(args[0]))
		out, err := cmd.CombinedOutput()
		got := settled(string(out))
		if slices.Equal(got, settled(want)) && (err != nil) == strings.Contains(want, "peerbrain: ") {
			return
		}
		if !looks || time.Now().After(deadline) {
			r.Fatalf("%s: got %v and\n%s\nwhich the README has as\n%s", line, err, out, want)
		}
	}
}

// operators are the documents whose commands and flags must be true.
var operators = []string{"README.md", "docs/operating.md", "CONTRIBUTING.md"}

// TestDocumentedCommands runs the nodes that the documents start, on free ports
// and in another folder, and looks for every make target and every flag they name.
func TestDocumentedCommands(t *testing.T) {
	undetected(t)
	t.Parallel()
	makefile := houseText(t, "Makefile")
	ran := make(map[string]int)
	for _, doc := range operators {
		text := houseText(t, doc)
		for _, line := range strings.Split(strings.Join(blocks(text, "sh"), ""), "\n") {
			args := words(line)
			switch {
			case len(args) == 0:
			case args[0] == "make":
				ran["make"]++
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[1]) + `:`).MatchString(makefile) {
					t.Errorf("%s: make has no target %q", doc, args[1])
				}
			case args[0] == "bin/peerbrain-node" && args[1] == "serve":
				ran["serve"]++
				servesElsewhere(t, doc, args[1:])
			case path.Base(args[0]) == "peerbrain-node" || path.Base(args[0]) == "peerbrain":
				ran["ours"]++
				command := args[1:]
				if flags := slices.IndexFunc(command, func(word string) bool { return strings.HasPrefix(word, "-") }); flags >= 0 {
					command = command[:flags]
				}
				help, err := exec.Command(filepath.Join(built(t), path.Base(args[0])), append(slices.Clone(command), "--help")...).Output()
				if err != nil {
					t.Errorf("%s: %q is not a command: %v", doc, line, err)
				}
				for _, flag := range documentedFlag.FindAllString(line, -1) {
					if !strings.Contains(string(help), flag) {
						t.Errorf("%s: %q: there is no %s", doc, line, flag)
					}
				}
			default:
				ran["other"]++
				if _, err := exec.LookPath(args[0]); err != nil {
					t.Errorf("%s: %q is not a command", doc, line)
				}
			}
		}
		for _, target := range regexp.MustCompile("`make ([a-z]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+target[1]+":") {
				t.Errorf("%s: make has no target %q", doc, target[1])
			}
		}
	}
	if ran["make"] < 3 || ran["serve"] < 3 {
		t.Errorf("found %v in the documents, too little to show anything", ran)
	}
}

// servesElsewhere starts a node as a document says, at a free port and in a folder
// of this test, and wants it to serve.
func servesElsewhere(t *testing.T, doc string, args []string) {
	t.Helper()
	s, err := newServer(built(t), t.TempDir(), "node")
	if err != nil {
		t.Fatal(err)
	}
	for i, arg := range args {
		switch arg {
		case "--listen":
			args[i+1] = s.listen
		case "--data":
			args[i+1] = s.data
		}
	}
	s.args = args
	if err := s.start(); err != nil {
		t.Errorf("%s: %q: %v", doc, args, err)
		return
	}
	if err := s.stop(); err != nil {
		t.Errorf("%s: %q: %v", doc, args, err)
	}
}

var documentedFlag = regexp.MustCompile(`--[a-z][a-z-]*[a-z]`)

// TestDocumentedFlags looks for every flag that the documents name in the help
// of the commands.
func TestDocumentedFlags(t *testing.T) {
	undetected(t)
	t.Parallel()
	helps := ""
	for _, line := range []string{"peerbrain-node serve", "peerbrain-node demo", "peerbrain-node backup", "peerbrain-node restore", "peerbrain-node fsck", "peerbrain-node audit", "peerbrain-node migrate", "peerbrain-node admin rotate", "peerbrain", "peerbrain load", "peerbrain register", "peerbrain login", "peerbrain friend add", "peerbrain friend verify", "peerbrain feed", "peerbrain sessions end", "peerbrain delete-account", "peerbrain recover", "peerbrain web"} {
		args := words(line)
		out, err := exec.Command(filepath.Join(built(t), args[0]), append(args[1:], "--help")...).Output()
		if err != nil {
			t.Fatalf("%s --help: %v", line, err)
		}
		helps += string(out)
	}
	flag := documentedFlag
	has := make(map[string]bool)
	for _, f := range flag.FindAllString(helps, -1) {
		has[f] = true
	}
	named := make(map[string]bool)
	for _, doc := range []string{"README.md", "docs/operating.md", "docs/security.md", "config.example.yaml"} {
		for _, f := range flag.FindAllString(houseText(t, doc), -1) {
			if named[f] = true; !has[f] {
				t.Errorf("%s: no command has %s", doc, f)
			}
		}
	}
	if len(named) < 5 {
		t.Errorf("only %q are named, too few to show anything", slices.Collect(maps.Keys(named)))
	}
}
