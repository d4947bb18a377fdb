package load

import (
	"context"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A setting is what the requests of a set-up are made of, beside the seed: nobody
// opens what is sealed here, so that one does for all people. Made again of the
// same setting, the requests are the same to the byte, and a set-up that was
// interrupted goes on by sending what may have been sent before.
type setting struct {
	Created int64     `cbor:"1,keyasint"` // of everything that is signed, ms since 1970
	Self    []byte    `cbor:"2,keyasint"` // self key, sealed
	Slots   [2][]byte `cbor:"3,keyasint"` // for the password, and for recovery
	Vault   []byte    `cbor:"4,keyasint"` // with nothing in it
	again   bool      // it was kept of a set-up that was interrupted
}

func newSetting(box wire.RecoveryEncryptionKey) (*setting, error) {
	s := &setting{Created: time.Now().UnixMilli()}
	vault := seal.NewVaultKey()
	var err error
	if s.Self, err = seal.SealSelfKey(box, seal.SelfKeyPlace{}, seal.NewSelfKey()); err != nil {
		return nil, err
	}
	if s.Slots[0], err = seal.SealPasswordSlot(seal.NewSlotKey(), wire.AccountID{}, vault); err != nil {
		return nil, err
	}
	if s.Slots[1], err = seal.SealRecoverySlot(box, wire.AccountID{}, vault); err != nil {
		return nil, err
	}
	s.Vault, err = seal.SealVault(vault, seal.VaultPlace{Counter: 1}, nil)
	return s, err
}

// setUp makes all people, registers them and makes them friends. keep is called
// before anything is asked of a node, and again when everything was done.
func (c *crowd) setUp(ctx context.Context, people, friends int, keep func() error) error {
	if err := c.draw(ctx, people); err != nil {
		return err
	}
	if err := keep(); err != nil {
		return err
	}
	if each := (people + len(c.nodes) - 1) / len(c.nodes); !c.nodes[0].spreads() && each > freeRegistrations {
		c.tell("all people come from one address here, and a development node registers %d a minute of one: this takes %d minutes or more", freeRegistrations, each/freeRegistrations)
	}
	edges := ring(c.people, friends)
	befriend(edges)
	err := c.stage(ctx, "registering", people, func(ctx context.Context, i int) error { return c.people[i].join(ctx) })
	if err != nil {
		return err
	}
	err = c.stage(ctx, "making friends", len(edges), func(ctx context.Context, i int) error { return edges[i].make(ctx, c.setting.Created) })
	if err != nil {
		return err
	}
	c.setting = nil
	return keep()
}

// freeRegistrations is how many people a development node registers in a minute
// from one address.
const freeRegistrations = 1000

// make makes friends of two who have wrapped for each other.
func (e *edge) make(ctx context.Context, created int64) error {
	offer, err := e.from.offer(e.to, created)
	if err != nil {
		return err
	}
	if _, err := e.from.tell(ctx, e.to, wire.FriendOffer, offer); err != nil {
		return err
	}
	_, err = e.to.accept(ctx, e.from, offer.Hash(wire.LabelOffer), created)
	return err
}
