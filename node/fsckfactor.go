package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// judgeFactor checks factor/<account>. One that is damaged is not removed: that would
// make the password enough for whoever has it. Its owner recovers the account, which
// ends it.
func (d *side) judgeFactor(ctx context.Context, rec store.Record) error {
	account, err := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "factor/"))
	if err != nil {
		d.spare(rec, "its key names no account", "remove it")
		return nil
	}
	there, _, err := d.get(ctx, accountKey(account), new(accountRecord))
	if err != nil {
		return err
	}
	held, err := d.chain(ctx, account)
	if err != nil {
		return err
	}
	if !there && !held.there {
		d.spare(rec, "nobody has this account", "remove it")
		return nil
	}
	if problem := problemOfFactor(rec); problem != "" {
		person := account.String()
		if held.chain != nil {
			person = held.chain.Address().String()
		}
		d.wrong(Finding{Key: rec.Key, Problem: problem + "; nobody can log in by password until its owner has used the recovery code", Person: person})
	}
	return nil
}

func problemOfFactor(rec store.Record) string {
	var r factorRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		return problem
	}
	if len(r.Factors) == 0 {
		return "it holds no second factor"
	}
	for _, f := range r.Factors {
		if f.Kind != wire.FactorTOTP {
			return fmt.Sprintf("a second factor of kind %d is not known to this release", f.Kind)
		}
		if _, err := wire.TOTPSecretFromBytes(f.Secret.Reveal()); err != nil {
			return "it holds no secret that codes are made of"
		}
	}
	if len(r.Backup) > wire.BackupCodes {
		return fmt.Sprintf("it holds %d backup codes, and %d are given out", len(r.Backup), wire.BackupCodes)
	}
	return ""
}
