package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// The logs of key statements that nodes keep, as this person has seen them
// (docs/protocol.md, "Transparency log"). Before keys are pinned, they have to be in the
// log of their node, and that log has to be one and the same at all times: it grows, and
// never changes what it has shown before. What was seen of each log lies in the vault, as
// of when that was last written, and newer on the device.

// logPin is what was seen of the log of one node.
type logPin struct {
	Node   wire.NodeName    `cbor:"1,keyasint"`
	Root   wire.NodeRootKey `cbor:"2,keyasint"` // that signs the node's documents
	Key    wire.NodeLogKey  `cbor:"3,keyasint"`
	Number uint64           `cbor:"4,keyasint"`
	Size   uint64           `cbor:"5,keyasint"` // of the newest checkpoint
	Hash   wire.Hash        `cbor:"6,keyasint"` // and its root
	Looked uint64           `cbor:"7,keyasint"` // so many leaves were searched for the person's own address: at home

	Witness wire.NodeWitnessKey `cbor:"8,keyasint,omitzero"` // that the node cosigns other logs with, as its document said last
}

const (
	// cosignedFile is beside the checkpoint of a log: the newest that witnesses have cosigned.
	cosignedFile = "cosigned"
	// maxLooked is how many leaves a log-in, or a first contact, looks through.
	maxLooked = 64 * wire.LogBundle
	fileLogs  = "logs"
)

func (l *logPin) log() *wire.NodeLog { return &wire.NodeLog{Number: l.Number} }
func (l *logPin) origin() string     { return l.log().Origin(l.Node) }
func (l *logPin) checkpoint() keyservice.Checkpoint {
	return keyservice.Checkpoint{Size: l.Size, Root: l.Hash}
}

// newer reports whether l was seen later than o.
func (l *logPin) newer(o *logPin) bool {
	return cmp.Or(cmp.Compare(l.Number, o.Number), cmp.Compare(l.Size, o.Size), cmp.Compare(l.Looked, o.Looked)) > 0
}

func (l *logPin) inOrder() bool {
	_, err := wire.ParseNodeName(string(l.Node))
	return err == nil && l.Number > 0 && max(l.Number, l.Size) <= wire.MaxInteger && l.Looked <= l.Size
}

// logsInOrder reports whether each node stands once.
func logsInOrder(list []logPin) bool {
	for i := range list {
		if !list[i].inOrder() || i > 0 && list[i-1].Node >= list[i].Node {
			return false
		}
	}
	return true
}

// logsFile is how the device keeps what was seen of logs.
type logsFile struct {
	Version uint64    `cbor:"1,keyasint"`
	Logs    []logPin  `cbor:"2,keyasint"`
	Asked   []askedAt `cbor:"3,keyasint,omitempty"` // of nodes that are not to be asked again soon
}

type askedAt struct {
	Node    wire.NodeName `cbor:"1,keyasint"`
	Witness bool          `cbor:"2,keyasint"`
	Time    int64         `cbor:"3,keyasint"` // ms since 1970
}

// pins returns what was seen of each log: by this device, or by another before the
// vault was last written.
func (p *Person) pins() map[wire.NodeName]*logPin {
	if p.logs == nil {
		p.logs, p.asked = make(map[wire.NodeName]*logPin), make(map[question]int64)
		var f logsFile
		if b := p.loadSealed(fileLogs); b != nil && wire.DecodeCBOR("logs", b, &f) == nil && f.Version == 1 {
			for i := range f.Logs {
				p.logs[f.Logs[i].Node] = &f.Logs[i]
			}
			for _, a := range f.Asked {
				p.asked[question{a.Node, a.Witness}] = a.Time
			}
		}
	}
	if p.vault.vault != nil {
		for _, l := range p.vault.Logs {
			if have := p.logs[l.Node]; have == nil || l.newer(have) {
				p.logs[l.Node] = &l
			}
		}
	}
	return p.logs
}

// saw remembers what was verified of a log.
func (p *Person) saw(l logPin) {
	if have := p.pins()[l.Node]; have == nil || *have != l {
		p.logs[l.Node], p.logsChanged = &l, true
	}
}

// saveLogs writes what was seen of logs to the device, if it has changed.
func (p *Person) saveLogs() error {
	if !p.logsChanged {
		return nil
	}
	f := logsFile{Version: 1}
	for _, node := range slices.Sorted(maps.Keys(p.logs)) {
		f.Logs = append(f.Logs, *p.logs[node])
	}
	for q, at := range p.asked {
		if !p.longAgo(at) {
			f.Asked = append(f.Asked, askedAt{q.node, q.witness, at})
		}
	}
	if err := p.saveSealed(fileLogs, wire.EncodeCBOR(&f)); err != nil {
		return err
	}
	p.logsChanged = false
	return nil
}

// pinLogs takes into a vault that is about to be written what was seen of the logs of
// the nodes where somebody in it is at home.
func (p *Person) pinLogs(v *vault) {
	wanted := map[wire.NodeName]bool{p.session.Address.Node: true}
	for i := range v.Friends {
		wanted[v.Friends[i].Node] = true
	}
	pins := p.pins()
	v.Logs = nil
	for _, node := range slices.Sorted(maps.Keys(pins)) {
		if wanted[node] {
			v.Logs = append(v.Logs, *pins[node])
		}
	}
}

// A shownChain is a chain as a node shows it, with the proof beside it.
type shownChain struct {
	*keyservice.Chain
	proof []byte
}

// prove verifies that the newest key statement of somebody is in the log of their node,
// which is what it was when it was last seen. It returns the log up to the checkpoint of
// the proof, and the number of the leaf. asked is which log the node keeps, as it has said
// itself just now, or nil. direct says that the node itself shows the proof, and now.
func (p *Person) prove(ctx context.Context, c shownChain, asked *logPin, direct bool) (*keyservice.LogReader, *keyservice.Proof, error) {
	who := c.Address()
	pin, proof, err := p.openProof(ctx, who.Node, asked, c.proof)
	if err != nil {
		return nil, nil, err
	}
	if proof.InLog(c.Chain) != nil {
		return nil, nil, logError(who.Node, "the keys that are shown for %s are not in it: others may be shown other keys", who)
	}
	r, err := p.grown(ctx, pin, proof.Checkpoint, direct)
	return r, proof, err
}

// logError is about the log of a node.
func logError(node wire.NodeName, format string, args ...any) error {
	return wire.Errorf(wire.Tampered, "log", "the log of keys of %s: %s", node, fmt.Sprintf(format, args...))
}

// openProof opens a proof by what is known of the log of a node. Where that is nothing,
// or not enough, the node is asked which log it keeps, unless it was.
func (p *Person) openProof(ctx context.Context, node wire.NodeName, asked *logPin, b []byte) (logPin, *keyservice.Proof, error) {
	known := p.pins()[node]
	if known != nil && asked == nil {
		if proof, err := keyservice.OpenProof(b, known.origin(), known.Key); err == nil {
			return *known, proof, nil
		}
	}
	if asked == nil {
		pin, err := p.askLog(ctx, node, known)
		if err != nil {
			return pin, nil, err
		}
		asked = &pin
	}
	proof, err := keyservice.OpenProof(b, asked.origin(), asked.Key)
	if err != nil {
		return *asked, nil, logError(node, "what is shown as proof is not of it: %s", reason(err))
	}
	if known != nil && asked.Number > known.Number {
		p.notes = append(p.notes, fmt.Sprintf("the log of keys of %s has begun anew, as after a restore from a backup; what it held before may be lost", node))
	}
	return *asked, proof, nil
}

// askLog asks a node which log it keeps. Its root key has to be the one that was seen
// before, or to have come from it.
func (p *Person) askLog(ctx context.Context, node wire.NodeName, known *logPin) (pin logPin, err error) {
	var reply wire.NodeDocumentReply
	if _, err := p.c.call(ctx, &Request{Method: "GET", Node: node, Path: wire.PathDocument}, nil, &reply); err != nil {
		return pin, err
	}
	d, err := reply.Open(node)
	if err != nil {
		return pin, wire.Errorf(untrue(err), "node", "the document that %s shows is not right: %s", node, reason(err))
	}
	if d.Log == nil && known != nil {
		return pin, logError(node, "it is gone: the node says that it keeps none")
	}
	if d.Log == nil {
		return pin, wire.Errorf(wire.Unavailable, "log", "%s keeps no log of keys: its release is too old", node)
	}
	pin = logPin{Node: node, Root: d.Root, Key: d.LogKey(), Number: d.Log.Number}
	pin.Witness, _ = d.WitnessKey()
	if known == nil {
		return pin, nil
	}
	if d.Root != known.Root {
		before, err := wire.OpenRootChanges(reply.RootChanges, node, d.Root)
		if err != nil || !slices.Contains(before, known.Root) {
			return pin, logError(node, "it is signed under another root key than was seen before, and nothing leads from one to the other")
		}
	}
	if pin.Number < known.Number {
		return pin, logError(node, "it has gone back: log %d is shown, and log %d was seen before", pin.Number, known.Number)
	}
	if pin.Number == known.Number {
		pin.Size, pin.Hash, pin.Looked = known.Size, known.Hash, known.Looked
	}
	return pin, nil
}

// grown verifies that a checkpoint is of the same log as the newest that was seen. It
// may be an older one, unless the node itself shows it.
func (p *Person) grown(ctx context.Context, pin logPin, shown keyservice.Checkpoint, direct bool) (*keyservice.LogReader, error) {
	if direct && shown.Size < pin.Size {
		return nil, logError(pin.Node, "it has gone back: it had %d statements when it was last seen, and shows %d", pin.Size, shown.Size)
	}
	r, err := p.compareLog(ctx, pin, shown)
	return r, logFault(pin.Node, err)
}

// compareLog returns the log up to a checkpoint that has grown out of the newest that was
// seen, or is older; else the fault of the log.
func (p *Person) compareLog(ctx context.Context, pin logPin, shown keyservice.Checkpoint) (*keyservice.LogReader, error) {
	r := p.logReader(ctx, pin, shown)
	if shown.Size < pin.Size {
		return r, p.logReader(ctx, pin, pin.checkpoint()).Extends(shown)
	}
	if err := r.Extends(pin.checkpoint()); err != nil {
		return nil, err
	}
	pin.Size, pin.Hash = shown.Size, shown.Root
	p.saw(pin)
	return r, nil
}

// logFault says of whose log err is, if that is at fault.
func logFault(node wire.NodeName, err error) error {
	if !errors.Is(err, wire.Tampered) {
		return err
	}
	return forkOf(err, logError(node, "it shows something else than before, or to others: %s", reason(err)))
}

// forkOf is ErrSplitView where err has shown that a log forks.
func forkOf(err, told error) error {
	if errors.Is(err, keyservice.ErrFork) {
		return &splitViewError{told}
	}
	return told
}

// logReader reads the log of a node up to a checkpoint.
func (p *Person) logReader(ctx context.Context, pin logPin, at keyservice.Checkpoint) *keyservice.LogReader {
	return keyservice.NewLogReader(ctx, at, func(ctx context.Context, name string) ([]byte, error) { return p.logFile(ctx, &pin, name) })
}

// logFile asks a node for a file of its log.
func (p *Person) logFile(ctx context.Context, pin *logPin, name string) ([]byte, error) {
	answer, err := p.c.answer(ctx, &Request{Method: "GET", Node: pin.Node, Path: pin.log().File(name)})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// watch verifies the person's own keys in the log of their home, and looks for
// statements in it that are for their address and not theirs. A log-in looks at so many
// leaves, the next one goes on.
func (p *Person) watch(ctx context.Context, keys shownChain) (foreign int, err error) {
	home := p.session.Address
	r, shown, err := p.prove(ctx, keys, nil, true)
	if err != nil {
		return 0, err
	}
	pin := *p.pins()[home.Node]
	to := min(shown.Checkpoint.Size, pin.Looked+maxLooked)
	err = r.Leaves(pin.Looked, to, func(_ uint64, leaf *wire.LogLeaf) error {
		if leaf.Address != wire.LogAddress(home) {
			return nil
		}
		if _, hash, err := p.chain.At(leaf.Seq); err != nil || leaf.Account != p.me() || leaf.Statement != hash {
			foreign++
		}
		return nil
	})
	if err != nil {
		return foreign, logFault(home.Node, err)
	}
	pin.Looked = max(pin.Looked, to)
	p.saw(pin)
	return foreign, nil
}

// Notes returns what a person should know of what was done, and is no error. Each is
// returned once.
func (p *Person) Notes() []string {
	notes := p.notes
	p.notes = nil
	return notes
}
