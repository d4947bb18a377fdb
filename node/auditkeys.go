package node

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A lock is what a private key can be recognised by, without opening anything: the
// public key that follows from it, a commitment to it, or its hash. keptLocks are
// the fields that are one, and what the key is called.
var keptLocks = map[string]string{
	"KeyStatement Identity":        "identity key",
	"KeyStatement Recovery":        "recovery key",
	"KeyStatement Encryption":      "encryption key",
	"KeyStatement RecoveryBox":     "recovery encryption key",
	"Slots Login":                  "log-in key",
	"Slots RecoveryLogin":          "log-in key of recovery",
	"EpochBody Content":            "content key, or the epoch secret that it comes from",
	"EpochBody Chain":              "chain key",
	"sess/<shelf16>/<hash> hash":   "token of a session",
	"device/<account>/<hash> hash": "token of a device",
}

// lock notes a lock. Of a key to seal to it is the X25519 half, which ends it.
func (d *dissection) lock(b []byte, s *keptShape) {
	if d.hunting && len(b) >= 32 && s.lock != "" {
		d.locks = append(d.locks, keptNumber{s, [32]byte(b[len(b)-32:])})
	}
}

// locksOf returns the locks that 32 bytes would open, were they a private key.
func locksOf(seed [32]byte) [][32]byte {
	expanded := sha3.SumSHAKE256(seed[:], 96) // X-Wing: 64 bytes for ML-KEM, 32 for X25519
	half, err := ecdh.X25519().NewPrivateKey(expanded[64:])
	if err != nil {
		panic("node: " + err.Error()) // every 32 bytes are one
	}
	content, err := hkdf.Key(sha256.New, seed[:], nil, string(wire.LabelContentKey), len(seed))
	if err != nil {
		panic("node: " + err.Error()) // they are not too many
	}
	return [][32]byte{
		[32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)),
		[32]byte(half.PublicKey().Bytes()),
		wire.LabelContentCommit.Hash(seed[:]),
		wire.LabelContentCommit.Hash(content),
		wire.LabelChainCommit.Hash(seed[:]),
		wire.LabelToken.Hash(seed[:]),
		wire.LabelDeviceToken.Hash(seed[:]),
	}
}

// candidate notes 32 bytes that may be a private key. Those of the node itself are
// no exception: they open nothing that is a lock.
func (d *dissection) candidate(b [32]byte, s *keptShape) {
	if !d.hunting {
		d.numbers = append(d.numbers, keptNumber{s, b})
	}
}

// text looks at a text, or a part of a key, that may be 32 bytes in base32,
// hexadecimal or base64.
func (d *dissection) text(t string, s *keptShape) {
	if d.hunting && s.lock == "" {
		return
	}
	if b, ok := spelled(t); ok {
		d.candidate(b, s)
		d.lock(b[:], s)
	}
}

// spelled reads a text of 32 bytes.
func spelled(t string) (b [32]byte, ok bool) {
	var raw []byte
	var err error
	switch len(t) {
	case 52:
		err = (*wire.Hash)(&b).UnmarshalText([]byte(t))
		return b, err == nil
	case 64:
		raw, err = hex.DecodeString(t)
	case 43:
		if raw, err = base64.RawURLEncoding.DecodeString(t); err != nil {
			raw, err = base64.RawStdEncoding.DecodeString(t)
		}
	}
	if err != nil || len(raw) != len(b) {
		return b, false
	}
	return [32]byte(raw), true
}

// explain notes that a value is the hash of something, and thus no private key that
// anybody drew.
func (d *dissection) explain(h wire.Hash) { d.derived = append(d.derived, h) }

// A lockFilter is a Bloom filter of locks, of 32 MiB whatever there is: what is in it
// is found, and of what is not, little. The bits are those that the eight words of a
// lock name, since locks are as good as drawn at random.
type lockFilter []uint64

const lockBits = 1 << 28

func newLockFilter() lockFilter { return make(lockFilter, lockBits/64) }

func (f lockFilter) add(lock [32]byte) {
	for i := 0; i < 32; i += 4 {
		bit := binary.LittleEndian.Uint32(lock[i:]) % lockBits
		f[bit/64] |= 1 << (bit % 64)
	}
}

func (f lockFilter) has(lock [32]byte) bool {
	for i := 0; i < 32; i += 4 {
		bit := binary.LittleEndian.Uint32(lock[i:]) % lockBits
		if f[bit/64]>>(bit%64)&1 == 0 {
			return false
		}
	}
	return true
}

// locksIn are the beginnings of the keys of records with locks.
var locksIn = []string{"device/", "entry/", "key/", sessionPrefix, "vault/"}

// eachLock reads all locks of both stores.
func (a *audit) eachLock(ctx context.Context, visit func(lock keptNumber, in string)) error {
	for _, d := range a.sides() {
		for _, prefix := range locksIn {
			for rec, err := range d.s.Scan(ctx, store.Prefix(prefix)) {
				if rec, err = d.readable(rec, err); err != nil {
					return err
				}
				place := keptPlaceOf(rec.Key)
				if place == nil || rec.Value == nil {
					continue
				}
				one := dissection{hunting: true}
				one.record(place, rec)
				for _, lock := range one.locks {
					visit(lock, d.name+" "+rec.Key)
				}
			}
		}
	}
	return nil
}

const (
	maxSuspects = 1 << 12
	recentSize  = 1 << 16 // numbers of 32 bytes that are not looked at again
)

// A suspect is a finding if its lock is one.
type suspect struct {
	lock    [32]byte
	finding AuditFinding
}

// suspects looks at the numbers in a record.
func (a *audit) suspects(ctx context.Context, d *side, p *keptPlace, key string, one *dissection) error {
	for _, number := range one.numbers {
		if a.recent.Contains(number.value) || slices.Contains(one.derived, wire.Hash(number.value)) {
			continue
		}
		before := len(a.suspected)
		for _, lock := range locksOf(number.value) {
			if a.filter.has(lock) {
				finding := AuditFinding{Store: d.name, Key: p.without(key, number.shape), Field: number.shape.path}
				a.suspected = append(a.suspected, suspect{lock, finding})
			}
		}
		if len(a.suspected) == before { // what is found twice is told twice
			a.recent.Add(number.value, struct{}{})
		}
	}
	for _, hash := range one.derived {
		a.recent.Add(hash, struct{}{})
	}
	if len(a.suspected) < maxSuspects {
		return nil
	}
	return a.confirm(ctx)
}

// without returns a key, unless it is the part of a shape that was found: then with
// three dots in its place.
func (p *keptPlace) without(key string, found *keptShape) string {
	parts := strings.Split(key, "/")
	for i, part := range p.parts {
		if part == found {
			parts[i] = "..."
		}
	}
	return strings.Join(parts, "/")
}
