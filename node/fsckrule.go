package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// judgeDomain checks domain/<domain>/<node>, by which the nodes of a domain are
// counted. Which domain it is, another release may see otherwise.
func (d *side) judgeDomain(ctx context.Context, rec store.Record) error {
	domain, node, _ := strings.Cut(strings.TrimPrefix(rec.Key, domainPrefix), "/")
	_, err1 := wire.ParseNodeName(domain)
	_, err2 := wire.ParseNodeName(node)
	problem := decodeStrictly(rec, new(domainRecord))
	switch {
	case err1 != nil || err2 != nil || node != domain && !strings.HasSuffix(node, "."+domain):
		d.spare(rec, "its key names no node of a domain", "remove it")
	case problem != "":
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again", fix: d.rewriting(rec, &domainRecord{recordVersion})})
	default:
		_, err := d.s.Get(ctx, peerPrefix+node)
		if errors.Is(err, store.ErrNotExist) {
			d.wrong(Finding{Key: rec.Key, Problem: "nothing is known of that node", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
		} else if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
	}
	return nil
}

// judgeRule checks rule/<name>. Only the operator knows what it said; until then it
// counts as block.
func (d *side) judgeRule(_ context.Context, rec store.Record) error {
	name := strings.TrimPrefix(rec.Key, rulePrefix)
	var r ruleRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" && !isRule(r.Rule) {
		problem = fmt.Sprintf("%q is no rule", r.Rule)
	}
	if problem == "" {
		problem = d.past(r.Made)
	}
	switch {
	case checkRuleName(name) != nil:
		d.spare(rec, "its key names no node and no domain", "remove it")
	case problem != "":
		block := &ruleRecord{recordVersion, RuleBlock, d.f.Now().UnixMilli()}
		d.wrong(Finding{Key: rec.Key, Problem: problem, Person: "node " + name, Repair: "write it again, as a block", fix: d.rewriting(rec, block)})
	}
	return nil
}
