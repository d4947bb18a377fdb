package wire

import "crypto/sha256"

// A Label separates one use of a key or hash from every other. It stands in
// front of each signed payload and each hashed object, and is the info of each
// HKDF and HPKE call. The registry below is the only place where labels are
// made; TestLabels proves them unique and prefix-free.
type Label string

// Labels of signed statements.
const (
	LabelKeyStatement  Label = "peerbrain/v1/key-statement"
	LabelEntry         Label = "peerbrain/v1/entry"
	LabelOffer         Label = "peerbrain/v1/friend-offer"
	LabelAccept        Label = "peerbrain/v1/friend-accept"
	LabelEnd           Label = "peerbrain/v1/friend-end"
	LabelVaultHead     Label = "peerbrain/v1/vault-head"
	LabelLogin         Label = "peerbrain/v1/login-challenge"
	LabelHeadQuery     Label = "peerbrain/v1/head-query"
	LabelRecoveryQuery Label = "peerbrain/v1/recovery-query"
	LabelNodeDocument  Label = "peerbrain/v1/node-document"
	LabelRootChange    Label = "peerbrain/v1/root-change"
	LabelTombstone     Label = "peerbrain/v1/tombstone"
	LabelMove          Label = "peerbrain/v1/move"
	LabelComment       Label = "peerbrain/v1/comment"
	LabelReaction      Label = "peerbrain/v1/reaction-statement"
)

// Labels of hashes.
const (
	LabelBodyHash       Label = "peerbrain/v1/hash/entry-body"
	LabelVaultHash      Label = "peerbrain/v1/hash/vault"
	LabelSlotsHash      Label = "peerbrain/v1/hash/slots"
	LabelContentCommit  Label = "peerbrain/v1/hash/content-key"
	LabelChainCommit    Label = "peerbrain/v1/hash/chain-key"
	LabelLoginSalt      Label = "peerbrain/v1/hash/login-salt"
	LabelDirectAudience Label = "peerbrain/v1/hash/direct-audience"
	LabelRecoveryCheck  Label = "peerbrain/v1/hash/recovery-code"
	LabelFakeSalt       Label = "peerbrain/v1/hash/fake-salt"
	LabelChallengeTag   Label = "peerbrain/v1/hash/challenge-tag"
	LabelCursorTag      Label = "peerbrain/v1/hash/cursor-tag"
	LabelToken          Label = "peerbrain/v1/hash/session-token"
	LabelDeviceToken    Label = "peerbrain/v1/hash/device-token"
	LabelBackupCode     Label = "peerbrain/v1/hash/backup-code"
	LabelLogAddress     Label = "peerbrain/v1/hash/log-address"
	LabelFingerprint    Label = "peerbrain/v1/hash/fingerprint"
	LabelSafetyNumber   Label = "peerbrain/v1/hash/safety-number"
)

// Labels of derived keys (HKDF info).
const (
	LabelLoginSeed          Label = "peerbrain/v1/key/login-seed"
	LabelSlotKey            Label = "peerbrain/v1/key/password-slot"
	LabelRecoverySeed       Label = "peerbrain/v1/key/recovery-identity"
	LabelRecoveryEncryption Label = "peerbrain/v1/key/recovery-encryption"
	LabelRecoveryLogin      Label = "peerbrain/v1/key/recovery-login"
	LabelContentKey         Label = "peerbrain/v1/key/epoch-content"
	LabelChainKey           Label = "peerbrain/v1/key/epoch-chain"
	LabelCommentKey         Label = "peerbrain/v1/key/thread"
)

// Labels of sealed bytes (chunked-encryption context, HPKE info).
const (
	LabelSealEntry      Label = "peerbrain/v1/seal/entry"
	LabelSealSelfSecret Label = "peerbrain/v1/seal/epoch-secret"
	LabelSealLink       Label = "peerbrain/v1/seal/link"
	LabelSealVault      Label = "peerbrain/v1/seal/vault"
	LabelSealSlot       Label = "peerbrain/v1/seal/password-slot"
	LabelSealRecovery   Label = "peerbrain/v1/seal/recovery-slot"
	LabelSealSelfKey    Label = "peerbrain/v1/seal/self-key"
	LabelSealWrap       Label = "peerbrain/v1/seal/wrap"
	LabelSealAttachment Label = "peerbrain/v1/seal/attachment"
	LabelSealComment    Label = "peerbrain/v1/seal/thread-comment"
	LabelSealCache      Label = "peerbrain/v1/seal/device-cache"
)

// Labels lists the whole registry.
func Labels() []Label {
	return []Label{
		LabelKeyStatement, LabelEntry, LabelOffer, LabelAccept, LabelEnd, LabelVaultHead, LabelLogin,
		LabelHeadQuery, LabelRecoveryQuery, LabelNodeDocument, LabelRootChange, LabelTombstone, LabelMove, LabelComment, LabelReaction,
		LabelBodyHash, LabelVaultHash, LabelSlotsHash, LabelContentCommit, LabelChainCommit, LabelLoginSalt,
		LabelDirectAudience, LabelRecoveryCheck, LabelFakeSalt, LabelChallengeTag, LabelCursorTag, LabelToken, LabelDeviceToken, LabelBackupCode,
		LabelLogAddress, LabelFingerprint, LabelSafetyNumber,
		LabelLoginSeed, LabelSlotKey, LabelRecoverySeed, LabelRecoveryEncryption, LabelRecoveryLogin,
		LabelContentKey, LabelChainKey, LabelCommentKey,
		LabelSealEntry, LabelSealSelfSecret, LabelSealLink, LabelSealVault, LabelSealSlot, LabelSealRecovery,
		LabelSealSelfKey, LabelSealWrap, LabelSealAttachment, LabelSealComment, LabelSealCache,
	}
}

// Message returns label || 0x00 || parts, the bytes that are signed, hashed or
// bound as a context.
func (l Label) Message(parts ...[]byte) []byte {
	return l.append(make([]byte, 0, l.size(parts)), parts)
}

func (l Label) size(parts [][]byte) int {
	n := len(l) + 1
	for _, p := range parts {
		n += len(p)
	}
	return n
}

func (l Label) append(m []byte, parts [][]byte) []byte {
	m = append(append(m, l...), 0)
	for _, p := range parts {
		m = append(m, p...)
	}
	return m
}

// Hash returns SHA-256(label || 0x00 || parts). Parts are not delimited: all but
// the last must have a fixed length.
func (l Label) Hash(parts ...[]byte) Hash {
	var room [256]byte // for statements and tokens: then nothing is allocated
	if l.size(parts) <= len(room) {
		return sha256.Sum256(l.append(room[:0], parts))
	}
	h := sha256.New()
	h.Write([]byte(l))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	return Hash(h.Sum(nil))
}
