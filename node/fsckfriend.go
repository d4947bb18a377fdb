package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

func parsePair(me, other string) (p pair, ok bool) {
	var err error
	if p.me, err = wire.ParseAccountID(me); err != nil {
		return p, false
	}
	p.other, err = wire.ParseAccountID(other)
	return p, err == nil
}

// judgeFriend checks friend/<me>/<other>: each statement, and that they add up to
// what the record says.
func (d *side) judgeFriend(ctx context.Context, rec store.Record) error {
	parts := strings.Split(rec.Key, "/")
	p, ok := pair{}, false
	if len(parts) == 3 {
		p, ok = parsePair(parts[1], parts[2])
	}
	if !ok {
		d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a friendship"})
		return nil
	}
	var r friendRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" && (r.Friendship.Me != p.me || r.Friendship.Other != p.other) {
		problem = "it is about other people than its key says"
	}
	if problem == "" {
		var err error
		if problem, err = d.friendProblem(ctx, p, &r); err != nil {
			return err
		}
	}
	if problem != "" {
		d.lost(ctx, rec.Key, p.me, "%s", problem)
		return nil
	}
	if err := d.judgeMarked(ctx, p, &r); err != nil || len(r.Queue) == 0 {
		return err
	}
	there, _, err := d.get(ctx, deliverKey(r.Node, p), new(deliverRecord))
	if err == nil && !there {
		d.wrong(Finding{
			Key: deliverKey(r.Node, p), Problem: "statements wait for delivery without the marker that they are found by", Person: d.who(ctx, p.me),
			Repair: "write it again", fix: d.applies(put(deliverKey(r.Node, p), &deliverRecord{recordVersion})),
		})
	}
	return err
}

// friendProblem returns what is wrong with a record that can be read.
func (d *side) friendProblem(ctx context.Context, p pair, r *friendRecord) (string, error) {
	if _, err := wire.ParseAddress(r.address().String()); err != nil {
		return "its address is none", nil
	}
	if err := r.Friendship.Check(); err != nil {
		return err.Error(), nil
	}
	mine, err := d.chain(ctx, p.me)
	if err != nil {
		return "", err
	}
	theirs, err := d.chainAt(ctx, p.other, r.Node)
	if err != nil {
		return "", err
	}
	if mine.chain == nil {
		return "", d.unverified(ctx, p.me, mine)
	}
	if !mine.whole || !theirs.whole {
		d.loose++
		return "", nil
	}
	sum := friendSum{r: r, kept: wire.Friendship{Me: p.me, Other: p.other}, me: mine, they: theirs}
	if problem := sum.problem(); problem != "" {
		return problem, nil
	}
	if r.Node != d.f.report.Name {
		return "", nil
	}
	return "", d.judgeOtherSide(ctx, p, r)
}

// chainAt returns the keys of somebody whose home is known.
func (d *side) chainAt(ctx context.Context, account wire.AccountID, node wire.NodeName) (*heldChain, error) {
	if node == d.f.report.Name {
		return d.f.own.chain(ctx, account)
	}
	return d.f.copies.chain(ctx, account)
}

// judgeOtherSide looks for the record of the other, who is a person of this node:
// what they said was committed there before it came here.
func (d *side) judgeOtherSide(ctx context.Context, p pair, r *friendRecord) error {
	if r.Friendship.Yours == (wire.Side{}) && len(r.EndsGot) == 0 {
		return nil
	}
	if gone, err := d.isGone(ctx, r.Handle, p.other); err != nil || gone {
		return err
	}
	key := friendKey(pair{p.other, p.me})
	var o friendRecord
	there, legible, err := d.get(ctx, key, &o)
	if err != nil || there && !legible {
		return err
	}
	got, said := r.Friendship.Yours, o.Friendship.Mine
	if !there {
		d.lost(ctx, key, p.other, "the record is missing, and %s has heard what stood in it", r.Friendship.Me)
	} else if got.Created > said.Created || got.AcceptedAt > said.AcceptedAt {
		d.lost(ctx, key, p.other, "it is older than what %s has heard of it", r.Friendship.Me)
	}
	return nil
}

// friendSum adds up what is kept in a friendRecord, and compares.
type friendSum struct {
	r        *friendRecord
	kept     wire.Friendship
	me, they *heldChain
}

func (s *friendSum) problem() string {
	for _, one := range []struct {
		made bool
		kind wire.FriendKind
		kept wire.Signed
		says bool // that there is one
	}{
		{true, wire.FriendOffer, s.r.OfferMade, !s.r.Friendship.Mine.Offer.IsZero()},
		{false, wire.FriendOffer, s.r.OfferGot, !s.r.Friendship.Yours.Offer.IsZero()},
		{true, wire.FriendAccept, s.r.AcceptMade, !s.r.Friendship.Mine.Accepted.IsZero()},
		{false, wire.FriendAccept, s.r.AcceptGot, !s.r.Friendship.Yours.Accepted.IsZero()},
	} {
		if one.says != (len(one.kept) > 0) {
			return fmt.Sprintf("it has not the %ss that it speaks of", one.kind)
		}
		if one.says {
			if problem := s.take(one.made, wire.FriendStatement{Kind: one.kind, Statement: one.kept}, nil); problem != "" {
				return problem
			}
		}
	}
	if s.r.Friendship.Mine.Offer.IsZero() && s.r.Friendship.Yours.Offer.IsZero() {
		return "there is no offer in it"
	}
	for _, side := range []struct {
		made bool
		ends []keptEnd
	}{{true, s.r.EndsMade}, {false, s.r.EndsGot}} {
		if len(side.ends) > maxEnds {
			return "it keeps too many ends"
		}
		for _, e := range side.ends {
			if problem := s.take(side.made, wire.FriendStatement{Kind: wire.FriendEnd, Statement: e.Statement}, e.Offers); problem != "" {
				return problem
			}
		}
	}
	if len(s.r.Tombstone) > 0 {
		if problem := s.take(false, wire.FriendStatement{Kind: wire.FriendTombstone, Statement: s.r.Tombstone}, nil); problem != "" {
			return problem
		}
	}
	if problem := s.compare(); problem != "" {
		return problem
	}
	return s.queue()
}

// take adds one statement.
func (s *friendSum) take(made bool, f wire.FriendStatement, offers []wire.Hash) string {
	held, other := s.they, s.kept.Me
	if made {
		held, other = s.me, s.kept.Other
	}
	said, err := openStatement(held.chain, f)
	if err != nil {
		return fmt.Sprintf("an %s in it does not verify: %v", f.Kind, err)
	}
	if said.to != other && said.gone == nil {
		return fmt.Sprintf("an %s in it is between other people", f.Kind)
	}
	switch {
	case said.offer != nil:
		here, there := said.offer.FromAddress(), said.offer.ToAddress()
		if !made {
			here, there = there, here
		}
		if there != s.r.address() || here != s.me.chain.Address() {
			return "an offer in it names other addresses"
		}
		err = s.kept.AddOffer(said.offer, said.hash)
	case said.accept != nil:
		err = s.kept.AddAccept(said.accept)
	case said.gone != nil:
		err = s.kept.AddTombstone(said.gone)
	case !slices.Equal(said.end.Offers, offers):
		return "an end in it names other offers than the record says"
	default:
		err = s.kept.AddEnd(said.end)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// compare compares what was added up with what the record says. Of the ends, a
// record keeps the last few and remembers what more of them said.
func (s *friendSum) compare() string {
	says := &s.r.Friendship
	all := len(s.r.EndsMade) < maxEnds && len(s.r.EndsGot) < maxEnds
	if all && string(wire.EncodeCBOR(says)) == string(wire.EncodeCBOR(&s.kept)) {
		return ""
	}
	const differs = "it says something else than its statements add up to"
	if all {
		return differs
	}
	for _, sides := range [][2]wire.Side{{says.Mine, s.kept.Mine}, {says.Yours, s.kept.Yours}} {
		dead := sides[0].Dead
		if sides[0].Dead = sides[1].Dead; sides[0] != sides[1] || sides[1].Dead && !dead {
			return differs
		}
	}
	if says.Floor < s.kept.Floor {
		return differs
	}
	for _, e := range s.kept.Ended {
		if e.Said >= says.Floor && !slices.Contains(says.Ended, e) && !slices.ContainsFunc(says.Ended, func(o wire.Ended) bool { return o.Offer == e.Offer && o.Said > e.Said }) {
			return differs
		}
	}
	return ""
}

// queue checks what waits for delivery: statements of this side.
func (s *friendSum) queue() string {
	for _, q := range s.r.Queue {
		said, err := openStatement(s.me.chain, wire.FriendStatement{Kind: q.Kind, Statement: q.Statement})
		if err != nil {
			return fmt.Sprintf("a statement that waits does not verify: %v", err)
		}
		if said.to != s.kept.Other {
			return "a statement that waits is for somebody else"
		}
	}
	return ""
}

// judgeDeliver checks deliver/<node>/<me>/<other>.
func (d *side) judgeDeliver(ctx context.Context, rec store.Record) error {
	parts := strings.Split(rec.Key, "/")
	p, ok := pair{}, false
	if len(parts) == 4 {
		p, ok = parsePair(parts[2], parts[3])
	}
	if !ok {
		d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a delivery", Repair: "remove it", fix: d.removal(rec)})
		return nil
	}
	var r friendRecord
	there, legible, err := d.get(ctx, friendKey(p), &r)
	if err != nil || there && !legible || there && d.f.named[d.name+" "+friendKey(p)] {
		return err
	}
	waits := there && len(r.Queue) > 0 && string(r.Node) == parts[1]
	problem := decodeStrictly(rec, new(deliverRecord))
	switch {
	case problem != "" && waits:
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again", fix: d.rewriting(rec, &deliverRecord{recordVersion})})
	case !waits:
		if problem == "" {
			problem = "nothing waits for this delivery"
		}
		d.wrong(Finding{Key: rec.Key, Problem: problem, Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return nil
}

// judgeMarked looks for the marker of a friendship with somebody elsewhere.
func (d *side) judgeMarked(ctx context.Context, p pair, r *friendRecord) error {
	if r.Node == d.f.report.Name {
		return nil
	}
	all, _, err := d.get(ctx, elsewherePrefix, new(elsewhereRecord))
	if err != nil || !all { // the next start marks all
		return err
	}
	key := elsewhereKey(r.Node, p)
	there, _, err := d.get(ctx, key, new(elsewhereRecord))
	if err == nil && !there {
		d.wrong(Finding{
			Key: key, Problem: "a friendship with somebody elsewhere is not found by it", Person: d.who(ctx, p.me),
			Repair: "write it again", fix: d.applies(put(key, &elsewhereRecord{recordVersion})),
		})
	}
	return err
}

// judgeElsewhere checks elsewhere and elsewhere/<node>/<me>/<other>.
func (d *side) judgeElsewhere(ctx context.Context, rec store.Record) error {
	if problem := decodeStrictly(rec, new(elsewhereRecord)); problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again", fix: d.rewriting(rec, &elsewhereRecord{recordVersion})})
		return nil
	}
	if rec.Key == elsewherePrefix {
		return nil
	}
	p, ok := parseElsewhereKey(rec.Key)
	if !ok {
		d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a friendship elsewhere", Repair: "remove it", fix: d.removal(rec)})
		return nil
	}
	there, _, err := d.get(ctx, friendKey(p), new(friendRecord))
	if err == nil && !there {
		d.wrong(Finding{Key: rec.Key, Problem: "there is no such friendship", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return err
}
