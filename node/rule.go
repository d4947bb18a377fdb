package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A Rule is what the operator decided about another node.
type Rule string

const (
	RuleAllow   Rule = "allow"   // as if nothing were decided: an exception to another rule
	RuleSilence Rule = "silence" // nobody there asks people here for a friendship
	RuleBlock   Rule = "block"   // nothing is taken from it, and nothing sent to it
)

// EveryNode is the name of the rule about all nodes that no other rule is about.
const EveryNode = "*"

// maxRules is how many there may be, in the file and by command each.
const maxRules = 10_000

// A SetRule is a rule about a node and all nodes whose names end with a dot and
// its name, or about every node.
type SetRule struct {
	Name string `json:"name"`
	Rule Rule   `json:"rule"`
	Line int    `json:"line,omitempty"` // of the file; 0 for one that was set by command
}

// A ruleBook is all rules at a time, by name. Of those that are about a node, the
// longest name counts.
type ruleBook map[string]SetRule

// about returns the rule that is about a node, if there is one.
func (b ruleBook) about(node wire.NodeName) (SetRule, bool) {
	for name, more := string(node), true; more; _, name, more = strings.Cut(name, ".") {
		if r, ok := b[name]; ok {
			return r, true
		}
	}
	r, ok := b[EveryNode]
	return r, ok
}

func (b ruleBook) of(node wire.NodeName) Rule {
	if r, ok := b.about(node); ok {
		return r.Rule
	}
	return RuleAllow
}

// rules are those of the operator. Where the file has one about a name, it counts.
type rules struct {
	file string // path, or ""
	book atomic.Pointer[ruleBook]

	mu     sync.Mutex // held to change what follows, and book
	filed  ruleBook
	stored ruleBook
}

func ruleKey(name string) string { return rulePrefix + name }

const rulePrefix = "rule/"

// rule returns what is decided about another node.
func (n *Node) rule(node wire.NodeName) Rule {
	if node == n.name {
		return RuleAllow
	}
	return n.rules.book.Load().of(node)
}

func (n *Node) blocks(node wire.NodeName) bool { return n.rule(node) == RuleBlock }

// openRules reads all rules.
func (n *Node) openRules(ctx context.Context, file string) error {
	n.rules.file = file
	n.rules.book.Store(new(ruleBook))
	n.rules.mu.Lock()
	defer n.rules.mu.Unlock()
	return n.readRules(ctx, true)
}

// ReloadRules reads all rules again, those of the file too. If not all can be read,
// nothing changes.
func (n *Node) ReloadRules(ctx context.Context) error {
	n.rules.mu.Lock()
	defer n.rules.mu.Unlock()
	return n.readRules(ctx, true)
}

// heardOfRules reads those again that another process of this node may have changed.
func (n *Node) heardOfRules(ctx context.Context) error {
	n.rules.mu.Lock()
	defer n.rules.mu.Unlock()
	return n.readRules(ctx, false)
}

// readRules reads the records, and with file the file before. The caller holds
// n.rules.mu.
func (n *Node) readRules(ctx context.Context, file bool) (err error) {
	r := &n.rules
	filed := r.filed
	if file {
		if filed, err = readRuleFile(r.file); err != nil {
			return err
		}
	}
	stored := ruleBook{}
	for rec, err := range n.own.Scan(ctx, store.Prefix(rulePrefix)) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
		name := strings.Clone(strings.TrimPrefix(rec.Key, rulePrefix))
		var is ruleRecord
		if err == nil {
			err = decodeRecord(rec, &is)
		}
		if err != nil { // whatever it was, it was no reason to trust
			n.leftOut(err)
			is.Rule = RuleBlock
		}
		if rec.Key != "" {
			stored[name] = SetRule{Name: name, Rule: is.Rule}
		}
	}
	before := *r.book.Load()
	book := maps.Clone(stored)
	maps.Copy(book, filed)
	r.filed, r.stored = filed, stored
	r.book.Store(&book)
	n.unblocked(before)
	return nil
}

// unblocked lets the nodes that may be spoken to again be tried at once.
func (n *Node) unblocked(before ruleBook) {
	nodes := append(n.follows.at(), n.queue.nodes()...)
	slices.Sort(nodes)
	for _, node := range slices.Compact(nodes) {
		if before.of(node) != RuleBlock || n.blocks(node) {
			continue
		}
		n.log.Info("a node is not blocked any more", "peer", string(node))
		n.resume(node)
	}
}

// resume takes up what waited for a node that may be spoken to again.
func (n *Node) resume(node wire.NodeName) {
	n.queue.back(node)
	if n.follows.from(node) {
		n.tellMore(node)
		n.follows.renew(node)
		n.pullSoon(node)
	}
}

// SetRule decides about a node and all under it, or about every node.
func (n *Node) SetRule(ctx context.Context, name string, rule Rule) error {
	if err := n.mayRule(name); err != nil {
		return err
	}
	n.rules.mu.Lock()
	defer n.rules.mu.Unlock()
	if err := n.rules.filedAlready(name); err != nil {
		return err
	}
	if _, there := n.rules.stored[name]; !there && len(n.rules.stored) >= maxRules {
		return fmt.Errorf("there are %d rules, and there may be no more; a rule about a domain is one about all nodes under it", maxRules)
	}
	if err := n.own.Apply(ctx, put(ruleKey(name), &ruleRecord{recordVersion, rule, n.now().UnixMilli()})); err != nil {
		return err
	}
	n.log.Info("a rule about nodes was set", "name", name, "rule", string(rule))
	return n.readRules(ctx, false)
}

// DropRule takes the rule about a name back.
func (n *Node) DropRule(ctx context.Context, name string) error {
	n.rules.mu.Lock()
	defer n.rules.mu.Unlock()
	if err := n.rules.filedAlready(name); err != nil {
		return err
	}
	if _, there := n.rules.stored[name]; !there {
		return n.rules.noSuch(name)
	}
	if err := n.own.Apply(ctx, store.Change{Key: ruleKey(name)}); err != nil {
		return err
	}
	n.log.Info("a rule about nodes was taken back", "name", name)
	return n.readRules(ctx, false)
}

// mayRule refuses names that no rule is about.
func (n *Node) mayRule(name string) error {
	if name == string(n.name) {
		return fmt.Errorf("%s is this node", name)
	}
	return checkRuleName(name)
}

// filedAlready refuses to decide by command what the file decides.
func (r *rules) filedAlready(name string) error {
	if f, ok := r.filed[name]; ok {
		return fmt.Errorf("%s stands in %s, line %d: change it there, and let it be read again", name, r.file, f.Line)
	}
	return nil
}

// noSuch says that there is no rule about a name, and which one counts for it.
func (r *rules) noSuch(name string) error {
	other, ok := r.book.Load().about(wire.NodeName(name))
	if !ok || name == EveryNode {
		return fmt.Errorf("there is no rule about %s", name)
	}
	return fmt.Errorf("there is no rule about %s itself: %s %s counts for it, to which allow %s would be an exception", name, other.Rule, other.Name, name)
}

// Rules returns all rules that count, in the order of their names.
func (n *Node) Rules() []SetRule {
	book := *n.rules.book.Load()
	return slices.SortedFunc(maps.Values(book), func(a, b SetRule) int { return strings.Compare(a.Name, b.Name) })
}

// blocked is what people here are told who want something new of a node that is
// blocked.
func blocked(node wire.NodeName) error {
	return wire.Errorf(wire.Forbidden, "address", "the operator of this node has blocked %s", node)
}
