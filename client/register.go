package client

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// RegisterOptions say who is to be registered. ShowCode gets the recovery code
// and returns when the person has it safe; it is called before anything is
// sent, and its error ends the registration. A registration that was interrupted
// shows the same code again.
type RegisterOptions struct {
	Address  wire.Address
	Password Password
	Device   string // name for the list of sessions, 1 to wire.MaxDeviceName bytes
	ShowCode func(code string) error
}

// founding is a registration under way.
type founding struct {
	account   wire.AccountID
	code      seal.RecoveryCode
	statement wire.Signed
	vault     wire.VaultRecord
}

// foundingFile is how the device keeps it until the account is in order. The
// inner part is sealed under a key of its own, and that under the password.
type foundingFile struct {
	Version uint64         `cbor:"1,keyasint"`
	Account wire.AccountID `cbor:"2,keyasint"`
	Random  wire.Nonce     `cbor:"3,keyasint"`
	Argon2  wire.Argon2    `cbor:"4,keyasint"`
	Slot    []byte         `cbor:"5,keyasint"`
	Sealed  []byte         `cbor:"6,keyasint"`
}

type foundingSecrets struct {
	Code      wire.Hidden[string] `cbor:"1,keyasint"`
	Statement wire.Signed         `cbor:"2,keyasint"`
	Head      wire.Signed         `cbor:"3,keyasint"`
	Slots     []byte              `cbor:"4,keyasint"`
	Vault     []byte              `cbor:"5,keyasint"`
}

// Register founds an account, logs in and makes everything ready for the first
// post. It may be run again with the same address and password after any
// failure: the device keeps what it sends, and sends the same bytes. Exist when
// the name is taken.
func (c *Client) Register(ctx context.Context, o RegisterOptions) (*Person, error) {
	if _, err := c.place(o.Address); err != nil {
		return nil, err
	}
	if err := checkDevice(o.Device); err != nil {
		return nil, err
	}
	if o.Address.Handle.Reserved() {
		return nil, wire.Errorf(wire.Invalid, "handle", "%q is reserved: choose another name", o.Address.Handle)
	}
	name := knownName(fileFounded, o.Address)
	f, err := c.founding(name, o)
	if err != nil {
		return nil, err
	}
	var reply wire.RegisterReply
	request := &wire.RegisterRequest{KeyStatement: f.statement, Vault: f.vault}
	err = c.ask(ctx, &Request{Method: "POST", Node: o.Address.Node, Path: wire.PathRegister}, request, &reply)
	if errors.Is(err, wire.Exist) {
		if err := c.device.Delete(name); err != nil {
			return nil, deviceError(err)
		}
		return nil, wire.Errorf(wire.Exist, "handle", "%s is taken: choose another name", o.Address)
	}
	if err != nil {
		return nil, err
	}
	if reply.Account != f.account {
		return nil, wire.Errorf(wire.Tampered, "register", "%s has registered another account than was sent", o.Address.Node)
	}
	p, _, err := c.Login(ctx, LoginOptions{Address: o.Address, Password: o.Password, Device: o.Device})
	if err == error(ErrWrongPassword) {
		return nil, wire.Errorf(wire.Tampered, "register", "%s says that it has registered %s, and refuses the log-in", o.Address.Node, o.Address)
	}
	if err != nil {
		return nil, err
	}
	if p.me() != f.account {
		return nil, wire.Errorf(wire.Tampered, "register", "%s has logged in another account than was registered", o.Address.Node)
	}
	if err := p.do(ctx, func() error { return p.ready(ctx) }); err != nil {
		return nil, err
	}
	if err := p.saveSealed(fileFoundation, wire.EncodeJSON(request)); err != nil {
		return nil, err
	}
	if err := c.device.Delete(name); err != nil {
		return nil, deviceError(err)
	}
	return p, nil
}

// founding takes up an interrupted registration, or begins one. The code is
// shown before it returns.
func (c *Client) founding(name string, o RegisterOptions) (*founding, error) {
	kept, err := c.load(name)
	if err != nil {
		return nil, err
	}
	if kept != nil {
		f, err := c.resumeFounding(kept, o)
		if err != nil {
			return nil, err
		}
		return f, o.ShowCode(f.code.Reveal())
	}
	if _, err := c.loadSession(); err == nil {
		return nil, wire.Errorf(wire.Exist, "session", "%s is registered, and logged in on this device", o.Address)
	}
	f, file, err := c.found(o)
	if err != nil {
		return nil, err
	}
	if err := o.ShowCode(f.code.Reveal()); err != nil {
		return nil, err
	}
	return f, c.save(name, wire.EncodeCBOR(file))
}

// found makes all keys of an account, its key statement and its first vault.
func (c *Client) found(o RegisterOptions) (*founding, *foundingFile, error) {
	if err := o.Password.CheckNew(); err != nil {
		return nil, nil, err
	}
	now, err := c.stamp()
	if err != nil {
		return nil, nil, err
	}
	f := &founding{code: seal.NewRecoveryCode()}
	recovery, box, recoveryLogin := f.code.Secrets()
	identity, encryption, self := seal.NewIdentity(), seal.NewEncryptionSecret(), seal.NewSelfKey()
	k := &wire.KeyStatement{
		Version: wire.Version, Suite: wire.Suite, Handle: o.Address.Handle, Node: o.Address.Node,
		Identity: identity.Public(), Encryption: encryption.Public(), Recovery: recovery.Public(), RecoveryBox: box.Public(),
		Signer: wire.ByIdentity, Created: now,
	}
	if k.SealedSelfKey, err = seal.SealSelfKey(k.RecoveryBox, seal.SelfKeyPlace{Address: o.Address, Identity: k.Identity}, self); err != nil {
		return nil, nil, err
	}
	if f.statement, err = k.Sign(identity); err != nil {
		return nil, nil, err
	}
	f.account = wire.AccountID(f.statement.Hash(wire.LabelKeyStatement))
	file := &foundingFile{Version: 1, Account: f.account, Random: wire.Nonce(random()), Argon2: wire.DefaultArgon2}
	login, slot, err := c.derive(o.Password.bytes(), o.Address, file.Argon2, file.Random)
	if err != nil {
		return nil, nil, err
	}
	vaultKey := seal.NewVaultKey()
	slots := &wire.Slots{
		Version: wire.Version, Suite: wire.Suite, Random: file.Random, Argon2: file.Argon2,
		Login: login.Public(), RecoveryLogin: recoveryLogin.Public(),
	}
	if slots.PasswordSlot, err = seal.SealPasswordSlot(slot, f.account, vaultKey); err != nil {
		return nil, nil, err
	}
	if slots.RecoverySlot, err = seal.SealRecoverySlot(k.RecoveryBox, f.account, vaultKey); err != nil {
		return nil, nil, err
	}
	v := newVault(identity, encryption, self, wire.AudienceID(random()))
	if f.vault, err = firstVault(f.account, identity, vaultKey, slots, v, now); err != nil {
		return nil, nil, err
	}
	return f, file, f.seal(file, slot)
}

func random() (b [32]byte) {
	rand.Read(b[:])
	return b
}

// firstVault makes the record with counter 1.
func firstVault(account wire.AccountID, identity wire.IdentitySecret, key seal.VaultKey, slots *wire.Slots, v *vault, now int64) (r wire.VaultRecord, err error) {
	encoded, err := slots.Encode()
	if err != nil {
		return r, err
	}
	sealed, err := seal.SealVault(key, seal.VaultPlace{Account: account, Counter: 1}, v.encode())
	if err != nil {
		return r, err
	}
	head := &wire.VaultHead{
		Version: wire.Version, Suite: wire.Suite, Account: account, Counter: 1,
		VaultHash: wire.VaultHash(sealed), SlotsHash: wire.SlotsHash(encoded), Created: now,
	}
	signed, err := head.Sign(identity)
	return wire.VaultRecord{Head: signed, Slots: encoded, Vault: sealed}, err
}

// foundingName is the place that the secrets of a registration are sealed for.
const foundingName = "founding"

// seal puts the registration into file, under the slot key.
func (f *founding) seal(file *foundingFile, slot seal.SlotKey) (err error) {
	wrapper := seal.NewVaultKey() // a key of this file only: what the slot format holds
	if file.Slot, err = seal.SealPasswordSlot(slot, f.account, wrapper); err != nil {
		return err
	}
	key, err := seal.CacheKeyFromBytes(wrapper.Bytes())
	if err != nil {
		return err
	}
	file.Sealed, err = seal.SealCache(key, foundingName, wire.EncodeCBOR(&foundingSecrets{
		wire.Hide(f.code.Reveal()), f.statement, f.vault.Head, f.vault.Slots, f.vault.Vault,
	}))
	return err
}

// resumeFounding opens an interrupted registration with the password.
func (c *Client) resumeFounding(kept []byte, o RegisterOptions) (*founding, error) {
	var file foundingFile
	if err := wire.DecodeCBOR("register", kept, &file); err != nil || file.Version != 1 {
		return nil, wire.Errorf(wire.Update, "register", "the registration of %s that was begun on this device is not understood here", o.Address)
	}
	_, slot, err := c.derive(o.Password.bytes(), o.Address, file.Argon2, file.Random)
	if err != nil {
		return nil, err
	}
	wrapper, err := seal.OpenPasswordSlot(slot, file.Account, file.Slot)
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, "password", "a registration of %s was begun on this device with another password: use that one", o.Address)
	}
	key, err := seal.CacheKeyFromBytes(wrapper.Bytes())
	if err != nil {
		return nil, err
	}
	plain, err := seal.OpenCache(key, foundingName, file.Sealed)
	if err != nil {
		return nil, err
	}
	var s foundingSecrets
	if err := wire.DecodeCBOR("register", plain, &s); err != nil {
		return nil, err
	}
	code, err := seal.ParseRecoveryCode(s.Code.Reveal())
	if err != nil {
		return nil, err
	}
	return &founding{file.Account, code, s.Statement, wire.VaultRecord{Head: s.Head, Slots: s.Slots, Vault: s.Vault}}, nil
}
