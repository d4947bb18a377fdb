package client

import (
	"testing"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten holds what a device has of secrets, while it works
// and while it reads and writes its files, to what secrettest asks.
func TestSecretsAreNotWritten(t *testing.T) {
	b := secrettest.Secret
	made := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	password, err := NewPassword(b[:])
	made(err)
	vaultKey, err := seal.VaultKeyFromBytes(b[:])
	made(err)
	cacheKey, err := seal.CacheKeyFromBytes(b[:])
	made(err)
	self, err := seal.SelfKeyFromBytes(b[:])
	made(err)
	slot, err := seal.SlotKeyFromBytes(b[:])
	made(err)
	epoch, err := seal.EpochSecretFromBytes(b[:])
	made(err)
	content, err := seal.ContentKeyFromBytes(b[:])
	made(err)
	encryption, err := seal.EncryptionSecretFromSeed(b[:])
	made(err)
	token, identity, hidden, text := wire.NewToken(b), wire.NewIdentitySecret(b), wire.Hide(b[:]), wire.Hide(string(b[:]))

	code := RecoveryCode{seal.NewRecoveryCode()}

	s := session{Token: token, VaultKey: vaultKey, CacheKey: cacheKey}
	v := newVault(identity, encryption, self, wire.AudienceID{})
	state := vaultState{vault: v, identity: identity, encryption: encryption, self: self}
	device := known{DeviceToken: text}
	keys := keysFile{Secret: hidden, Content: hidden, Chain: hidden}
	person := newPerson(New(nil, nil), s, nil)
	person.vault = state
	person.cache = newCache()
	person.cache.keys[epochID{}] = &epochKeys{secret: epoch, content: content}
	secrettest.Table{
		Secrets: []any{password, BackupCodes{func() []wire.FactorCode { return []wire.FactorCode{wire.NewBackupCode(b)} }}},
		Holders: []any{
			RegisterOptions{Password: password}, LoginOptions{Password: password}, Request{Token: token},
			login{with: &byPassword{password: password, slot: slot}, known: device}, founding{},
			byPassword{password: password, slot: slot}, *newByCode(code), RecoverOptions{Code: code, Password: password}, code,
			nextCode{newByCode(code), newByCode(code)}, locks{&password, &nextCode{newByCode(code), newByCode(code)}, true}, oldKeys{hidden, hidden}, accountChange{key: vaultKey}, changeFile{VaultKey: hidden},
			Authenticator{secret: wire.NewTOTPSecret(b)}, Request{Code: wire.NewBackupCode(b)},
			s, sessionFile{Token: text, VaultKey: hidden, CacheKey: hidden}, device, foundingSecrets{Code: text},
			*v, state, epochKeys{secret: epoch, content: content}, keys, cacheFile{Keys: []keysFile{keys}}, person,
		},
	}.Test(t)
}
