package client

import (
	"context"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// fakeLog is the log of a node in a world, and what the node says of itself. It
// implements keyservice.LogLedger in memory.
type fakeLog struct {
	node   wire.NodeName
	root   wire.NodeRootSecret
	secret wire.NodeLogSecret
	word   wire.NodeWitnessSecret // what it cosigns the logs of others with
	log    wire.NodeLog
	*keyservice.Log

	leaves      [][]byte
	places      map[wire.Hash]uint64
	tiles       map[[2]uint64][]byte
	checkpoints [][]byte
	cosigned    []byte // what it shows as the newest that witnesses have cosigned; nil for none
}

func (w *world) logOf(node wire.NodeName) *fakeLog {
	if l := w.logs[node]; l != nil {
		return l
	}
	l := newFakeLog(node, 1790000000)
	w.logs[node] = l
	return l
}

func newFakeLog(node wire.NodeName, number uint64) *fakeLog {
	l := &fakeLog{
		node: node, root: wire.NewNodeRootSecret(wire.LabelEntry.Hash([]byte(node))), secret: wire.NewNodeLogSecret(wire.LabelOffer.Hash([]byte(node))),
		word: wire.NewNodeWitnessSecret(wire.LabelAccept.Hash([]byte(node))),
		log:  wire.NodeLog{Number: number}, places: make(map[wire.Hash]uint64), tiles: make(map[[2]uint64][]byte),
	}
	l.Log = keyservice.NewLog(l.log.Origin(node), l.secret, l)
	return l
}

// document is what the node serves at wire.PathDocument.
func (l *fakeLog) document(now int64) (any, error) {
	d := &wire.NodeDocument{
		Version: wire.Version, Suite: wire.Suite, Name: l.node, Host: l.node, Root: l.root.Public(), Number: uint64(now / 1000), Software: "fake/1",
		OldestClient: 1, MaxPost: wire.MaxSealedPost, Created: now, Log: &l.log,
		Keys: []wire.NodeKey{
			{Purpose: wire.KeyForLog, Key: wire.NodeRequestKey(l.secret.Public()), NotBefore: 1, NotAfter: wire.MaxTime},
			{Purpose: wire.KeyForWitness, Key: wire.NodeRequestKey(l.word.Public()), NotBefore: 1, NotAfter: wire.MaxTime},
		},
	}
	signed, err := d.Sign(l.root)
	return &wire.NodeDocumentReply{Document: signed}, err
}

// file serves a file of the log.
func (l *fakeLog) file(path string) ([]byte, error) {
	name, ok := strings.CutPrefix(path, l.log.File(""))
	if !ok {
		return nil, wire.Errorf(wire.NotExist, "number", "")
	}
	if name == cosignedFile && l.cosigned != nil {
		return l.cosigned, nil
	}
	return l.File(context.Background(), name)
}

// top is the newest checkpoint, cosigned by some nodes.
func (l *fakeLog) top(by ...*fakeLog) []byte {
	b, err := l.File(context.Background(), keyservice.CheckpointFile)
	for _, w := range by {
		var line []byte
		if err == nil {
			line, err = keyservice.Cosign(b, w.node, w.word, time.Unix(1790000000, 0))
		}
		b = keyservice.AddCosignature(b, line)
	}
	if err != nil {
		panic(err)
	}
	return b
}

func (l *fakeLog) Checkpoint(context.Context) ([]byte, error) {
	if len(l.checkpoints) == 0 {
		return nil, wire.NotExist
	}
	return l.checkpoints[len(l.checkpoints)-1], nil
}

func (l *fakeLog) Leaves(_ context.Context, from uint64, most int) ([][]byte, error) {
	list := l.leaves[min(from, uint64(len(l.leaves))):]
	return list[:min(most, len(list))], nil
}

func (l *fakeLog) Tile(_ context.Context, level int, n uint64) ([]byte, error) {
	return l.tiles[[2]uint64{uint64(level), n}], nil
}

func (l *fakeLog) Find(_ context.Context, statement wire.Hash) (uint64, error) {
	if n, ok := l.places[statement]; ok {
		return n, nil
	}
	return 0, wire.NotExist
}

func (l *fakeLog) Append(_ context.Context, a keyservice.Appending) error {
	l.leaves = append(l.leaves, a.Leaves...)
	for _, p := range a.Places {
		l.places[p.Leaf.Statement] = p.Number
	}
	for _, t := range a.Tiles {
		l.tiles[[2]uint64{uint64(t.Level), t.N}] = t.Data
	}
	l.checkpoints = append(l.checkpoints, a.Checkpoint)
	return nil
}
