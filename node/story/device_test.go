package story_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What lies on a device is opened here as docs/protocol.md describes it and with
// none of the client's code, which nothing outside of the client can import.

var plain32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// derived is HKDF-SHA256 with an empty salt.
func derived(key []byte, l wire.Label) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, string(l), 32)
}

// unseal opens sealed bytes of one chunk or more.
func unseal(key []byte, l wire.Label, at any, sealed []byte) ([]byte, error) {
	const salt, header, chunk = 24, 24 + 32, 16<<10 + chacha20poly1305.Overhead
	if len(sealed) < header {
		return nil, errors.New("too short to be sealed")
	}
	info := "c2sp.org/chunked-encryption@v1+AEAD_CHACHA20_POLY1305\x00" + string(sealed[:salt]) + string(l.Message(wire.EncodeCBOR(at)))
	keys, err := hkdf.Expand(sha512.New, key, info, 32+12+32)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(keys[:32])
	if err != nil {
		return nil, err
	}
	var plain []byte
	rest := sealed[header:]
	for i := uint64(0); err == nil; i++ {
		nonce := [12]byte(keys[32:])
		binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^i)
		n := min(len(rest), chunk)
		plain, err = aead.Open(plain, nonce[:], rest[:n], nil)
		if rest = rest[n:]; n < chunk {
			break
		}
	}
	return plain, err
}

// hoards remembers all secrets that lie on the device of who, opened with what
// lies there too and with the password.
func (b *blind) hoards(who string) {
	b.Helper()
	session := b.session(who)
	b.secret("vault key", who, session.VaultKey)
	b.secret("cache key", who, session.CacheKey)
	b.vault(who, session.Account, session.VaultKey)
	b.cache(who, session.CacheKey)
	for path, content := range b.files(b.home(who)) {
		if strings.HasPrefix(filepath.Base(path), "known-") {
			var known struct {
				Token string `cbor:"3,keyasint"`
			}
			b.opened(who, "what is known", cbor.Unmarshal(content, &known))
			b.secret("device token", who, b.token(known.Token))
		}
	}
}

type deviceSession struct {
	Token    string         `cbor:"2,keyasint"`
	Account  wire.AccountID `cbor:"4,keyasint"`
	VaultKey []byte         `cbor:"6,keyasint"`
	CacheKey []byte         `cbor:"7,keyasint"`
}

func (b *blind) session(who string) (s deviceSession) {
	b.Helper()
	b.opened(who, "session", cbor.Unmarshal(b.contents(filepath.Join(b.home(who), "session")), &s))
	b.secret("token", who, b.token(s.Token))
	b.secret("account", who, s.Account[:])
	return s
}

func (b *blind) opened(who, what string, err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s of %s: %v", what, who, err)
	}
}

func (b *blind) token(spelled string) []byte {
	b.Helper()
	token, err := plain32.DecodeString(strings.ToUpper(spelled))
	b.opened("somebody", "token", err)
	return token
}

// vault opens the vault on the device, and derives the keys of the log-in from
// the password as its slots say.
func (b *blind) vault(who string, account wire.AccountID, key []byte) {
	b.Helper()
	var record struct {
		Head  []byte `cbor:"1,keyasint"`
		Slots []byte `cbor:"2,keyasint"`
		Vault []byte `cbor:"3,keyasint"`
	}
	b.opened(who, "vault", cbor.Unmarshal(b.contents(filepath.Join(b.home(who), "vault")), &record))
	var head wire.VaultHead
	b.opened(who, "vault head", cbor.Unmarshal(record.Head[64:], &head)) // after the signature
	padded, err := unseal(key, wire.LabelSealVault, &struct {
		Account wire.AccountID `cbor:"1,keyasint"`
		Counter uint64         `cbor:"2,keyasint"`
	}{account, head.Counter}, record.Vault)
	b.opened(who, "sealed vault", err)
	var vault struct {
		Identity   []byte `cbor:"2,keyasint"`
		Encryption []byte `cbor:"3,keyasint"`
		Self       []byte `cbor:"4,keyasint"`
	}
	b.opened(who, "opened vault", cbor.Unmarshal(padded[4:4+binary.BigEndian.Uint32(padded)], &vault))
	b.secret("identity key", who, vault.Identity)
	b.secret("encryption key", who, vault.Encryption)
	b.secret("self key", who, vault.Self)

	slots, err := wire.DecodeSlots(record.Slots)
	b.opened(who, "slots", err)
	address, err := wire.ParseAddress(b.address(person(who)))
	b.opened(who, "address", err)
	salt := wire.LoginSalt(address, slots.Argon2, slots.Random)
	stretched := argon2.IDKey([]byte(b.passwordOf(who)), salt[:], slots.Argon2.Time, slots.Argon2.Memory, uint8(slots.Argon2.Threads), 32)
	login, err := derived(stretched, wire.LabelLoginSeed)
	b.opened(who, "login seed", err)
	b.secret("login seed", who, login)
	if wire.NewLoginSecret([32]byte(login)).Public() != slots.Login {
		b.Errorf("the log-in key of %s is not the one that was derived", who)
	}
	slot, err := derived(stretched, wire.LabelSlotKey)
	b.opened(who, "slot key", err)
	b.secret("slot key", who, slot)
}

// cache opens what the device knows of streams: the keys of epochs.
func (b *blind) cache(who string, key []byte) {
	b.Helper()
	plain, err := unseal(key, wire.LabelSealCache, &struct {
		Name string `cbor:"1,keyasint"`
	}{"cache"}, b.contents(filepath.Join(b.home(who), "cache")))
	b.opened(who, "cache", err)
	var cache struct {
		Keys []struct {
			Secret  []byte `cbor:"4,keyasint"`
			Content []byte `cbor:"5,keyasint"`
			Chain   []byte `cbor:"6,keyasint"`
		} `cbor:"3,keyasint"`
	}
	b.opened(who, "opened cache", cbor.Unmarshal(plain, &cache))
	for _, k := range cache.Keys {
		if len(k.Secret) > 0 {
			b.secret("epoch secret", who, k.Secret)
			k.Content, err = derived(k.Secret, wire.LabelContentKey)
			b.opened(who, "content key", err)
			k.Chain, err = derived(k.Secret, wire.LabelChainKey)
			b.opened(who, "chain key", err)
		}
		b.secret("content key", who, k.Content)
		if len(k.Chain) > 0 {
			b.secret("chain key", who, k.Chain)
		}
	}
}

// recovery remembers a recovery code, as it is written and as the bytes and keys
// that it stands for.
func (b *blind) recovery(who, code string) {
	b.Helper()
	bare := strings.ReplaceAll(code, "-", "")
	for i, spelled := range []string{code, bare, strings.ToLower(code), strings.ToLower(bare)} {
		b.secret("recovery code", who+strings.Repeat("'", i), []byte(spelled))
	}
	bits, err := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding).DecodeString(bare[:32])
	b.opened(who, "recovery code", err)
	b.secret("recovery bits", who, bits)
	for _, label := range []wire.Label{wire.LabelRecoverySeed, wire.LabelRecoveryEncryption, wire.LabelRecoveryLogin} {
		key, err := derived(bits, label)
		b.opened(who, string(label), err)
		b.secret("recovery key", who, key)
	}
}
