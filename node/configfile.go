package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "PEERBRAIN_"

// foreignEnv are variables that begin like ours and are read by others: the
// command line of people, and tests.
var foreignEnv = []string{envPrefix + "HOME", envPrefix + "PASSWORD", envPrefix + "CONFIG"}

// Sources are where a configuration comes from; the later a field, the more
// its values count.
type Sources struct {
	File  string            // path of a YAML file; empty for none
	Env   []string          // as from os.Environ
	Flags map[string]string // by the key of the Setting
}

// LoadConfig reads and checks a configuration. A key that does not exist, in
// the file or the environment, is an error, as is a value that does not fit.
func LoadConfig(from Sources) (Config, error) {
	c, err := load(from)
	if err != nil {
		return c, err
	}
	return c, c.Check()
}

// LoadStoreConfig is LoadConfig for commands that work on the stores of a node and
// serve nothing: it checks no more than where those are.
func LoadStoreConfig(from Sources) (Config, error) {
	c, err := load(from)
	if err != nil {
		return c, err
	}
	return c, c.checkStore()
}

func load(from Sources) (Config, error) {
	c := DefaultConfig()
	var file map[string]string
	if from.File != "" {
		text, err := os.ReadFile(from.File)
		if err != nil {
			return c, fmt.Errorf("config: %w", err)
		}
		if file, err = parseFile(text); err != nil {
			return c, fmt.Errorf("config: %s: %w", from.File, err)
		}
	}
	env, err := parseEnv(from.Env)
	if err != nil {
		return c, err
	}
	for _, s := range Settings() {
		flags := from.Flags
		if s.Secret {
			flags = nil
		}
		for _, source := range []struct {
			values map[string]string
			where  string
		}{
			{file, from.File + ": " + s.Key},
			{env, s.Env()},
			{flags, "--" + s.Flag()},
		} {
			if v, ok := source.values[s.Key]; ok {
				if err := s.set(&c, v); err != nil {
					return c, fmt.Errorf("%s: %w", source.where, err)
				}
			}
		}
	}
	if c.Data == "" {
		c.Data = defaultData()
	}
	return c, nil
}

// parseEnv picks the values of settings, by key.
func parseEnv(environ []string) (map[string]string, error) {
	byEnv := map[string]string{}
	for _, s := range Settings() {
		byEnv[s.Env()] = s.Key
	}
	values := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(foreignEnv, name) || strings.HasPrefix(name, envPrefix+"TEST_") {
			continue
		}
		key, ok := byEnv[name]
		if !ok {
			return nil, fmt.Errorf("%s: there is no such variable%s", name, suggest(name, slices.Sorted(maps.Keys(byEnv))))
		}
		values[key] = value
	}
	return values, nil
}

// parseFile reads a YAML mapping of mappings of scalars, and returns the
// scalars by key, with dots between levels.
func parseFile(text []byte) (map[string]string, error) {
	values := map[string]string{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err == io.EOF {
		return values, nil // nothing but comments
	} else if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("one document was expected")
	}
	return values, flatten(values, "", doc.Content[0])
}

func flatten(values map[string]string, prefix string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: keys with values were expected", n.Line)
	}
	var known []string
	for _, s := range Settings() {
		known = append(known, s.Key)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		isGroup := slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, key+".") })
		switch {
		case strings.Contains(name.Value, "."):
			return fmt.Errorf("line %d: %s: levels below each other were expected, not dots", name.Line, key)
		case seen[key]:
			return fmt.Errorf("line %d: %s: the key is there twice", name.Line, key)
		case isGroup:
			if err := flatten(values, key+".", value); err != nil {
				return err
			}
		case !slices.Contains(known, key):
			return fmt.Errorf("line %d: %s: there is no such key%s", name.Line, key, suggest(key, known))
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			return fmt.Errorf("line %d: %s: one value was expected", value.Line, key)
		default:
			values[key] = value.Value
		}
		seen[key] = true
	}
	return nil
}

// suggest names what may have been meant, if anything comes close.
func suggest(got string, known []string) string {
	best, least := "", 4
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is how many letters have to be changed, added or taken away to make
// b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			row[j+1] = min(above, row[j]) + 1
			if a[i] == b[j] {
				row[j+1] = min(row[j+1], diagonal)
			} else {
				row[j+1] = min(row[j+1], diagonal+1)
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
