package node

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A state is a number of the changes that a reader was told of: one block of AES-256
// under random bytes of this process over the first 8 bytes of the reader and the
// number, big-endian; base64url. So it tells nothing of what happens on the node,
// and what another process made, or was made for somebody else, is known to be
// foreign: by chance in one of 2^64 cases.

func newStates() cipher.Block {
	b := random32()
	block, err := aes.NewCipher(b[:])
	if err != nil {
		panic("node: " + err.Error()) // 32 bytes are a size that it takes
	}
	return block
}

func (n *Node) stateAt(reader wire.AccountID, number uint64) string {
	var b [aes.BlockSize]byte
	copy(b[:8], reader[:])
	binary.BigEndian.PutUint64(b[8:], number)
	n.states.Encrypt(b[:], b[:])
	text, _ := wire.Bytes(b[:]).MarshalText() // never fails
	return string(text)
}

// openState returns the number in a state, and whether it is one of this reader.
func (n *Node) openState(reader wire.AccountID, s string) (uint64, bool) {
	var b wire.Bytes
	if len(s) > maxCursor || b.UnmarshalText([]byte(s)) != nil || len(b) != aes.BlockSize {
		return 0, false
	}
	n.states.Decrypt(b, b)
	return binary.BigEndian.Uint64(b[8:]), string(b[:8]) == string(reader[:8])
}

// statuses tells in reply what the person can read now: what changed since a state
// of theirs or, where that cannot be told, everything.
func (p *page) statuses(ctx context.Context, c *circle, r *ranking, since string, reply *wire.FeedReply) error {
	before, known := p.node.openState(p.account, since)
	reply.All = !known || p.node.changes.about(p.account) > before
	list := r.streams
	if !reply.All {
		list = p.changedIn(c, r, before)
	}
	reply.Streams = make([]wire.StreamStatus, 0, len(list))
	for _, s := range list {
		may, err := p.reads(ctx, s)
		if err != nil {
			return err
		}
		if !may && reply.All {
			continue
		}
		status := s.stream.status
		if may {
			status.Head, status.AsOf = s.seq, s.stream.lateSince()
		}
		reply.Streams = append(reply.Streams, status)
	}
	return nil
}

// changedIn returns the streams of a ranking that have changed since a number, as
// they stand in it: the page begins there, whatever has come meanwhile.
func (p *page) changedIn(c *circle, r *ranking, number uint64) []ranked {
	some, all := p.node.changes.since(number, len(r.streams)/4)
	if !all {
		return slices.DeleteFunc(slices.Clone(r.streams), func(s ranked) bool { return s.stream.changed.Load() <= number })
	}
	wanted := make(map[*stream]bool, len(some))
	for _, s := range some {
		if _, ok := c.reads(p.account, s); ok {
			wanted[s] = true
		}
	}
	var list []ranked
	for i := len(r.streams) - 1; i >= 0 && len(list) < len(wanted); i-- { // what has changed is near the end
		if wanted[r.streams[i].stream] {
			list = append(list, r.streams[i])
		}
	}
	return list
}
