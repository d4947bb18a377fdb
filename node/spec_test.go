package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// docs/openapi.yaml is held to the code here: the same routes, types, limits and
// codes. hold, which the kits of the other tests call for each answer that a test
// gets, is where the code is held to it.

// A spec is docs/openapi.yaml.
type spec struct {
	root       map[string]any
	operations map[string]operation // by method and path, the path as in package wire: GET /v1/posts/:id
}

// An operation is one method of one path.
type operation struct {
	name       string
	parameters map[string]map[string]any // by place and name: query after
	request    map[string]any            // schema, nil for no body
	limit      int                       // bytes of the body, 0 for no body
	security   string                    // session, signature or ""
	responses  map[int]response
}

// A response is what a status comes with.
type response struct {
	media   string         // "" for no body
	schema  map[string]any // nil for no body
	codes   []wire.Kind    // of a problem
	common  bool           // protocol.md says it once for all routes
	example any
}

var loadSpec = sync.OnceValues(func() (*spec, error) {
	text, err := os.ReadFile("../docs/openapi.yaml")
	if err != nil {
		return nil, err
	}
	s := &spec{operations: map[string]operation{}}
	if err := yaml.Unmarshal(text, &s.root); err != nil {
		return nil, err
	}
	for path, item := range s.root["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			op := s.operation(o.(map[string]any))
			op.name = strings.ToUpper(method) + " " + braces.ReplaceAllString(path, ":$1")
			s.operations[op.name] = op
		}
	}
	return s, nil
})

var braces = regexp.MustCompile(`\{(\w+)\}`)

func theSpec(t testing.TB) *spec {
	t.Helper()
	s, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// operation reads an operation. What has another shape than expected panics.
func (s *spec) operation(o map[string]any) operation {
	op := operation{parameters: map[string]map[string]any{}, responses: map[int]response{}}
	op.limit, _ = o["x-body-limit"].(int)
	for _, one := range o["security"].([]any) {
		for name := range one.(map[string]any) {
			op.security = name
		}
	}
	list, _ := o["parameters"].([]any)
	for _, p := range list {
		parameter := s.resolve(p.(map[string]any))
		op.parameters[parameter["in"].(string)+" "+parameter["name"].(string)] = parameter["schema"].(map[string]any)
	}
	if body, ok := o["requestBody"].(map[string]any); ok {
		op.request = s.response(body).schema
	}
	for status, r := range o["responses"].(map[string]any) {
		code, err := strconv.Atoi(status)
		if err != nil {
			panic(err)
		}
		op.responses[code] = s.response(s.resolve(r.(map[string]any)))
	}
	return op
}

func (s *spec) response(r map[string]any) (one response) {
	content, _ := r["content"].(map[string]any)
	one.common, _ = r["x-common"].(bool)
	for media, c := range content {
		of := c.(map[string]any)
		one.media, one.schema, one.example = media, of["schema"].(map[string]any), of["example"]
		if media == wire.MediaProblem {
			codes := one.schema["properties"].(map[string]any)["code"].(map[string]any)["enum"].([]any)
			for _, code := range codes {
				one.codes = append(one.codes, wire.Kind(code.(string)))
			}
		}
	}
	return one
}

// resolve follows a reference, if v is one.
func (s *spec) resolve(v map[string]any) map[string]any {
	ref, ok := v["$ref"].(string)
	if !ok {
		return v
	}
	at := any(s.root)
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return at.(map[string]any)
}

func (s *spec) schemas() map[string]any {
	return s.root["components"].(map[string]any)["schemas"].(map[string]any)
}

// annotations say nothing of what is allowed.
var annotations = []string{"description", "contentEncoding", "default"}

// faults lists what is wrong with a JSON value by a schema. It knows the keywords
// of JSON Schema that the file uses; any other is a fault.
func (s *spec) faults(schema map[string]any, v any, at string) (faults []string) {
	wrong := func(format string, args ...any) {
		faults = append(faults, at+": "+fmt.Sprintf(format, args...))
	}
	object, _ := v.(map[string]any)
	list, _ := v.([]any)
	text, isText := v.(string)
	length := utf8.RuneCountInString(text)
	for keyword, want := range schema {
		switch keyword {
		case "$ref":
			faults = append(faults, s.faults(s.resolve(schema), v, at)...)
		case "allOf":
			for _, one := range want.([]any) {
				faults = append(faults, s.faults(one.(map[string]any), v, at)...)
			}
		case "type":
			if got := typeOf(v); got != want {
				wrong("got %s, want %s", got, want)
			}
		case "const":
			if fmt.Sprint(v) != fmt.Sprint(want) {
				wrong("got %v, want %v", v, want)
			}
		case "enum":
			if !slices.ContainsFunc(want.([]any), func(one any) bool { return one == v }) {
				wrong("got %v, want one of %v", v, want)
			}
		case "required":
			for _, name := range want.([]any) {
				if _, ok := object[name.(string)]; !ok && object != nil {
					wrong("%s is absent", name)
				}
			}
		case "properties":
			for name, one := range want.(map[string]any) {
				if member, ok := object[name]; ok {
					faults = append(faults, s.faults(one.(map[string]any), member, at+"/"+name)...)
				}
			}
		case "additionalProperties":
			known := schema["properties"].(map[string]any)
			for name := range object {
				if _, ok := known[name]; !ok && want == false {
					wrong("%s is not known", name)
				}
			}
		case "items":
			for i, one := range list {
				faults = append(faults, s.faults(want.(map[string]any), one, fmt.Sprint(at, "/", i))...)
			}
		case "minItems":
			if list != nil && len(list) < want.(int) {
				wrong("%d items, want at least %d", len(list), want)
			}
		case "maxItems":
			if len(list) > want.(int) {
				wrong("%d items, want at most %d", len(list), want)
			}
		case "minLength":
			if isText && length < want.(int) {
				wrong("%d characters, want at least %d", length, want)
			}
		case "maxLength":
			if length > want.(int) {
				wrong("%d characters, want at most %d", length, want)
			}
		case "pattern":
			if isText && !pattern(want.(string)).MatchString(text) {
				wrong("%.100q does not match", text)
			}
		case "minimum", "maximum":
			n, isNumber := v.(json.Number)
			got, err := n.Int64()
			if c := cmp.Compare(got, int64(want.(int))); isNumber && (err != nil || keyword == "minimum" && c < 0 || keyword == "maximum" && c > 0) {
				wrong("got %s, want the %s %d", n, keyword, want)
			}
		default:
			if !slices.Contains(annotations, keyword) {
				wrong("the keyword %s is not known here", keyword)
			}
		}
	}
	return faults
}

func typeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "integer"
		}
		return "number"
	}
	return "null"
}

var patterns sync.Map // of *regexp.Regexp, by their text

func pattern(s string) *regexp.Regexp {
	if p, ok := patterns.Load(s); ok {
		return p.(*regexp.Regexp)
	}
	p := regexp.MustCompile(s)
	patterns.Store(s, p)
	return p
}

// jsonFaults is faults for a JSON text.
func (s *spec) jsonFaults(schema map[string]any, text []byte) []string {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return []string{err.Error()}
	}
	return s.faults(schema, v, "")
}

// find returns the operation that a request is for, and its parameters by place
// and name; ok is false where there is none.
func (s *spec) find(method, target string) (op operation, parameters map[string]string, ok bool) {
	path, query, _ := strings.Cut(target, "?")
	parts := strings.Split(path, "/")
	for name, op := range s.operations {
		of, pattern, _ := strings.Cut(name, " ")
		words := strings.Split(pattern, "/")
		if of != method || len(words) != len(parts) && (pattern != wire.PathLogFile && pattern != wire.PathPageFile || len(words) > len(parts)) {
			continue
		}
		parameters, ok = map[string]string{}, true
		for i, word := range words {
			if variable, is := strings.CutPrefix(word, ":"); is {
				parameters["path "+variable] = parts[i]
			} else {
				ok = ok && word == parts[i]
			}
		}
		if ok {
			for pair := range strings.SplitSeq(query, "&") {
				if key, value, is := strings.Cut(pair, "="); is {
					parameters["query "+key] = value
				}
			}
			return op, parameters, true
		}
	}
	return op, nil, false
}

// requestFaults lists why a request is not what the operation describes.
func (s *spec) requestFaults(op operation, parameters map[string]string, body []byte) (faults []string) {
	for name, value := range parameters {
		schema, ok := op.parameters[name]
		if !ok {
			faults = append(faults, "parameter "+name+" is not known")
			continue
		}
		var v any = value
		if s.resolve(schema)["type"] == "integer" {
			v = json.Number(value)
		}
		faults = append(faults, s.faults(schema, v, name)...)
	}
	if (op.request == nil) != (len(body) == 0) || len(body) > op.limit {
		faults = append(faults, fmt.Sprintf("a body of %d bytes, where %d are allowed", len(body), op.limit))
	}
	if op.request != nil && len(body) > 0 && op.request["type"] != "string" { // which is no JSON
		faults = append(faults, s.jsonFaults(op.request, body)...)
	}
	return faults
}
