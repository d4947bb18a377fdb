package node

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten holds whatever has the keys of a node, or a token of
// somebody, to what secrettest asks.
func TestSecretsAreNotWritten(t *testing.T) {
	b := secrettest.Secret
	token := wire.NewToken(b)
	secrettest.Table{
		Holders: []any{
			nodeKeys{Root: wire.Hide(b), Request: wire.Hide(b), Secret: wire.Hide(b), Newer: []wire.Hidden[[32]byte]{wire.Hide(b)}}, &Node{secret: wire.Hide(b)},
			&ring{secrets: map[wire.NodeRequestKey]wire.NodeRequestSecret{{}: wire.NewNodeRequestSecret(b)}},
			factor{Secret: wire.Hide(b[:])}, shownCode{code: wire.NewBackupCode(b)}, wire.SecondFactorRequest{Secret: wire.NewTOTPSecret(b), Code: wire.NewBackupCode(b)},
			wire.LoginRequest{DeviceToken: &token}, wire.LoginReply{Token: token, DeviceToken: token},
		},
		Open: []string{"requestKey"},
	}.Test(t)
}
