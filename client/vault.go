package client

import (
	"bytes"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// The plaintext of a vault is one CBOR map in the deterministic encoding, with
// the integer keys below; seal.SealVault pads and seals it. It is the only word
// on who the friends are. docs/protocol.md has the format, for other clients of
// the same person: what check refuses, and what they must keep.

// vaultVersion is the version of the plaintext.
const vaultVersion = 1

// friendsName is the audience of all friends.
const friendsName = "friends"

// What the vault remembers at most: epochs of an audience, bytes of its name.
const (
	maxEpochs       = 4
	maxAudienceName = 64
)

type vault struct {
	Version    uint64     `cbor:"1,keyasint"`
	Identity   hidden     `cbor:"2,keyasint"` // seed, 32 bytes
	Encryption hidden     `cbor:"3,keyasint"` // seed, 32 bytes
	Self       hidden     `cbor:"4,keyasint"` // self key, 32 bytes
	KeySeq     uint64     `cbor:"5,keyasint"` // of the key statement that these belong to
	Audiences  []audience `cbor:"6,keyasint"`
	Friends    []friend   `cbor:"7,keyasint"`           // by account
	Logs       []logPin   `cbor:"8,keyasint,omitempty"` // by node: of where the owner and their friends are at home
	Older      []oldKeys  `cbor:"9,keyasint,omitempty"` // that were replaced, oldest first
}

// oldKeys open what was sealed before they were replaced.
type oldKeys struct {
	Encryption hidden `cbor:"1,keyasint"` // seed, 32 bytes
	Self       hidden `cbor:"2,keyasint"` // self key, 32 bytes
}

// keys are all that the vault holds, the newest first.
func (v *vault) keys() []oldKeys {
	all := append(slices.Clone(v.Older), oldKeys{v.Encryption, v.Self})
	slices.Reverse(all)
	return all
}

// hidden are secret bytes of the vault or of a file.
type hidden = wire.Hidden[[]byte]

type audience struct {
	ID     wire.AudienceID `cbor:"1,keyasint"`
	Name   string          `cbor:"2,keyasint"`
	Epochs []epochMembers  `cbor:"3,keyasint"` // oldest first
}

// epochMembers are those for whom the keys of an epoch may have been wrapped. It
// is written before the first wrap is sent, so it may name an epoch that never
// came to be.
type epochMembers struct {
	Content wire.Commitment  `cbor:"1,keyasint"`
	Members []wire.AccountID `cbor:"2,keyasint"` // ascending
	Owed    []wire.AccountID `cbor:"3,keyasint"` // ascending: members whose wrap may not have reached the node
}

// friend is somebody whose keys are pinned: a friend, an offer made or received,
// or what remembers that it ended.
type friend struct {
	Account    wire.AccountID  `cbor:"1,keyasint"`
	Handle     wire.Handle     `cbor:"2,keyasint"`
	Node       wire.NodeName   `cbor:"3,keyasint"`
	PinSeq     uint64          `cbor:"4,keyasint"` // of the key statement that is trusted
	PinHash    wire.Hash       `cbor:"5,keyasint"`
	History    bool            `cbor:"6,keyasint"` // the past is shared with them
	Friendship wire.Friendship `cbor:"7,keyasint"`
	Pending    []statement     `cbor:"8,keyasint"`           // mine that may not have reached the node
	Verified   bool            `cbor:"9,keyasint"`           // keys were compared in person
	Compared   wire.Hash       `cbor:"10,keyasint,omitzero"` // the key statement that holds them
	Logged     loggedAt        `cbor:"11,keyasint,omitzero"` // where the one that is trusted stands in the log of its node
	Confirmed  wire.Hash       `cbor:"12,keyasint,omitzero"` // the key statement that witnesses saw there
}

// statement is one that I signed.
type statement struct {
	Kind      statementKind `cbor:"1,keyasint"`
	Signed    wire.Signed   `cbor:"2,keyasint"`
	WithEpoch bool          `cbor:"3,keyasint"` // goes in one record with the next epoch
}

type statementKind uint64

const (
	kindOffer  statementKind = 1
	kindAccept statementKind = 2
	kindEnd    statementKind = 3
)

func (k statementKind) wire() wire.FriendKind {
	return []wire.FriendKind{kindOffer: wire.FriendOffer, kindAccept: wire.FriendAccept, kindEnd: wire.FriendEnd}[k]
}

func (f *friend) address() wire.Address   { return wire.Address{Handle: f.Handle, Node: f.Node} }
func (f *friend) state() wire.FriendState { return f.Friendship.State() }

// entitled reports whether the newest epoch is for them: friends, and those who
// were offered friendship.
func (f *friend) entitled() bool {
	s := f.state()
	return s == wire.StateFriend || s == wire.StateOutgoing
}

// newVault returns the vault of a new account.
func newVault(identity wire.IdentitySecret, enc seal.EncryptionSecret, self seal.SelfKey, friends wire.AudienceID) *vault {
	return &vault{
		Version:    vaultVersion,
		Identity:   wire.Hide(identity.Seed()),
		Encryption: wire.Hide(enc.Seed()),
		Self:       wire.Hide(self.Bytes()),
		Audiences:  []audience{{ID: friends, Name: friendsName}},
	}
}

func (v *vault) encode() []byte { return wire.EncodeCBOR(v) }

// decodeVault reads an opened vault of account me.
func decodeVault(b []byte, me wire.AccountID) (*vault, error) {
	v := new(vault)
	if err := wire.DecodeCBOR("vault", b, v); err != nil {
		return nil, wire.Errorf(wire.Update, "vault", "it is not understood here; a newer release wrote it")
	}
	if v.Version != vaultVersion {
		return nil, wire.Errorf(wire.Update, "vault", "version %d is not known here; a newer release is needed", v.Version)
	}
	if why := v.fault(me); why != "" {
		return nil, wire.Errorf(wire.Tampered, "vault", "%s", why)
	}
	for _, f := range v.Friends {
		for _, s := range f.Pending {
			if s.Kind < kindOffer || s.Kind > kindEnd {
				return nil, wire.Errorf(wire.Update, "vault", "statement kind %d is not known here; a newer release is needed", s.Kind)
			}
		}
	}
	return v, nil
}

// fault says what no client would have written, "" if there is nothing.
func (v *vault) fault(me wire.AccountID) string {
	secrets := []hidden{v.Identity}
	for _, k := range v.keys() {
		secrets = append(secrets, k.Encryption, k.Self)
	}
	for _, h := range secrets {
		if k := h.Reveal(); len(k) != 32 || bytes.Equal(k, make([]byte, 32)) {
			return "it holds no keys"
		}
	}
	if v.KeySeq > wire.MaxInteger || uint64(len(v.Older)) > v.KeySeq {
		return "it names no key statement"
	}
	if v.audience(friendsName) == nil {
		return "it names no audience of friends"
	}
	for i := range v.Audiences {
		if a := &v.Audiences[i]; !a.inOrder() || slices.ContainsFunc(v.Audiences[:i], func(b audience) bool { return a.ID == b.ID || a.Name == b.Name }) {
			return "its audiences are not in order"
		}
	}
	if !logsInOrder(v.Logs) || len(v.Logs) > len(v.Friends)+1 {
		return "what it holds of logs is out of order"
	}
	for i := range v.Friends {
		if f := &v.Friends[i]; !f.inOrder(me) || i > 0 && compareIDs(v.Friends[i-1].Account, f.Account) >= 0 {
			return "its list of friends is out of order"
		}
	}
	return ""
}

func (a *audience) inOrder() bool {
	for i, e := range a.Epochs {
		if a.epoch(e.Content) != &a.Epochs[i] || e.Content == (wire.Commitment{}) || !ascending(e.Members) || !ascending(e.Owed) {
			return false
		}
		stranger := func(id wire.AccountID) bool {
			_, ok := slices.BinarySearchFunc(e.Members, id, compareIDs)
			return !ok
		}
		if slices.ContainsFunc(e.Owed, stranger) {
			return false
		}
	}
	return !a.ID.IsZero() && a.Name != "" && len(a.Name) <= maxAudienceName && len(a.Epochs) <= maxEpochs
}

// ascending reports whether each id stands once and none is zero.
func ascending(ids []wire.AccountID) bool {
	var last wire.AccountID
	for _, id := range ids {
		if compareIDs(last, id) >= 0 {
			return false
		}
		last = id
	}
	return true
}

func (f *friend) inOrder(me wire.AccountID) bool {
	if _, err := wire.ParseAddress(f.address().String()); err != nil {
		return false
	}
	for _, s := range f.Pending {
		if len(s.Signed) <= 64 || len(s.Signed) > wire.MaxStatement {
			return false
		}
	}
	return f.Friendship.Me == me && f.Friendship.Other == f.Account && f.Account != me && !f.Account.IsZero() &&
		f.PinSeq <= wire.MaxInteger && !f.PinHash.IsZero() && f.Verified == !f.Compared.IsZero() && f.Logged.inOrder() && f.Friendship.Check() == nil
}

// clone returns a copy that shares nothing with v.
func (v *vault) clone() *vault {
	c := new(vault)
	if err := wire.DecodeCBOR("vault", v.encode(), c); err != nil {
		panic("client: " + err.Error()) // what encode wrote
	}
	return c
}

func compareIDs(a, b wire.AccountID) int { return bytes.Compare(a[:], b[:]) }

func (v *vault) audience(name string) *audience {
	for i := range v.Audiences {
		if v.Audiences[i].Name == name {
			return &v.Audiences[i]
		}
	}
	return nil
}

// friends is the audience of all friends, which every vault has.
func (v *vault) friends() *audience { return v.audience(friendsName) }

func (v *vault) find(id wire.AccountID) (int, bool) {
	return slices.BinarySearchFunc(v.Friends, id, func(f friend, id wire.AccountID) int { return compareIDs(f.Account, id) })
}

// friend returns the person with account id, nil if the vault has none.
func (v *vault) friend(id wire.AccountID) *friend {
	if i, ok := v.find(id); ok {
		return &v.Friends[i]
	}
	return nil
}

// friendAt returns the person at an address, nil if the vault has none.
func (v *vault) friendAt(a wire.Address) *friend {
	for i := range v.Friends {
		if v.Friends[i].address() == a {
			return &v.Friends[i]
		}
	}
	return nil
}

// add returns the friend with f's account, which is f if there was none.
func (v *vault) add(f friend) *friend {
	i, ok := v.find(f.Account)
	if !ok {
		v.Friends = slices.Insert(v.Friends, i, f)
	}
	return &v.Friends[i]
}

// entitled lists for whom the newest epoch is, by account.
func (v *vault) entitled() (ids []wire.AccountID) {
	for i := range v.Friends {
		if v.Friends[i].entitled() {
			ids = append(ids, v.Friends[i].Account)
		}
	}
	return ids
}

// epoch returns what is known of the members of an epoch, nil if nothing.
func (a *audience) epoch(content wire.Commitment) *epochMembers {
	for i := range a.Epochs {
		if a.Epochs[i].Content == content {
			return &a.Epochs[i]
		}
	}
	return nil
}

// forgetEpochsOf forgets who may open the audiences that somebody reads whose keys
// have changed. A new epoch begins where nothing is known of the newest.
func (v *vault) forgetEpochsOf(id wire.AccountID) {
	for i := range v.Audiences {
		a := &v.Audiences[i]
		if slices.ContainsFunc(a.Epochs, func(e epochMembers) bool { return slices.Contains(e.Members, id) }) {
			a.Epochs = nil
		}
	}
}

// forgetEpochs forgets who may open each audience, so that a new epoch begins.
func (v *vault) forgetEpochs() {
	for i := range v.Audiences {
		v.Audiences[i].Epochs = nil
	}
}

// propose notes an epoch that is about to be made, beside the newest one. It may be there
// already, in a version of the vault that the node has taken without saying so.
func (a *audience) propose(e epochMembers, newest wire.Commitment) {
	a.Epochs = slices.DeleteFunc(a.Epochs, func(o epochMembers) bool { return o.Content == e.Content })
	a.Epochs = append(a.Epochs, e)
	for i := 0; len(a.Epochs) > maxEpochs; {
		if a.Epochs[i].Content == newest {
			i++
		}
		a.Epochs = slices.Delete(a.Epochs, i, i+1)
	}
}

// admit notes that an epoch's keys will be wrapped for somebody.
func (e *epochMembers) admit(id wire.AccountID) {
	if !slices.Contains(e.Members, id) {
		e.Members = append(e.Members, id)
		slices.SortFunc(e.Members, compareIDs)
	}
	if !slices.Contains(e.Owed, id) {
		e.Owed = append(e.Owed, id)
		slices.SortFunc(e.Owed, compareIDs)
	}
}
