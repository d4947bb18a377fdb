// Package client is the SDK of one person: it registers, logs in, makes friends,
// writes and reads, and holds the only keys that open what was written.
//
// # What it trusts
//
// The person's password and recovery code, and what this device has verified
// before. Not the node: every signature, chain, sequence, epoch, commitment and
// order in its answers is checked, and an answer that contradicts what is known
// becomes an error of kind wire.Tampered that names what was wrong. A friend is
// who stands in the person's vault, with the keys pinned there; what a node
// lists beyond that is at most an offer. Pinned keys are confirmed once two nodes of
// other friends saw the same log of keys (TestConfirmed). Whose keys they are is known once two
// people have compared their safety number; keys that were compared are replaced
// only by others that were (TestVerifiedIsNotReplaced).
//
// # What it promises
//
// The vault is written before a statement or an entry that depends on it is
// sent. Before anything is written, "ready" brings vault, friendships, epochs and wraps up
// to date, so a command that was interrupted is simply run again: whichever
// request was lost, the end is that of a clean run (TestLostReplies). Two
// devices may work at once; each conflict is read again and retried
// (TestTwoDevices).
//
// # What it refuses
//
// It sends no password, no recovery code and no key that is not sealed; it
// wraps for nobody but those whom the vault entitles; it never writes under an
// epoch that somebody may still open who is no longer a friend.
//
// Not seen by it: that a node withholds the newest entries. Not part of this
// release: change of keys, circles, comments and attachments.
//
// Formats and protocol: docs/protocol.md. Cryptography: client/internal/seal.
package client
