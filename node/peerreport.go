package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// A PeerReport is what this process knows of another node. Times are ms since 1970,
// 0 for never; what is only in memory begins anew with the process, and of several
// processes of a node each has its own.
type PeerReport struct {
	Peer        wire.NodeName `json:"peer"`
	Rule        Rule          `json:"rule"`
	Heard       int64         `json:"heard"`           // its last request
	Reached     int64         `json:"reached"`         // its last answer
	Deliveries  int           `json:"deliveries"`      // pairs of people between whom statements wait for it
	Notices     int           `json:"notices"`         // streams of which it is to be told
	Errors      int           `json:"errors"`          // requests in vain, since it answered
	Failed      int64         `json:"failed"`          // the last of them, also if it answered since
	Error       string        `json:"error,omitempty"` // of that
	Ahead       *int64        `json:"clock_ahead_ms"`  // its clock, by about a second; null while it is not known
	Software    string        `json:"software"`        // by its document
	Quarantined bool          `json:"quarantined"`     // it shows another root key than at first contact
	Witnessed   uint64        `json:"witnessed"`       // entries of the log of this node that it has cosigned, of what is kept
	Witnesses   uint64        `json:"witnesses"`       // entries of its log that this node has cosigned
}

// last is when something was noticed.
func (r PeerReport) last() int64 { return max(r.Heard, r.Reached) }

// PeerReports tells of the nodes that people here have friends at, that something
// waits for, or that were noticed lately: those of which something was noticed last
// come first.
func (n *Node) PeerReports(ctx context.Context) ([]PeerReport, error) {
	deliveries, err := n.waitingDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	witnessed, err := n.witnessedBy(ctx)
	if err != nil {
		return nil, err
	}
	notices := n.notices.waiting()
	nodes := append(n.follows.at(), n.client.Noticed()...)
	for node := range deliveries {
		nodes = append(nodes, node)
	}
	for node := range notices {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	reports := []PeerReport{}
	for _, node := range slices.Compact(nodes) {
		s, err := n.client.State(ctx, node)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		r := reportOf(node, s)
		r.Rule, r.Deliveries, r.Notices = n.rule(node), deliveries[node], notices[node]
		r.Witnessed = witnessed[node]
		if r.Witnesses, err = n.seenOf(ctx, node); err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	slices.SortStableFunc(reports, func(a, b PeerReport) int { return int(min(max(b.last()-a.last(), -1), 1)) })
	return reports, nil
}

func reportOf(node wire.NodeName, s federation.PeerState) PeerReport {
	r := PeerReport{
		Peer: node, Heard: msOf(s.Heard), Reached: msOf(s.Reached), Errors: s.Failures, Failed: msOf(s.Failed), Error: s.Error,
		Software: s.Software, Quarantined: s.Quarantined,
	}
	if s.Timed {
		ahead := s.Ahead.Milliseconds()
		r.Ahead = &ahead
	}
	return r
}

func msOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// witnessedBy returns how long the log of this node was when others cosigned it last, as
// far as that is kept.
func (n *Node) witnessedBy(ctx context.Context) (map[wire.NodeName]uint64, error) {
	witnessed := map[wire.NodeName]uint64{}
	for rec, err := range n.own.Scan(ctx, store.Prefix(cosignedPrefix)) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return nil, err
		}
		var r cosignedRecord
		size, ok := parseHex16(strings.TrimPrefix(rec.Key, cosignedPrefix))
		if err != nil || !ok || decodeRecord(rec, &r) != nil {
			continue // fsck tells
		}
		for _, node := range keyservice.WitnessNodes(r.Note) {
			witnessed[node] = max(witnessed[node], size)
		}
	}
	return witnessed, nil
}

// seenOf returns how long the log of another node was when this one cosigned it last.
func (n *Node) seenOf(ctx context.Context, node wire.NodeName) (uint64, error) {
	var r seenRecord
	_, err := read(ctx, n.own, seenKey(node), &r)
	if errors.Is(err, store.ErrDamaged) {
		err = nil // fsck tells
	}
	return r.Size, ignoreAbsent(err)
}

// waitingDeliveries counts the pairs between whom something waits for delivery, by
// the node that it waits for.
func (n *Node) waitingDeliveries(ctx context.Context) (map[wire.NodeName]int, error) {
	waiting := map[wire.NodeName]int{}
	for rec, err := range n.own.Scan(ctx, store.Prefix("deliver/")) {
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return nil, err
		}
		if _, node, err := parseDeliverKey(rec.Key); err == nil && node != n.name {
			waiting[node]++
		}
	}
	return waiting, nil
}

// waiting counts the streams of which nodes are to be told; one that is only to be
// told that there may be more counts as one.
func (o *notices) waiting() map[wire.NodeName]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting := map[wire.NodeName]int{}
	for node, b := range o.peers {
		if waiting[node] = len(b.order); b.more {
			waiting[node]++
		}
	}
	return waiting
}
