package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A node brings its newest checkpoint to witnesses: to the nodes at which people here have
// friends, and to those that its operator names. That is done behind what people do, and
// never waited for. Of several processes the one that leads does it.

const (
	// maxNearWitnesses are asked of the nodes with friends, those with most first.
	maxNearWitnesses = 8
	// maxNamedWitnesses are as many as an operator may name, so that all lines fit into a
	// proof (wire.MaxLogProof).
	maxNamedWitnesses = 4
	// cosignAgain is after how long a log that has not grown is shown once more: what was
	// cosigned says when.
	cosignAgain = time.Hour

	longestSilence = time.Minute // between two attempts, at one that does not answer
	longestRefusal = 10 * time.Minute
)

// Witnesses reaches witnesses.
type Witnesses interface {
	AddCheckpoint(ctx context.Context, node wire.NodeName, body []byte) (federation.WitnessAnswer, error)
	AddCheckpointAt(ctx context.Context, at *url.URL, body []byte) (federation.WitnessAnswer, error)
}

// A NamedWitness is one that the operator names.
type NamedWitness struct {
	keyservice.Witness
	At *url.URL // of add-checkpoint
}

// ParseNamedWitnesses reads what an operator lists: of each witness its verifier key
// (c2sp.org/signed-note), a space, and its submission prefix, with commas between them.
// Without development the prefix is one of https.
func ParseNamedWitnesses(s string, development bool) (list []NamedWitness, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, prefix, _ := strings.Cut(part, " ")
		w := NamedWitness{}
		if w.Witness, err = keyservice.ParseWitness(key); err != nil {
			return nil, err
		}
		if w.At, err = url.Parse(prefix); !isPrefix(w.At, err, development) {
			return nil, fmt.Errorf("behind the key of %s, a space and a URL such as https://witness.example/ were expected", w.Name)
		}
		w.At = w.At.JoinPath("add-checkpoint")
		list = append(list, w)
	}
	if len(list) > maxNamedWitnesses {
		return nil, fmt.Errorf("%d witnesses were found, at most %d were expected", len(list), maxNamedWitnesses)
	}
	return list, nil
}

// isPrefix reports whether a URL that was parsed is one below which a witness can be asked.
func isPrefix(u *url.URL, err error, development bool) bool {
	return err == nil && (u.Scheme == "https" || development && u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// An asking is what is known of a witness, in memory: it is learned anew.
type asking struct {
	mu    sync.Mutex
	size  uint64    // that it saw last
	since time.Time // when it cosigned that; zero if it has not
	next  time.Time // not before
	pause time.Duration
	busy  bool
}

// begins reports whether a log of a size is to be shown to the witness now, and holds it
// for that.
func (a *asking) begins(size uint64, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := a.pause == 0 && a.size == size && now.Sub(a.since) < cosignAgain
	if a.busy || done || now.Before(a.next) {
		return false
	}
	a.busy = true
	return true
}

// saw returns the size that the witness saw last, as far as is known.
func (a *asking) saw() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// nearest returns the nodes with most friendships.
func (f *follows) nearest(most int) []wire.NodeName {
	f.mu.Lock()
	defer f.mu.Unlock()
	friends := map[wire.NodeName]int{}
	var nodes []wire.NodeName
	for node, streams := range f.nodes {
		for _, readers := range streams {
			friends[node] += len(readers)
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b wire.NodeName) int { return cmp.Or(friends[b]-friends[a], cmp.Compare(a, b)) })
	return nodes[:min(len(nodes), most)]
}

// cosignLoop asks witnesses until the node closes.
func (n *Node) cosignLoop() {
	<-n.warmed // who is near is known
	all := map[string]*asking{}
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(n.every / 10):
		}
		size, err := n.keyLog.Size(n.ctx)
		if err != nil || !n.leads() || n.keyLog.Closed() != nil { // an error is logged where it is in the way of people
			continue
		}
		now := n.witnessesNow()
		maps.DeleteFunc(all, func(name string, _ *asking) bool { return now[name] == nil })
		for name, ask := range now {
			if all[name] == nil {
				all[name] = new(asking)
			}
			if a := all[name]; a.begins(size, n.now()) {
				n.work.Go(func() { n.bring(name, a, ask) })
			}
		}
	}
}

// A showing shows a request to a witness, and returns who that is.
type showing func(ctx context.Context, body []byte) (keyservice.Witness, federation.WitnessAnswer, error)

// witnessesNow are those who are to be asked, by the names of their askings.
func (n *Node) witnessesNow() map[string]showing {
	all := map[string]showing{}
	for _, node := range n.follows.nearest(maxNearWitnesses) {
		if !n.blocks(node) {
			all[string(node)] = func(ctx context.Context, body []byte) (keyservice.Witness, federation.WitnessAnswer, error) {
				return n.askNear(ctx, node, body)
			}
		}
	}
	for _, w := range n.named {
		all[w.String()] = func(ctx context.Context, body []byte) (keyservice.Witness, federation.WitnessAnswer, error) {
			a, err := n.witnesses.AddCheckpointAt(ctx, w.At, body)
			return w.Witness, a, err
		}
	}
	return all
}

// askNear asks a node, which is the witness that its document names.
func (n *Node) askNear(ctx context.Context, node wire.NodeName, body []byte) (w keyservice.Witness, a federation.WitnessAnswer, err error) {
	if a, err = n.witnesses.AddCheckpoint(ctx, node, body); err != nil {
		return w, a, err
	}
	key, ok := a.By.WitnessKey()
	if !ok {
		return w, a, wire.Errorf(wire.Unavailable, "", "node %s is no witness", node)
	}
	return keyservice.NodeWitness(node, key), a, nil
}

// bring shows the newest checkpoint to a witness, and notes what came of it.
func (n *Node) bring(name string, a *asking, ask showing) {
	size, err := n.cosignedBy(a.saw(), ask)
	now := n.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.pause > 0 || a.since.IsZero()
	a.busy = false
	if err == nil {
		if first {
			n.log.Info("a witness has cosigned the log of this node", "witness", name, "size", size)
		}
		a.size, a.since, a.pause, a.next = size, now, 0, time.Time{}
		return
	}
	longest := longestSilence
	if errors.Is(err, wire.Tampered) || errors.Is(err, wire.Forbidden) {
		longest = longestRefusal
	}
	if a.pause == 0 && n.ctx.Err() == nil {
		n.log.Warn("a witness has not cosigned the log of this node; it is asked again", "witness", name, "error", err)
	}
	a.pause = n.jitter.grow(a.pause, n.every, longest)
	a.next = now.Add(a.pause)
}

// cosignedBy gets a cosignature and keeps it. A witness may say once that it saw another
// size last.
func (n *Node) cosignedBy(old uint64, ask showing) (size uint64, err error) {
	for told := false; ; told = true {
		request, err := n.keyLog.Growth(n.ctx, old)
		if err != nil {
			return 0, err
		}
		w, answer, err := ask(n.ctx, request.Format())
		if err == nil && answer.Status != 200 {
			err = n.doubt(n.ctx, answer.Seen)
		}
		if err != nil {
			return 0, err
		}
		switch {
		case answer.Status == 200:
			line, ok := w.Line(request.Signed, answer.Body)
			if !ok {
				return 0, wire.Errorf(wire.Forbidden, "", "it answers with no cosignature by its key")
			}
			return request.New.Size, n.keepCosignature(n.ctx, request.New.Size, request.Signed, line)
		case answer.Status == 409 && !told:
			old, err = strconv.ParseUint(strings.TrimSuffix(string(answer.Body), "\n"), 10, 64)
			if err != nil {
				return 0, wire.Errorf(wire.Forbidden, "", "it answers with no size")
			}
			if old > request.New.Size {
				return 0, wire.Errorf(wire.Tampered, "", "it has seen %d leaves of the log, and here are %d: run peerbrain-node backup and restore, which begins another log", old, request.New.Size)
			}
		case answer.Status == 422:
			return 0, wire.Errorf(wire.Tampered, "", "it says that the log contradicts what it saw of it before")
		case answer.Status == 429 || answer.Status >= 500:
			return 0, wire.Errorf(wire.Unavailable, "", "it answers %d", answer.Status)
		default:
			return 0, wire.Errorf(wire.Forbidden, "", "it answers %d", answer.Status)
		}
	}
}
