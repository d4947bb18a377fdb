package wire

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"
)

// Redacted is what every secret prints as.
const Redacted = "[redacted]"

// seed is an Ed25519 private seed (RFC 8032) that does not print and cannot be
// compared. The purposes below embed it, so that no key signs for two of them.
// The key lies behind a function because fmt calls no method on unexported fields,
// nor under %p: of a function it prints an address, of anything else the bytes.
type seed struct {
	key func() ed25519.PrivateKey
}

func (seed) String() string               { return Redacted }
func (seed) GoString() string             { return Redacted }
func (seed) Format(f fmt.State, _ rune)   { io.WriteString(f, Redacted) }
func (seed) MarshalText() ([]byte, error) { return nil, fmt.Errorf("a secret is not written out") }

// Seed returns the 32 private bytes, for sealing and deriving only.
func (s seed) Seed() []byte { return s.key().Seed() }

// IsZero reports whether the secret was never set.
func (s seed) IsZero() bool { return s.key == nil }

func (s seed) public() [32]byte { return [32]byte(s.key().Public().(ed25519.PublicKey)) }

func newSeed(b [32]byte) seed {
	key := ed25519.NewKeyFromSeed(b[:])
	return seed{key: func() ed25519.PrivateKey { return key }}
}

// IdentitySecret signs a person's statements.
type IdentitySecret struct{ seed }

// RecoverySecret signs key statements after a loss; it comes from the recovery code.
type RecoverySecret struct{ seed }

// LoginSecret answers log-in challenges; it comes from the password.
type LoginSecret struct{ seed }

// RecoveryLoginSecret answers log-in challenges for recovery.
type RecoveryLoginSecret struct{ seed }

// NodeRootSecret signs node documents.
type NodeRootSecret struct{ seed }

// NodeRequestSecret signs requests between nodes.
type NodeRequestSecret struct{ seed }

// NodeLogSecret signs the checkpoints of a node's transparency log.
type NodeLogSecret struct{ seed }

// NodeWitnessSecret cosigns the checkpoints of other nodes' logs.
type NodeWitnessSecret struct{ seed }

// NewIdentitySecret makes the key of a 32-byte seed; so do its sisters.
func NewIdentitySecret(b [32]byte) IdentitySecret           { return IdentitySecret{newSeed(b)} }
func NewRecoverySecret(b [32]byte) RecoverySecret           { return RecoverySecret{newSeed(b)} }
func NewLoginSecret(b [32]byte) LoginSecret                 { return LoginSecret{newSeed(b)} }
func NewRecoveryLoginSecret(b [32]byte) RecoveryLoginSecret { return RecoveryLoginSecret{newSeed(b)} }
func NewNodeRootSecret(b [32]byte) NodeRootSecret           { return NodeRootSecret{newSeed(b)} }
func NewNodeRequestSecret(b [32]byte) NodeRequestSecret     { return NodeRequestSecret{newSeed(b)} }
func NewNodeLogSecret(b [32]byte) NodeLogSecret             { return NodeLogSecret{newSeed(b)} }
func NewNodeWitnessSecret(b [32]byte) NodeWitnessSecret     { return NodeWitnessSecret{newSeed(b)} }

// Public returns the key others verify with; so do the sisters below.
func (s IdentitySecret) Public() IdentityKey       { return s.public() }
func (s RecoverySecret) Public() RecoveryKey       { return s.public() }
func (s LoginSecret) Public() LoginKey             { return s.public() }
func (s RecoveryLoginSecret) Public() LoginKey     { return s.public() }
func (s NodeRootSecret) Public() NodeRootKey       { return s.public() }
func (s NodeRequestSecret) Public() NodeRequestKey { return s.public() }
func (s NodeLogSecret) Public() NodeLogKey         { return s.public() }
func (s NodeWitnessSecret) Public() NodeWitnessKey { return s.public() }

// Sign signs the text of a checkpoint. C2SP signed-note fixes the bytes, so there is
// no label: a node's log key therefore signs nothing else.
func (s NodeLogSecret) Sign(text []byte) []byte { return ed25519.Sign(s.key(), text) }

// Sign signs what a witness says of a checkpoint. C2SP tlog-cosignature fixes the bytes,
// so there is no label: a node's witness key therefore signs nothing else.
func (s NodeWitnessSecret) Sign(message []byte) []byte { return ed25519.Sign(s.key(), message) }

// Private returns a copy of the key for a library that signs HTTP requests. Those
// have no label either, since draft-cavage fixes the bytes: a node's request key
// therefore signs nothing else.
func (s NodeRequestSecret) Private() ed25519.PrivateKey { return slices.Clone(s.key()) }
