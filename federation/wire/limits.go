package wire

import "time"

// Limits that hold on the wire. Sizes are bytes, counts are items.
const (
	MaxStatement       = 16 << 10 // a signed statement, its signature included
	MaxPost            = 65000    // the text of a post, UTF-8: with its structure it fits the largest padding bucket, 64 KiB
	MaxSealedPost      = 64<<10 + SealOverhead
	MaxEpochBody       = 16 << 10 // the public body of an epoch entry
	MaxPage            = 100      // items of one page
	MaxPageBytes       = 1 << 20  // sum of the items' sizes on one page
	MaxWraps           = 5000     // wraps of one epoch
	MaxWrapBatch       = 400      // wraps of one upload
	MaxNodeDocument    = 64 << 10
	MaxRootChanges     = 16            // of the root key of one node, ever
	MaxVault           = 2<<20 + 4<<10 // sealed vault: 2 MiB of padded plaintext and what sealing adds (2,120 bytes)
	MaxSlots           = 8 << 10
	MaxKeyChain        = 256  // key statements of one account
	MaxStreams         = 1000 // of one account
	MaxRecoveryFriends = 1000 // of one answer
	MaxSyncStreams     = 200  // streams of one sync request
	MaxSyncReaders     = 2000
	MaxDeviceName      = 64
	MaxFriendQueue     = 16 // statements waiting for one friend's node
	MaxEnded           = 64 // ended offers that one friendship remembers
	MaxEndOffers       = 4  // offers that one end names
	MaxLinks           = 32
	MaxHeads           = 1000    // vault heads of one answer
	MaxSessions        = 1000    // sessions of one answer
	MaxLogProof        = 8 << 10 // a proof that a key statement is in a log, with its checkpoint
	LogBundle          = 256     // leaves of a log in one file, and hashes in one tile

	WrapSize    = 1200 // HPKE MLKEM768-X25519: 1,120 encapsulated, 64 plaintext, 16 tag
	SelfKeySize = 1168 // the same with 32 bytes of plaintext

	// SealOverhead is what sealing adds to at most 64 KiB and a padding header:
	// 24 bytes of salt, 32 of commitment, 16 of tag for each of 5 chunks.
	SealOverhead = 256
)

// Times that hold on the wire.
const (
	MaxSkew           = 2 * time.Minute  // how far ahead of a node's clock a created time may be
	ChallengeLifetime = 60 * time.Second // log-in challenges
	SignatureLifetime = 300 * time.Second
	SignatureAhead    = 10 * time.Second
)

// Version and Suite are the first two fields of every object.
const (
	Version uint64 = 1
	// Suite 1: Ed25519, SHA-256, MLKEM768-X25519 with HKDF-SHA256 and
	// ChaCha20-Poly1305, chunked-encryption with SHA-512 and ChaCha20-Poly1305.
	Suite uint64 = 1
)

// MaxInteger is the largest number anywhere on the wire, 2^53-1: what every
// implementation holds exactly, those with only floating point included.
const MaxInteger uint64 = 1<<53 - 1

// checkNumbers refuses numbers above MaxInteger.
func checkNumbers(what string, numbers ...uint64) error {
	for _, n := range numbers {
		if n > MaxInteger {
			return Errorf(Invalid, what, "the number %d is above %d", n, MaxInteger)
		}
	}
	return nil
}

// checkVersion refuses objects of a later release with kind Update.
func checkVersion(what string, version, suite uint64) error {
	if version != Version || suite != Suite {
		return Errorf(Update, what, "version %d with suite %d is not known here; a newer release is needed", version, suite)
	}
	return nil
}
