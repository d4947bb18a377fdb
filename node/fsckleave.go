package node

import (
	"context"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// Of an account that is being deleted nothing is checked but the tombstone: whatever is
// left of it goes. Where the marker of a deletion is gone, nothing is left.

// findLeavers finds the accounts that are being deleted.
func (f *fsck) findLeavers(ctx context.Context) error {
	f.leaving, f.leavingShelves = map[wire.AccountID]bool{}, map[wire.TokenShelf]bool{}
	for rec, err := range f.Own.Scan(ctx, store.Prefix(leavingPrefix)) {
		if rec, err = f.own.readable(rec, err); err != nil {
			return err
		}
		var r leavingRecord
		account, err := parseLeavingKey(rec.Key)
		if err != nil || decodeStrictly(rec, &r) != "" {
			continue
		}
		if gone, err := f.own.isGone(ctx, r.Handle, account); err != nil {
			return err
		} else if gone {
			f.leaving[account], f.leavingShelves[wire.ShelfOf(account)] = true, true
		}
	}
	f.own.taken() // what is damaged is named in its turn
	return nil
}

// isGone reports whether a handle says that its account is deleted.
func (d *side) isGone(ctx context.Context, handle wire.Handle, account wire.AccountID) (bool, error) {
	var h handleRecord
	_, legible, err := d.get(ctx, handleKey(handle), &h)
	return legible && h.Account == account && len(h.Tombstone) > 0, err
}

// goes reports whether a record is one of those that go with an account.
func (d *side) goes(key string) bool {
	if d.name != "own" || len(d.f.leaving) == 0 {
		return false
	}
	parts, at := strings.Split(key, "/"), 1
	switch parts[0] {
	case "sess":
		shelf, _, err := parseSessionKey(key)
		return err == nil && d.f.leavingShelves[shelf]
	case "deliver", elsewherePrefix:
		at = 2
	case "account", "device", "entry", "friend", "sealed", "vault", "vhead", "wrap":
	default:
		return false
	}
	if len(parts) <= at {
		return false
	}
	owner, err := wire.ParseAccountID(parts[at])
	return err == nil && d.f.leaving[owner]
}

// judgeGone checks the handle of an account that is deleted.
func (d *side) judgeGone(ctx context.Context, rec store.Record, r *handleRecord, h *heldChain) error {
	if !h.whole {
		d.loose++
		return nil
	}
	if _, err := h.chain.OpenTombstone(r.Tombstone); err != nil {
		d.lost(ctx, rec.Key, r.Account, "its tombstone does not verify: %v", err)
		return nil
	}
	if d.f.leaving[r.Account] {
		return nil
	}
	left, err := d.leftOf(ctx, r.Account)
	if err == nil && left != "" {
		mark := &leavingRecord{recordVersion, h.chain.Newest().Handle, d.f.Now().UnixMilli()}
		d.wrong(Finding{
			Key: left, Problem: "it belongs to an account that is deleted", Person: d.who(ctx, r.Account),
			Repair: "let the node delete what is left of the account", fix: d.applies(put(leavingKey(r.Account), mark)),
		})
	}
	return err
}

// leftOf returns the key of something that is left of a deleted account, or "".
func (d *side) leftOf(ctx context.Context, account wire.AccountID) (string, error) {
	a := account.String()
	shelf := wire.ShelfOf(account)
	prefixes := append(personPrefixes(account), factorKey(account), accountKey(account), vaultKey(account), friendsKey(account),
		"entry/"+a+"/", "wrap/"+a+"/", shelfPrefix(shelf))
	for _, prefix := range prefixes {
		key, err := lowestKey(ctx, d.s, store.Prefix(prefix))
		if err != nil || key != "" && !strings.HasPrefix(key, sessionPrefix) {
			return key, err
		}
		if key != "" { // which may be of another account
			var s session
			if _, legible, err := d.get(ctx, key, &s); err != nil || legible && s.Account == account {
				return key, err
			}
		}
	}
	return "", nil
}

// judgeLeaving checks leaving/<account>.
func (d *side) judgeLeaving(ctx context.Context, rec store.Record) error {
	account, err := parseLeavingKey(rec.Key)
	if err != nil {
		d.spare(rec, "its key names no account", "remove it")
		return nil
	}
	var r leavingRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" {
		problem = d.past(r.Since)
	}
	if problem != "" {
		one := Finding{Key: rec.Key, Problem: problem, Person: d.who(ctx, account)}
		if h, err := d.chain(ctx, account); err != nil {
			return err
		} else if h.chain != nil {
			mark := &leavingRecord{recordVersion, h.chain.Newest().Handle, d.f.Now().UnixMilli()}
			one.Repair, one.fix = "write it again from the keys", d.rewriting(rec, mark)
		}
		d.wrong(one)
		return nil
	}
	if !d.f.leaving[account] {
		d.wrong(Finding{Key: rec.Key, Problem: "a deletion that was interrupted before it began", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return nil
}

// judgeUnmarked looks at a farewell of an account that is not being deleted, as far as
// its marker says.
func (d *side) judgeUnmarked(ctx context.Context, rec store.Record, account wire.AccountID) error {
	h, err := d.chain(ctx, account)
	if err != nil {
		return err
	}
	gone := false
	if h.chain != nil {
		if gone, err = d.isGone(ctx, h.chain.Newest().Handle, account); err != nil {
			return err
		}
	}
	if !gone {
		d.spare(rec, "its account is not deleted", "remove it")
		return nil
	}
	mark := &leavingRecord{recordVersion, h.chain.Newest().Handle, d.f.Now().UnixMilli()}
	d.wrong(Finding{
		Key: leavingKey(account), Problem: "somebody has to be told that an account is deleted, and the marker that this is found by is missing, or cannot be read",
		Person: d.who(ctx, account), Repair: "write it again from the keys", fix: d.applies(put(leavingKey(account), mark)),
	})
	return nil
}

// judgeFarewell checks farewell/<me>/<node>/<other>.
func (d *side) judgeFarewell(ctx context.Context, rec store.Record) error {
	p, node, ok := parseFarewellKey(rec.Key)
	_, err := wire.ParseNodeName(string(node))
	var r farewellRecord
	problem := ""
	if ok && err == nil && !d.f.leaving[p.me] {
		return d.judgeUnmarked(ctx, rec, p.me)
	}
	switch {
	case !ok || err != nil:
		problem = "its key is not that of a farewell"
	default:
		problem = decodeStrictly(rec, &r)
	}
	if problem == "" {
		h, err := d.chainAt(ctx, p.other, node)
		if err != nil {
			return err
		}
		if h.chain != nil && h.chain.Address() != (wire.Address{Handle: r.Handle, Node: node}) {
			problem = "it does not name the address of the account"
		}
	}
	if problem != "" {
		d.spare(rec, problem, "remove it: that somebody has left is then seen when the keys are asked for")
	}
	return nil
}
