package node

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// A second factor guards log-ins by password, and what changes an account: routes that
// say so (routes.go), and new slots of a vault. One record of an account holds it, and
// each code that is taken changes that record under a condition: of many who show the
// same code, whatever process they ask, one gets in. Nothing of it is remembered beside
// the store. Who recovers an account needs none, and ends it (openSession).

func factorKey(a wire.AccountID) string { return keyOf("factor/", a) }

// factorRecord: factor/<account>. Absent where the password is enough.
type factorRecord struct {
	Version uint64      `cbor:"1,keyasint"`
	Factors []factor    `cbor:"2,keyasint"`
	Backup  []wire.Hash `cbor:"3,keyasint"` // of the codes that were not used yet
	Spender wire.Nonce  `cbor:"4,keyasint"` // tells whose change was the last, should the store make it twice
}

// A factor is one second factor. There is one kind so far; others come beside it.
type factor struct {
	Kind   wire.FactorKind     `cbor:"1,keyasint"`
	Secret wire.Hidden[[]byte] `cbor:"2,keyasint"`
	Step   uint64              `cbor:"3,keyasint"` // the last whose code was taken; no earlier one is
}

// factorSkew is how many steps the clock of an app may be off, in both directions.
const factorSkew = 1

// A shownCode came with a request.
type shownCode struct {
	code wire.FactorCode
	from netip.Addr
}

// factors returns the second factors of an account and their revision, NotExist if it
// has none, and Update where one is of a later release: it is not passed over.
func (n *Node) factors(ctx context.Context, account wire.AccountID) (*factorRecord, uint64, error) {
	r := new(factorRecord)
	rev, err := read(ctx, n.own, factorKey(account), r)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range r.Factors {
		if f.Kind != wire.FactorTOTP {
			return nil, 0, wire.Errorf(wire.Update, "second factor", "one of kind %d is not known to this release", f.Kind)
		}
	}
	return r, rev, nil
}

// passes lets through who shows a code of an account, or whoever asks for one without a
// second factor. SecondFactor where a code is missing or wrong, and Throttled.
func (n *Node) passes(ctx context.Context, account wire.AccountID, shown *shownCode) error {
	_, _, err := n.factors(ctx, account)
	if errors.Is(err, wire.NotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if shown == nil {
		return wire.Errorf(wire.SecondFactor, "second factor", "a code is needed")
	}
	try, err := n.door.throttle.attempt(ctx, claim{guessCode, account.String()}, claim{guessCodeAddress, network(shown.from)})
	if err != nil {
		return err
	}
	err = n.spendCode(ctx, account, shown.code)
	if errors.Is(err, wire.SecondFactor) {
		return err
	}
	if failed := try.succeeded(ctx); failed != nil {
		n.log.Warn("a code was not given back to its budget", "error", failed)
	}
	return err
}

// spendCode takes a code of an account, once.
func (n *Node) spendCode(ctx context.Context, account wire.AccountID, code wire.FactorCode) error {
	for range maxEraTries {
		r, rev, err := n.factors(ctx, account)
		if errors.Is(err, wire.NotExist) { // it was turned off meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if !r.spend(account, code, n.now()) {
			return wire.Errorf(wire.SecondFactor, "second factor", "the code is wrong, or was used before")
		}
		if done, err := n.putFactors(ctx, account, r, rev); err != nil || done {
			return err
		}
	}
	return changesAllTheTime()
}

// putFactors replaces the record of revision rev, 0 for none. It reports whether that
// is done: it is not where somebody else was first.
func (n *Node) putFactors(ctx context.Context, account wire.AccountID, r *factorRecord, rev uint64) (bool, error) {
	r.Spender = wire.Nonce(random32())
	err := n.own.Apply(ctx, putIf(factorKey(account), r, store.IfRevision(rev)))
	if !errors.Is(err, store.ErrConflict) {
		return err == nil, err
	}
	now, _, err := n.factors(ctx, account)
	if err != nil {
		return false, ignoreAbsent(err)
	}
	return now.Spender == r.Spender, nil
}

// spend marks a code as used, if it is one that works at the moment. It looks at all of
// them, so that how long it takes tells nothing of any.
func (r *factorRecord) spend(account wire.AccountID, code wire.FactorCode, now time.Time) bool {
	if code.IsBackup() {
		hash, at := code.Hash(account), -1
		for i, h := range r.Backup {
			at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(h[:], hash[:]), i, at)
		}
		if at < 0 {
			return false
		}
		r.Backup = slices.Delete(r.Backup, at, at+1)
		return true
	}
	taken := false
	for i := range r.Factors {
		taken = r.Factors[i].spend(code, now) || taken
	}
	return taken
}

func (f *factor) spend(code wire.FactorCode, now time.Time) bool {
	secret, err := wire.TOTPSecretFromBytes(f.Secret.Reveal())
	if err != nil {
		return false
	}
	shown, found := []byte(code.Reveal()), 0
	step := uint64(now.Unix()) / wire.TOTPStep
	for s := step - factorSkew; s <= step+factorSkew; s++ {
		same := subtle.ConstantTimeCompare([]byte(secret.Code(s).Reveal()), shown)
		found = subtle.ConstantTimeSelect(same, int(s), found)
	}
	if found == 0 || uint64(found) <= f.Step {
		return false
	}
	f.Step = uint64(found)
	return true
}

// cleared lets through what changes the account of the person, once for all that one
// request does.
func (p *Person) cleared(ctx context.Context) error {
	if p.clear {
		return nil
	}
	err := p.node.passes(ctx, p.account, p.shown)
	p.clear = err == nil
	return err
}

// SecondFactor tells what a log-in of the person needs beside the password.
func (p *Person) SecondFactor(ctx context.Context) (wire.SecondFactorReply, error) {
	reply := wire.SecondFactorReply{Kinds: []wire.FactorKind{}}
	r, _, err := p.node.factors(ctx, p.account)
	if err != nil {
		return reply, ignoreAbsent(err)
	}
	for _, f := range r.Factors {
		reply.Kinds = append(reply.Kinds, f.Kind)
	}
	reply.Backup = len(r.Backup)
	return reply, nil
}

// PutSecondFactor makes an app the second factor, in place of another if there is one.
// Kinds of errors: Update for a kind of a later release, Invalid, also where the first
// code is not that of the secret, Conflict where another device was faster.
func (p *Person) PutSecondFactor(ctx context.Context, req wire.SecondFactorRequest) error {
	switch {
	case req.Kind != wire.FactorTOTP:
		return wire.Errorf(wire.Update, "kind", "only %d is known here", wire.FactorTOTP)
	case req.Secret.IsZero():
		return wire.Errorf(wire.Invalid, "secret", "one was expected")
	}
	if err := checkBackup(req.Backup); err != nil {
		return err
	}
	f := factor{Kind: req.Kind, Secret: wire.Hide(req.Secret.Bytes())}
	if !f.spend(req.Code, p.node.now()) {
		return wire.Errorf(wire.Invalid, "code", "it is not the first code of this secret: is the clock of the device right that shows it?")
	}
	_, rev, err := p.node.factors(ctx, p.account)
	if ignoreAbsent(err) != nil {
		return err
	}
	done, err := p.node.putFactors(ctx, p.account, &factorRecord{Version: recordVersion, Factors: []factor{f}, Backup: req.Backup}, rev)
	if err == nil && !done {
		err = wire.Errorf(wire.Conflict, "second factor", "another device was faster")
	}
	return err
}

// PutBackup replaces the backup codes. NotExist where the password is enough.
func (p *Person) PutBackup(ctx context.Context, req wire.BackupRequest) error {
	if err := checkBackup(req.Backup); err != nil {
		return err
	}
	for range maxEraTries {
		r, rev, err := p.node.factors(ctx, p.account)
		if err != nil {
			return err
		}
		r.Backup = req.Backup
		if done, err := p.node.putFactors(ctx, p.account, r, rev); err != nil || done {
			return err
		}
	}
	return changesAllTheTime()
}

// EndSecondFactor makes the password enough. It is no error that it was.
func (p *Person) EndSecondFactor(ctx context.Context) error {
	if err := p.node.own.Apply(ctx, endFactors(p.account)); err != nil {
		return fmt.Errorf("end second factor: %w", err)
	}
	return nil
}

// endFactors is the change that makes the password of an account enough.
func endFactors(account wire.AccountID) store.Change { return store.Change{Key: factorKey(account)} }

// checkBackup refuses what are not as many different hashes as there are backup codes.
func checkBackup(hashes []wire.Hash) error {
	if len(hashes) != wire.BackupCodes {
		return wire.Errorf(wire.Invalid, "backup", "%d hashes were expected, not %d", wire.BackupCodes, len(hashes))
	}
	for i, h := range hashes {
		if h.IsZero() || slices.Contains(hashes[:i], h) {
			return wire.Errorf(wire.Invalid, "backup", "%d different hashes were expected", wire.BackupCodes)
		}
	}
	return nil
}

func changesAllTheTime() error {
	busy := wire.Errorf(wire.Unavailable, "", "the account changes all the time; try again later")
	busy.RetryAfter = time.Second
	return busy
}
