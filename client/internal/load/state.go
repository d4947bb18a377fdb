package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// stateFile keeps a crowd for later runs against the same nodes. The seed opens
// all that its people have.
type stateFile struct {
	Version  uint64                `cbor:"1,keyasint"`
	Seed     wire.Hidden[[32]byte] `cbor:"2,keyasint"`
	Nodes    []wire.NodeName       `cbor:"3,keyasint"`
	Friends  uint64                `cbor:"4,keyasint"`           // of each at the beginning
	Accounts []byte                `cbor:"5,keyasint"`           // 32 bytes of each
	Later    []byte                `cbor:"6,keyasint"`           // friendships made since: two numbers of 4 bytes each, big-endian
	Tokens   wire.Hidden[[]byte]   `cbor:"7,keyasint"`           // of the session of each, 52 characters
	Setting  *setting              `cbor:"8,keyasint,omitempty"` // while they are set up: nil when all of them are there
}

const (
	stateVersion = 2
	tokenLength  = 52
)

// loadState reads a file, nil if there is none.
func loadState(path string) (*stateFile, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(stateFile)
	if err := wire.DecodeCBOR("state", b, s); err != nil || s.Version != stateVersion || len(s.Accounts)%32 != 0 || len(s.Later)%8 != 0 || len(s.Tokens.Reveal())/tokenLength != len(s.Accounts)/32 || s.Friends > maxFriends {
		return nil, wire.Errorf(wire.Invalid, "state", "%s is no state of a load", path)
	}
	return s, nil
}

// fits takes from the state what the options leave open, and refuses others.
func (s *stateFile) fits(o *Options, nodes []*node) error {
	people := len(s.Accounts) / 32
	same := slices.EqualFunc(s.Nodes, nodes, func(name wire.NodeName, n *node) bool { return name == n.name })
	if !same || o.People != people || o.Friends != int(s.Friends) {
		return wire.Errorf(wire.Invalid, "state", "%s has %d people with %d friends each on the nodes %v: it can be used for the same only", o.State, people, s.Friends, s.Nodes)
	}
	return nil
}

// save writes the file anew.
func (c *crowd) save(path string, friends int) error {
	s := &stateFile{Version: stateVersion, Seed: c.seed, Friends: uint64(friends), Setting: c.setting}
	for _, n := range c.nodes {
		s.Nodes = append(s.Nodes, n.name)
	}
	first := make(map[[2]int]bool)
	for _, e := range ring(c.people, friends) {
		first[[2]int{e.from.number, e.to.number}], first[[2]int{e.to.number, e.from.number}] = true, true
	}
	var tokens []byte
	for _, p := range c.people {
		s.Accounts = append(s.Accounts, p.account[:]...)
		token, _ := p.session.current()
		tokens = append(tokens, token.Reveal()...)
		for other := range p.friends {
			if other > p.number && !first[[2]int{p.number, other}] {
				s.Later = binary.BigEndian.AppendUint32(s.Later, uint32(p.number))
				s.Later = binary.BigEndian.AppendUint32(s.Later, uint32(other))
			}
		}
	}
	s.Tokens = wire.Hide(tokens)
	return replace(path, wire.EncodeCBOR(s))
}

// replace writes a file for its owner alone, whole or not at all.
func replace(path string, b []byte) error {
	beside := path + ".new"
	if err := os.WriteFile(beside, b, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

// restore brings the people of a state back: they ask for the ends of their
// streams, and log in where their sessions have ended.
func (c *crowd) restore(ctx context.Context, s *stateFile) error {
	if err := c.draw(ctx, len(s.Accounts)/32); err != nil {
		return err
	}
	tokens := s.Tokens.Reveal()
	for i, p := range c.people {
		token, err := wire.ParseToken(string(tokens[tokenLength*i : tokenLength*(i+1)]))
		if err != nil {
			return wire.Errorf(wire.Invalid, "state", "it holds what is no token")
		}
		p.account, p.session.token = wire.AccountID(s.Accounts[32*i:]), token
	}
	befriend(ring(c.people, int(s.Friends)))
	for at := 0; at < len(s.Later); at += 8 {
		from, to := binary.BigEndian.Uint32(s.Later[at:]), binary.BigEndian.Uint32(s.Later[at+4:])
		if int(from) >= len(c.people) || int(to) >= len(c.people) {
			return wire.Errorf(wire.Invalid, "state", "it names people whom it does not have")
		}
		befriend([]edge{{c.people[from], c.people[to]}})
	}
	return c.stage(ctx, "looking for the ends of streams", len(c.people), func(ctx context.Context, i int) error {
		p := c.people[i]
		begun, err := p.resume(ctx)
		if err == nil && !begun {
			err = wire.Errorf(wire.Tampered, "stream", "%s has lost the stream of %s", p.home.name, p.handle)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.address(), err)
		}
		return nil
	})
}

// resume finds the end of the own stream, if it was begun.
func (p *person) resume(ctx context.Context) (begun bool, err error) {
	path := fmt.Sprintf("/v1/streams/%s/%s?limit=1&before=%d", p.account, p.audience, wire.MaxInteger)
	var reply wire.StreamReply
	if _, err := p.call(ctx, http.MethodGet, path, nil, &reply); err != nil || len(reply.Entries) == 0 {
		return false, err
	}
	h, err := wire.OpenEntry(reply.Entries[0], p.identity.Public())
	if err != nil {
		return false, err
	}
	p.stream = wire.StreamHead{Seq: h.Seq, ID: reply.Entries[0].ID(), Epoch: 1, Created: h.Created}
	p.acked, p.created = h.Seq, h.Created
	return true, nil
}
