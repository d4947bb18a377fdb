package client

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Witnesses. Nodes cosign each other's checkpoints, and none that contradicts what they
// saw before. Keys are confirmed when the log that holds them is, up to their leaf, one
// that at least two nodes have cosigned which this person knows: friends are at home
// there, and it is neither their own home nor that of the keys.

// A KeysState says what is known of somebody's keys, from least to most.
type KeysState string

// The states of keys.
const (
	KeysNew       KeysState = "new"       // seen, and not trusted yet, or not looked up in the log of their node
	KeysPinned    KeysState = "pinned"    // the first that were seen: they are in the log of their node
	KeysConfirmed KeysState = "confirmed" // and other nodes saw the same log
	KeysVerified  KeysState = "verified"  // compared in person
)

const (
	// enoughWitnesses have to agree.
	enoughWitnesses = 2
	// lookTimeout is how long all nodes together are waited for by a command that could
	// do without.
	lookTimeout = 2 * time.Second
	// askedAgain is when a node is asked again that did not answer, or had nothing new.
	askedAgain = 10 * time.Minute
)

// loggedAt is where the key statement of somebody stands in the log of their node.
type loggedAt struct {
	Log    uint64 `cbor:"1,keyasint"` // the number of the log
	Number uint64 `cbor:"2,keyasint"` // of the leaf
	Seq    uint64 `cbor:"3,keyasint"` // of the statement
}

func (l loggedAt) inOrder() bool {
	return l == loggedAt{} || l.Log > 0 && max(l.Log, l.Number, l.Seq) <= wire.MaxInteger
}

// confirmed reports whether the keys that are trusted are those that witnesses have confirmed.
func (f *friend) confirmed() bool { return f.Confirmed == f.PinHash }

// pin makes the newest keys of chain those that are trusted. It says where they stand.
func (f *friend) pin(chain *keyservice.Chain, met meeting) {
	f.PinSeq, f.PinHash, f.Logged, f.Confirmed = chain.Newest().Seq, chain.NewestHash(), met.at, wire.Hash{}
	if met.confirmed {
		f.Confirmed = f.PinHash
	}
}

// keys is the state of the keys of f, which are not verified.
func (p *Person) keys(f *friend) KeysState {
	switch {
	case p.vault.friend(f.Account) == nil, f.Logged == loggedAt{}:
		return KeysNew
	case f.confirmed():
		return KeysConfirmed
	}
	return KeysPinned
}

// ErrSplitView says, beside the kind wire.Tampered, that a node has signed two logs of
// keys that contradict each other: it shows different people different keys.
var ErrSplitView = errors.New("a node shows different logs of keys")

type splitViewError struct{ cause error }

func (e *splitViewError) Error() string        { return reason(e.cause) }
func (e *splitViewError) Unwrap() error        { return e.cause }
func (e *splitViewError) Is(target error) bool { return target == ErrSplitView }

// witnesses are the nodes whose word counts about the log of another: those of friends,
// as far as their own logs are known.
func (p *Person) witnesses(of wire.NodeName) map[wire.NodeName]bool {
	list := make(map[wire.NodeName]bool)
	for i := range p.vault.Friends {
		f := &p.vault.Friends[i]
		if f.state() == wire.StateFriend && f.Node != of && f.Node != p.session.Address.Node && p.pins()[f.Node] != nil {
			list[f.Node] = true
		}
	}
	return list
}

// cosigners are the witnesses that have cosigned a checkpoint. Where their keys are not
// known, or others than those that signed, they are asked for them.
func (p *Person) cosigners(ctx context.Context, of wire.NodeName, checkpoint []byte) (nodes []wire.NodeName) {
	known := p.witnesses(of)
	named := slices.DeleteFunc(keyservice.WitnessNodes(checkpoint), func(n wire.NodeName) bool { return !known[n] })
	p.askWitnesses(ctx, slices.DeleteFunc(slices.Clone(named), func(n wire.NodeName) bool { return p.hasCosigned(n, checkpoint) }))
	keys := make(map[wire.NodeWitnessKey]bool) // the name is not signed: a key counts once, whoever says it is theirs
	for _, node := range named {
		if key := p.pins()[node].Witness; p.hasCosigned(node, checkpoint) && !keys[key] {
			keys[key], nodes = true, append(nodes, node)
		}
	}
	return nodes
}

func (p *Person) hasCosigned(node wire.NodeName, checkpoint []byte) bool {
	key := p.pins()[node].Witness
	if key == (wire.NodeWitnessKey{}) {
		return false
	}
	_, ok := keyservice.NodeWitness(node, key).Cosigned(checkpoint)
	return ok
}

// askWitnesses asks nodes for their documents, and takes the keys there for those of
// witnesses. Nodes that were asked a short time ago are left out.
func (p *Person) askWitnesses(ctx context.Context, nodes []wire.NodeName) {
	nodes = p.due(nodes, true)
	found := make([]logPin, len(nodes))
	p.each(ctx, nodes, func(ctx context.Context, i int, known logPin) {
		if pin, err := p.askLog(ctx, nodes[i], &known); err == nil {
			found[i] = pin
		}
	})
	for i, node := range nodes {
		p.askedOf(node, true)
		if key := found[i].Witness; key != (wire.NodeWitnessKey{}) {
			now := *p.pins()[node]
			now.Witness = key
			p.saw(now)
		}
	}
}

// each asks several nodes at once, whose logs are known.
func (p *Person) each(ctx context.Context, nodes []wire.NodeName, ask func(ctx context.Context, i int, known logPin)) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, node := range nodes {
		known := *p.pins()[node]
		all.Go(func() { ask(ctx, i, known) })
	}
	all.Wait()
}

// A question is what a node was asked in vain: for its key as a witness, or for the
// checkpoint of its log that others have cosigned.
type question struct {
	node    wire.NodeName
	witness bool
}

// due are those of nodes that may be asked now, at most maxAsked, by chance.
func (p *Person) due(nodes []wire.NodeName, witness bool) []wire.NodeName {
	nodes = slices.DeleteFunc(nodes, func(n wire.NodeName) bool { return !p.c.reaches(n) || !p.longAgo(p.asked[question{n, witness}]) })
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes[:min(len(nodes), maxAsked)]
}

// longAgo reports whether a node that was asked at a time may be asked again.
func (p *Person) longAgo(at int64) bool {
	return p.c.now().Sub(time.UnixMilli(at)).Abs() >= askedAgain
}

// askedOf remembers that a node was asked now, and is not to be asked again soon.
func (p *Person) askedOf(node wire.NodeName, witness bool) {
	p.asked[question{node, witness}], p.logsChanged = p.c.now().UnixMilli(), true
}

// covered returns how far the log of a node is known to be the same to enough witnesses,
// by a checkpoint that was shown: 0 where they have not cosigned it. It has to be of the
// log that was seen.
func (p *Person) covered(ctx context.Context, node wire.NodeName, checkpoint []byte) (uint64, error) {
	pin := *p.pins()[node]
	shown, err := keyservice.OpenCheckpoint(checkpoint, pin.origin(), pin.Key)
	if err != nil {
		return 0, logError(node, "what is shown as cosigned is not of it: %s", reason(err))
	}
	by := p.cosigners(ctx, node, checkpoint)
	if _, err := p.compareLog(ctx, pin, shown); err != nil {
		if errors.Is(err, keyservice.ErrFork) && len(by) > 0 {
			return 0, &splitViewError{logError(node, "%s has signed two that contradict each other: one was shown to you, and %s saw the other. Whose keys you have from there cannot be known", node, nodeNames(by))}
		}
		return 0, logFault(node, err)
	}
	if len(by) < enoughWitnesses {
		return 0, nil
	}
	return shown.Size, nil
}

// nodeNames are names of nodes as people read them.
func nodeNames(nodes []wire.NodeName) string {
	var words []string
	for _, n := range slices.Sorted(slices.Values(nodes)) {
		words = append(words, string(n))
	}
	return strings.Join(words, " and ")
}

// confirmNow looks whether enough witnesses saw the keys that are about to be pinned: by
// the checkpoint of the proof, or by the one that the node shows for it.
func (p *Person) confirmNow(ctx context.Context, node wire.NodeName, proof *keyservice.Proof, reached bool) (bool, error) {
	if len(p.witnesses(node)) < enoughWitnesses {
		return false, nil
	}
	if len(p.cosigners(ctx, node, proof.Signed)) >= enoughWitnesses {
		return true, nil
	}
	if !reached {
		return false, nil
	}
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	size := uint64(0)
	b, err := p.logFile(asking, p.pins()[node], cosignedFile)
	if err == nil {
		size, err = p.covered(asking, node, b)
	}
	if err != nil && !errors.Is(err, wire.Tampered) {
		return false, ctx.Err() // it is tried again later
	}
	return size > proof.Number, err
}

// confirmFriends looks whether witnesses saw keys that are pinned, and not confirmed or
// verified: at so many nodes, by one question for each. What contradicts what was seen is
// a problem of the friends there.
func (p *Person) confirmFriends(ctx context.Context) error {
	if err := p.lookUp(ctx); err != nil {
		return err
	}
	waiting := p.unconfirmed()
	var nodes []wire.NodeName
	for node := range waiting {
		if p.pins()[node] != nil && len(p.witnesses(node)) >= enoughWitnesses {
			nodes = append(nodes, node)
		}
	}
	nodes = p.due(nodes, false)
	shown, errs := make([][]byte, len(nodes)), make([]error, len(nodes))
	p.each(ctx, nodes, func(ctx context.Context, i int, known logPin) {
		shown[i], errs[i] = p.logFile(ctx, &known, cosignedFile)
	})
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	confirmed := make(map[wire.AccountID]friend)
	for i, node := range nodes {
		size, err := uint64(0), errs[i]
		if err == nil {
			size, err = p.covered(looking, node, shown[i])
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, wire.Tampered):
			for _, f := range waiting[node] {
				p.problems[f.Account] = err
			}
		case err != nil && !errors.Is(err, wire.NotExist):
			p.askedOf(node, false)
		case size > 0:
			p.confirmAt(looking, size, waiting[node], confirmed)
		}
	}
	return p.tookIn(ctx, confirmed)
}

// tookIn writes into the vault what was found out about keys that are pinned: where they
// stand, and whether they are confirmed.
func (p *Person) tookIn(ctx context.Context, found map[wire.AccountID]friend) error {
	if len(found) == 0 {
		return ctx.Err()
	}
	err := p.updateVault(ctx, func(v *vault) (changed bool, err error) {
		for id, now := range found {
			if f := v.friend(id); f != nil && f.PinHash == now.PinHash && !f.confirmed() && (f.Logged != now.Logged || now.confirmed()) {
				f.Logged, f.Confirmed, changed = now.Logged, now.Confirmed, true
			}
		}
		return changed, nil
	})
	if errors.Is(err, wire.Unavailable) {
		return ctx.Err() // it is tried again later
	}
	return err
}

// unconfirmed lists friends, and who was asked, by node, whose keys could be confirmed.
func (p *Person) unconfirmed() map[wire.NodeName][]*friend {
	list := make(map[wire.NodeName][]*friend)
	for i := range p.vault.Friends {
		if f := &p.vault.Friends[i]; f.state() != wire.StateNone && !f.Verified && !f.confirmed() {
			list[f.Node] = append(list[f.Node], f)
		}
	}
	return list
}

// confirmAt adds to confirmed those of friends at one node whose keys stand in the first
// size leaves of its log. Where it is not known where they stand, the home is asked for
// the proof, of so many.
func (p *Person) confirmAt(ctx context.Context, size uint64, friends []*friend, confirmed map[wire.AccountID]friend) {
	asked := 0
	for _, f := range friends {
		now := *f
		if now.Logged.Log != p.pins()[f.Node].Number || now.Logged.Seq != f.PinSeq {
			if asked++; asked > maxAsked || p.findLeaf(ctx, &now) != nil {
				continue // it is tried again later
			}
		}
		if size > now.Logged.Number {
			now.Confirmed = now.PinHash
			confirmed[f.Account] = now
		}
	}
}

// findLeaf finds where the pinned keys of f stand in the log of their node.
func (p *Person) findLeaf(ctx context.Context, f *friend) error {
	shown, err := p.knownChain(ctx, f)
	if err != nil {
		return err
	}
	if _, err := p.followShown(ctx, f, shown); err != nil {
		return err
	}
	if now := p.vault.friend(f.Account); now != nil && now.PinHash != f.PinHash {
		*f = *now // which says where they stand
		return nil
	}
	_, proof, err := p.prove(ctx, shown, nil, false)
	if err != nil {
		return err
	}
	f.Logged = loggedAt{p.pins()[f.Node].Number, proof.Number, f.PinSeq}
	return nil
}

// confirmAtLogin is confirmFriends for a session that has just begun. Whatever comes of
// it, the session is there: what is wrong is a note, and what cannot be known now is
// tried again later.
func (p *Person) confirmAtLogin(ctx context.Context) {
	err := p.do(ctx, func() error {
		err := p.confirmFriends(ctx)
		told := make(map[string]bool) // once for a node, whoever lives there
		for _, problem := range p.problems {
			told[reason(problem)] = true
		}
		p.notes = slices.AppendSeq(p.notes, slices.Values(slices.Sorted(maps.Keys(told))))
		return err
	})
	if errors.Is(err, wire.Tampered) {
		p.notes = append(p.notes, reason(err))
	}
}
