package client

import (
	"context"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A new recovery code is a key statement that the present one signs, since only the
// recovery key changes the recovery keys. Identity and encryption keys stay, so friends
// go on as before (keys.go); but each stream goes on with a new epoch. The person sees
// and confirms the new code before it is sent. The device keeps it until the account has
// it, under a key that the present code opens: whoever runs an interrupted command again,
// with the code that they began with, is shown the same new one.

// newCodeFile is how the device keeps it.
type newCodeFile struct {
	Version uint64         `cbor:"1,keyasint"`
	Account wire.AccountID `cbor:"2,keyasint"`
	Slot    []byte         `cbor:"3,keyasint"` // a key of this file only, to the present code
	Sealed  []byte         `cbor:"4,keyasint"` // the new code, under that key
}

// newCodeName is the place that the new code is sealed for.
const newCodeName = "new-code"

// nextCode is a recovery code that takes the place of the present one.
type nextCode struct {
	present *byCode
	*byCode
}

// ErrOldCode is for a recovery code that was good before another one took its place.
var ErrOldCode = wire.Errorf(wire.Unauthenticated, "recovery code", "another recovery code has taken the place of this one")

// RenewCode replaces the recovery code. All other sessions end. show gets the new one
// and returns when the person has it safe; it is called before anything is sent, and its error ends
// the matter. It may be run again, with the same present code, after any failure: until
// it succeeds, one of the two opens the account, and the same new one is shown again.
// ErrWrongCode where present is not the code, ErrOldCode where it was once.
func (p *Person) RenewCode(ctx context.Context, present RecoveryCode, show func(code string) error) error {
	name := knownName(fileNewCode, p.session.Address)
	err := p.do(ctx, func() error {
		if err := p.ready(ctx); err != nil {
			return err
		}
		b := newByCode(present)
		code, err := p.c.keptCode(name, b)
		if err != nil {
			return err
		}
		if code == nil {
			if err := p.checkPresent(b); err != nil {
				return err
			}
		}
		next, err := p.c.showCode(name, p.me(), b, code, show)
		if err != nil {
			return err
		}
		if !next.fits(p.chain) { // else an earlier attempt has done it
			if err := p.change(ctx, func() (*accountChange, error) { return p.prepareChange(locks{code: next}) }); err != nil {
				return err
			}
		}
		return p.settle(ctx)
	})
	if err != nil {
		return err
	}
	return p.c.drop(name)
}

// checkPresent errs unless b is the recovery code of this account.
func (p *Person) checkPresent(b *byCode) error {
	if b.fits(p.chain) {
		return nil
	}
	for seq := range p.chain.Newest().Seq {
		if k, _, err := p.chain.At(seq); err == nil && b.names(k) {
			return ErrOldCode
		}
	}
	return ErrWrongCode
}

// keptCode returns the new code of an interrupted attempt that was begun with the code of
// b, nil if there is none.
func (c *Client) keptCode(name string, b *byCode) (*seal.RecoveryCode, error) {
	kept, err := c.load(name)
	if err != nil || kept == nil {
		return nil, err
	}
	var f newCodeFile
	if wire.DecodeCBOR("new code", kept, &f) != nil || f.Version != 1 {
		return nil, nil
	}
	wrapper, err := seal.OpenRecoverySlot(b.opens, f.Account, f.Slot)
	if err != nil {
		return nil, nil // begun with another code
	}
	key, err := seal.CacheKeyFromBytes(wrapper.Bytes())
	if err != nil {
		return nil, err
	}
	plain, err := seal.OpenCache(key, newCodeName, f.Sealed)
	if err != nil {
		return nil, nil
	}
	code, err := seal.ParseRecoveryCode(string(plain))
	if err != nil {
		return nil, err
	}
	return &code, nil
}

// showCode makes a new code, if there is none yet, and returns it when it was shown and
// is kept.
func (c *Client) showCode(name string, account wire.AccountID, present *byCode, code *seal.RecoveryCode, show func(code string) error) (*nextCode, error) {
	if code != nil {
		return &nextCode{present, newByCode(RecoveryCode{*code})}, show(code.Reveal())
	}
	made := seal.NewRecoveryCode()
	wrapper := seal.NewVaultKey()
	slot, err := seal.SealRecoverySlot(present.opens.Public(), account, wrapper)
	if err != nil {
		return nil, err
	}
	key, err := seal.CacheKeyFromBytes(wrapper.Bytes())
	if err != nil {
		return nil, err
	}
	sealed, err := seal.SealCache(key, newCodeName, []byte(made.Reveal()))
	if err != nil {
		return nil, err
	}
	if err := show(made.Reveal()); err != nil {
		return nil, err
	}
	return &nextCode{present, newByCode(RecoveryCode{made})}, c.save(name, wire.EncodeCBOR(&newCodeFile{1, account, slot, sealed}))
}

// replaceKeys gives the vault keys that nobody else has. Those of before stay in it: they
// open what was sealed to them.
func (v *vault) replaceKeys() {
	v.Older = append(v.Older, oldKeys{v.Encryption, v.Self})
	v.Identity, v.Encryption = wire.Hide(seal.NewIdentity().Seed()), wire.Hide(seal.NewEncryptionSecret().Seed())
	v.Self = wire.Hide(seal.NewSelfKey().Bytes())
}

// nextStatement makes the key statement of a new code, with the keys of v.
func (p *Person) nextStatement(code *nextCode, v *vault) (*wire.KeyStatement, wire.Signed, error) {
	now, err := p.c.stamp()
	if err != nil {
		return nil, nil, err
	}
	encryption, err := seal.EncryptionSecretFromSeed(v.Encryption.Reveal())
	if err != nil {
		return nil, nil, err
	}
	self, err := seal.SelfKeyFromBytes(v.Self.Reveal())
	if err != nil {
		return nil, nil, err
	}
	k := *p.chain.Newest()
	k.Account, k.Seq, k.Prev, k.Signer = p.me(), k.Seq+1, p.chain.NewestHash(), wire.ByRecovery
	k.Recovery, k.RecoveryBox, k.Created = code.signs.Public(), code.opens.Public(), max(now, k.Created)
	k.Identity, k.Encryption = v.signs().Public(), encryption.Public()
	place := seal.SelfKeyPlace{Address: p.session.Address, Identity: k.Identity}
	if k.SealedSelfKey, err = seal.SealSelfKey(k.RecoveryBox, place, self); err != nil {
		return nil, nil, err
	}
	signed, err := k.SignRecovery(code.present.signs)
	return &k, signed, err
}

// resign makes a vault one of the key statement with number seq: what the node has not
// taken yet of what was signed under the one before is signed anew.
func (p *Person) resign(v *vault, seq uint64) error {
	v.KeySeq = seq
	for i := range v.Friends {
		f := &v.Friends[i]
		for j := range f.Pending {
			s, err := p.signedAnew(f, f.Pending[j], seq, v.signs())
			if err != nil {
				return err
			}
			f.Pending[j].Signed = s
		}
	}
	return nil
}

// signedAnew returns a pending statement about f under another key statement. An offer
// takes the place of the one that it was.
func (p *Person) signedAnew(f *friend, s statement, seq uint64, identity wire.IdentitySecret) (wire.Signed, error) {
	switch s.Kind {
	case kindOffer:
		o, err := p.chain.OpenOffer(s.Signed)
		if err != nil || f.moot(s) {
			return s.Signed, err
		}
		now, err := p.c.stamp()
		if err != nil {
			return nil, err
		}
		o.KeySeq, o.Created = seq, f.Friendship.NextCreated(now)
		signed, err := o.Sign(identity)
		if err != nil {
			return nil, err
		}
		return signed, f.Friendship.AddOffer(o, signed.Hash(wire.LabelOffer))
	case kindAccept:
		a, err := p.chain.OpenAccept(s.Signed)
		if err != nil {
			return nil, err
		}
		a.KeySeq = seq
		return a.Sign(identity)
	}
	e, err := p.chain.OpenEnd(s.Signed)
	if err != nil {
		return nil, err
	}
	e.KeySeq = seq
	return e.Sign(identity)
}

// signs is the identity key.
func (v *vault) signs() wire.IdentitySecret {
	return wire.NewIdentitySecret([32]byte(v.Identity.Reveal()))
}

// sameKeys reports whether all statements of a chain from number seq on have the same
// identity and encryption keys: what differs is the recovery code.
func sameKeys(c *keyservice.Chain, seq uint64) bool {
	newest := c.Newest()
	for ; seq < newest.Seq; seq++ {
		if k, _, err := c.At(seq); err != nil || k.Identity != newest.Identity || k.Encryption != newest.Encryption {
			return false
		}
	}
	return true
}
