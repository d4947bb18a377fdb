package federation

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten holds whatever has the keys of a node here to what
// secrettest asks.
func TestSecretsAreNotWritten(t *testing.T) {
	request := wire.NewNodeRequestSecret(secrettest.Secret)
	secrets := Secrets{Root: wire.NewNodeRootSecret(secrettest.Secret), Request: request}
	secrettest.Table{
		Holders: []any{secrets, ClientOptions{Secrets: secrets}, DocumentOptions{Secrets: secrets}, &Client{keys: func() []wire.NodeRequestSecret { return []wire.NodeRequestSecret{request} }}},
	}.Test(t)
}
