package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// Names of the files on a device. All but the session and what is known of an
// account are sealed under the cache key, which lies in the session.
const (
	fileSession    = "session"
	fileVault      = "vault"   // the newest record that was verified, as the node has it
	fileCache      = "cache"   // cache.go
	fileKeys       = "keys-"   // and an account: its key statements
	fileOutbox     = "outbox-" // and a number: outbox.go
	fileKept       = "feed"    // the newest posts: kept.go
	fileBegun      = "begun"   // what is being written: begun.go
	fileDrafts     = "drafts"  // those that were sent: draft.go
	fileSent       = "sent-"   // and a number: handback.go
	fileKnown      = "known-"  // and a name of an address: known
	fileFounded    = "founded-"
	fileFoundation = "foundation" // the registration, as it was sent: handback.go
	fileChange     = "change"     // a new password or code that may not have arrived: newpassword.go
	fileNewCode    = "newcode-"   // and a name of an address: newcode.go
)

// session is what a log-in leaves on the device.
type session struct {
	Token    wire.Token
	Address  wire.Address
	Account  wire.AccountID
	Device   string
	VaultKey seal.VaultKey
	CacheKey seal.CacheKey
	ended    bool
}

// sessionFile is how it is written: a CBOR map, readable by its owner only.
type sessionFile struct {
	Version  uint64              `cbor:"1,keyasint"`
	Token    wire.Hidden[string] `cbor:"2,keyasint"`
	Address  string              `cbor:"3,keyasint"`
	Account  wire.AccountID      `cbor:"4,keyasint"`
	Device   string              `cbor:"5,keyasint"`
	VaultKey hidden              `cbor:"6,keyasint"`
	CacheKey hidden              `cbor:"7,keyasint"`
}

func (c *Client) saveSession(s session) error {
	return c.save(fileSession, wire.EncodeCBOR(&sessionFile{
		Version: 1, Token: wire.Hide(s.Token.Reveal()), Address: s.Address.String(), Account: s.Account, Device: s.Device,
		VaultKey: wire.Hide(s.VaultKey.Bytes()), CacheKey: wire.Hide(s.CacheKey.Bytes()),
	}))
}

// loadSession returns ErrNoSession when there is none.
func (c *Client) loadSession() (session, error) {
	b, err := c.load(fileSession)
	if err != nil {
		return session{}, err
	}
	if b == nil {
		return session{}, ErrNoSession
	}
	var f sessionFile
	if err := wire.DecodeCBOR("session", b, &f); err != nil || f.Version != 1 {
		return session{}, wire.Errorf(wire.Update, "session", "the session on this device is not understood; log out and in again")
	}
	s := session{Account: f.Account, Device: f.Device}
	var errs [4]error
	s.Token, errs[0] = wire.ParseToken(f.Token.Reveal())
	s.Address, errs[1] = wire.ParseAddress(f.Address)
	s.VaultKey, errs[2] = seal.VaultKeyFromBytes(f.VaultKey.Reveal())
	s.CacheKey, errs[3] = seal.CacheKeyFromBytes(f.CacheKey.Reveal())
	for _, err := range errs {
		if err != nil {
			return session{}, err
		}
	}
	return s, nil
}

// known is what a device remembers of an account after a log-out: the token that
// gives it a budget of its own for log-ins, and the newest vault head, below
// which no node may lead it back.
type known struct {
	Version     uint64              `cbor:"1,keyasint"`
	Account     wire.AccountID      `cbor:"2,keyasint"`
	DeviceToken wire.Hidden[string] `cbor:"3,keyasint"` // "" for none
	Head        wire.Signed         `cbor:"4,keyasint"` // empty for none
}

// knownName names an account's file without telling the address.
func knownName(prefix string, a wire.Address) string {
	h := sha256.Sum256([]byte(a.String()))
	return prefix + hex.EncodeToString(h[:16])
}

func (c *Client) loadKnown(a wire.Address) (known, error) {
	k := known{Version: 1}
	b, err := c.load(knownName(fileKnown, a))
	if err != nil || b == nil {
		return k, err
	}
	var stored known
	if err := wire.DecodeCBOR("device", b, &stored); err != nil || stored.Version != 1 {
		return k, wire.Errorf(wire.Update, "device", "what this device remembers of %s is not understood here", a)
	}
	return stored, nil
}

func (c *Client) saveKnown(a wire.Address, k known) error {
	return c.save(knownName(fileKnown, a), wire.EncodeCBOR(&k))
}

// Resume opens the session on this device without asking the node. ErrNoSession
// when there is none.
func (c *Client) Resume(ctx context.Context) (*Person, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.loadSession()
	if err != nil {
		return nil, err
	}
	p := newPerson(c, s, nil)
	if kept := p.loadPeer(s.Account); kept != nil {
		p.chain, err = keyservice.ParseChain(kept.Statements)
	}
	if p.chain == nil || err != nil || p.chain.Account() != s.Account || p.chain.Address() != s.Address {
		return nil, wire.Errorf(wire.Unauthenticated, "session", "the files of %s on this device are incomplete: log in again", s.Address)
	}
	return p, p.loadVault()
}

// Whoami tells whose session it is.
func (p *Person) Whoami() Whoami {
	return Whoami{Address: p.session.Address, Account: p.session.Account, Device: p.session.Device}
}

// Logout ends the session at the node, if that can be reached, and removes
// everything of the person from this device but what known describes. Posts that
// wait to be sent are sent before; where that fails, they are lost.
func (p *Person) Logout(ctx context.Context) error {
	return p.do(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, partingTime)
		defer cancel()
		if waiting, err := p.outbox(); err == nil && len(waiting) > 0 && p.ready(ctx) == nil {
			p.flush(ctx, waiting, "") // best effort: the person wants to leave
		}
		p.home(ctx, "DELETE", wire.PathSession, nil, nil)
		if err := p.c.wipe(); err != nil {
			return err
		}
		p.session = session{Address: p.session.Address, Account: p.session.Account, Device: p.session.Device, ended: true}
		p.vault = vaultState{}
		return nil
	})
}

// partingTime is how long the node is waited for when a session ends.
const partingTime = 10 * time.Second

// wipe removes all files but those of what is known, the session first.
func (c *Client) wipe() error {
	names, err := c.device.List("")
	if err != nil {
		return deviceError(err)
	}
	if err := c.device.Delete(fileSession); err != nil {
		return deviceError(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, fileKnown) {
			continue
		}
		if err := c.device.Delete(name); err != nil {
			return deviceError(err)
		}
	}
	return nil
}
