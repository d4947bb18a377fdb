package web

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// words reads those of one language.
func words(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return list
}

// modules reads the page's own modules, by name.
func modules(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("static/*.js")
	if err != nil || len(paths) < 10 {
		t.Fatalf("there are %d modules, and %v", len(paths), err)
	}
	list := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		list[filepath.Base(path)] = string(b)
	}
	return list
}

var placeholders = regexp.MustCompile(`\{\w+\}`)

// Every language says the same things, with the same values in them.
func TestLanguagesAgree(t *testing.T) {
	english := words(t, "static/words/en.json")
	paths, err := filepath.Glob("static/words/*.json")
	if err != nil || len(paths) < 2 {
		t.Fatalf("there are %d languages, and %v", len(paths), err)
	}
	for _, path := range paths {
		other := words(t, path)
		for key, said := range english {
			there, ok := other[key]
			switch {
			case !ok:
				t.Errorf("%s has no words for %q", path, key)
			case strings.TrimSpace(there) == "":
				t.Errorf("%s says nothing for %q", path, key)
			case !slices.Equal(held(said), held(there)):
				t.Errorf("%s has the values %v for %q, and English has %v", path, held(there), key, held(said))
			}
		}
		for key := range other {
			if _, ok := english[key]; !ok {
				t.Errorf("%s has words for %q, and English has none", path, key)
			}
		}
		code := strings.TrimSuffix(filepath.Base(path), ".json")
		if !strings.Contains(modules(t)["words.js"], code+": \"") {
			t.Errorf("words.js does not name the language %q", code)
		}
	}
}

// held are the values in what is said, each once.
func held(said string) []string {
	list := placeholders.FindAllString(said, -1)
	slices.Sort(list)
	return slices.Compact(list)
}

// How the modules name words: t("key"), plural("key", n), t(condition ? "key" : "other"),
// and keys whose beginning is fixed, in the backticks of t(`error.${code}`).
var (
	calls    = regexp.MustCompile(`\b(t|plural|has)\(([^()]*)`)
	literals = regexp.MustCompile(`"([a-z.-]+)"`)
	begun    = regexp.MustCompile("`([a-z]+\\.)\\$\\{")
)

// Each word that a module asks for is there, and none is there that is never asked for.
func TestWordsAreUsed(t *testing.T) {
	english := words(t, "static/words/en.json")
	used := map[string]bool{}
	var families []string
	for name, code := range modules(t) {
		for _, call := range calls.FindAllStringSubmatch(code, -1) {
			for _, literal := range literals.FindAllStringSubmatch(call[2], -1) {
				key := literal[1]
				if call[1] == "plural" {
					used[key+".one"], used[key+".other"] = true, true
				} else {
					used[key] = true
				}
				if !strings.Contains(key, ".") {
					delete(used, key) // a value beside the key
				}
			}
			for _, family := range begun.FindAllStringSubmatch(call[2], -1) {
				families = append(families, family[1])
			}
		}
		if name == "errors.js" {
			for _, code := range codesOf(t, code) {
				used["error."+code], used["error."+code+".next"] = true, true
			}
		}
	}
	for key := range used {
		if english[key] == "" {
			t.Errorf("a module asks for %q, and there are no such words", key)
		}
	}
	for key := range english {
		known := used[key] || slices.ContainsFunc(families, func(f string) bool { return f != "error." && strings.HasPrefix(key, f) })
		if !known {
			t.Errorf("no module asks for %q", key)
		}
	}
}

// codesOf are the codes of errors that the page has sentences for.
func codesOf(t *testing.T, module string) (codes []string) {
	t.Helper()
	_, rest, ok := strings.Cut(module, "export const codes = [")
	list, _, closed := strings.Cut(rest, "];")
	if !ok || !closed {
		t.Fatal("errors.js has no list of codes")
	}
	for _, literal := range literals.FindAllStringSubmatch(list, -1) {
		codes = append(codes, literal[1])
	}
	return codes
}

var faultCodes = regexp.MustCompile(`(?m)^\s+[cC]ode\w+\s+Cause = "([a-z-]+)"`)

// Whatever code the worker has, the page has a sentence and a next step for it.
func TestEveryFaultHasWords(t *testing.T) {
	b, err := os.ReadFile("port/fault.go")
	if err != nil {
		t.Fatal(err)
	}
	faults := faultCodes.FindAllStringSubmatch(string(b), -1)
	if len(faults) < 10 {
		t.Fatalf("port/fault.go has %d codes", len(faults))
	}
	codes := codesOf(t, modules(t)["errors.js"])
	for _, fault := range faults {
		if !slices.Contains(codes, fault[1]) {
			t.Errorf("the worker has the code %q, and errors.js has no sentence for it", fault[1])
		}
	}
}

var (
	imports = regexp.MustCompile(`(?m)^import [^;]*from "\./([^"]+)";`)
	within  = regexp.MustCompile(`/web/HASH/([^"]+)`)
)

// Each module is there, and used; none can run what somebody else wrote, or reach out.
func TestModules(t *testing.T) {
	list := modules(t)
	used := map[string]bool{"sw.js": true, "worker.js": true}
	page, err := os.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range within.FindAllStringSubmatch(string(page), -1) {
		used[name[1]] = true
		if _, err := os.Stat("static/" + name[1]); err != nil {
			t.Errorf("index.html names a file that is not there: %v", err)
		}
	}
	for name, code := range list {
		for _, imported := range imports.FindAllStringSubmatch(code, -1) {
			used[imported[1]] = true
			if list[imported[1]] == "" {
				t.Errorf("%s imports %s, which is not there", name, imported[1])
			}
		}
		for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function", "http://", "https://", "createContextualFragment"} {
			if at := strings.Index(strings.ReplaceAll(code, "http://www.w3.org/2000/svg", ""), never); at >= 0 {
				t.Errorf("%s has %s in it", name, never)
			}
		}
	}
	for name := range list {
		if !used[name] {
			t.Errorf("nothing uses %s", name)
		}
	}
	for _, never := range []string{"style=", "onclick", "onload", "<style", "javascript:"} {
		if strings.Contains(string(page), never) {
			t.Errorf("index.html has %s in it", never)
		}
	}
}

var longest = regexp.MustCompile(`maxPost = (\d+);`)

// The page counts up to the longest post that there is, and wants passwords as long as the SDK does.
func TestPageKnowsLimits(t *testing.T) {
	list := modules(t)
	wire, err := os.ReadFile("../../federation/wire/limits.go")
	if err != nil {
		t.Fatal(err)
	}
	most := longest.FindStringSubmatch(list["compose.js"])
	if most == nil || !regexp.MustCompile(`MaxPost\s+= `+most[1]+`\b`).Match(wire) {
		t.Errorf("compose.js counts up to %v, which is not MaxPost of federation/wire", most)
	}
	sdk, err := os.ReadFile("../password.go")
	if err != nil {
		t.Fatal(err)
	}
	least := regexp.MustCompile(`minPassword = (\d+);`).FindStringSubmatch(list["account.js"])
	if least == nil || !regexp.MustCompile(`MinPassword\s+= `+least[1]+`\b`).Match(sdk) {
		t.Errorf("account.js wants passwords of %v bytes, which is not MinPassword of the SDK", least)
	}
}
