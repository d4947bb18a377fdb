package seal

import (
	"golang.org/x/crypto/argon2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// DerivePassword derives what a password opens: the key that answers log-in
// challenges and the key of the password slot. It is Argon2id (RFC 9106, version
// 0x13, 32 bytes) with wire.LoginSalt as the salt, then HKDF-SHA256. Parameters
// that wire.Argon2.Check refuses are refused before anything is computed, since
// a node names them. It takes p.Memory KiB and, with the default parameters,
// some tenths of a second. password is taken as it is, not normalized.
func DerivePassword(password []byte, a wire.Address, p wire.Argon2, random wire.Nonce) (wire.LoginSecret, SlotKey, error) {
	if err := p.Check(); err != nil {
		return wire.LoginSecret{}, SlotKey{}, err
	}
	if len(password) == 0 {
		return wire.LoginSecret{}, SlotKey{}, wire.Errorf(wire.Invalid, "password", "a password was expected")
	}
	if _, err := wire.ParseAddress(a.String()); err != nil {
		return wire.LoginSecret{}, SlotKey{}, err
	}
	salt := wire.LoginSalt(a, p, random)
	key := argon2.IDKey(password, salt[:], p.Time, p.Memory, uint8(p.Threads), secretSize)
	return wire.NewLoginSecret(derive(key, wire.LabelLoginSeed)), SlotKey{derivedSecret(key, wire.LabelSlotKey)}, nil
}
