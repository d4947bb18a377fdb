package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// maxRuleFile is the size of a file of rules, in bytes.
const maxRuleFile = 4 << 20

func peersSettings() []Setting {
	return []Setting{
		text("peers.file", "a `file` of rules about other nodes; read again on HUP", func(c *Config) *string { return &c.PeersFile }),
	}
}

// readRuleFile reads the rules of a file; none without one. The error says which
// line is wrong.
func readRuleFile(path string) (ruleBook, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("peers.file: %w", err)
	}
	defer f.Close()
	book, err := parseRules(f)
	if err != nil {
		return nil, fmt.Errorf("peers.file: %s: %w", path, err)
	}
	return book, nil
}

// parseRules reads a rule a line, "block evil.example", with comments behind # and
// empty lines in between.
func parseRules(r io.Reader) (ruleBook, error) {
	book := ruleBook{}
	limited := &io.LimitedReader{R: r, N: maxRuleFile + 1}
	lines := bufio.NewScanner(limited)
	number := 1
	for ; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		rule, err := parseRule(words)
		if before, twice := book[rule.Name]; err == nil && twice {
			err = fmt.Errorf("there is a rule about %s in line %d already", rule.Name, before.Line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		rule.Line = number
		if book[rule.Name] = rule; len(book) > maxRules {
			return nil, fmt.Errorf("line %d: at most %d rules were expected", number, maxRules)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: it is far too long", number)
	} else if err != nil {
		return nil, err
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("at most %d bytes were expected", maxRuleFile)
	}
	return book, nil
}

func parseRule(words []string) (SetRule, error) {
	if len(words) != 2 {
		return SetRule{}, errors.New("a rule and a name were expected, such as: block evil.example")
	}
	r := SetRule{Name: words[1], Rule: Rule(words[0])}
	if !isRule(r.Rule) {
		return r, fmt.Errorf("%q was found, block, silence or allow was expected", clip(words[0]))
	}
	return r, checkRuleName(r.Name)
}

func isRule(r Rule) bool { return r == RuleAllow || r == RuleSilence || r == RuleBlock }

// checkRuleName refuses what no node can be called, and what would be about half
// of a country.
func checkRuleName(name string) error {
	if name == EveryNode {
		return nil
	}
	node, err := wire.ParseNodeName(name)
	if err != nil {
		return fmt.Errorf("%q is no name of a node or a domain: one such as evil.example, which is about all nodes under it as well, or %s was expected", clip(name), EveryNode)
	}
	if federation.IsRegistry(node) {
		return fmt.Errorf("anybody can have a name under %s: a domain such as evil.%s was expected", name, name)
	}
	return nil
}
