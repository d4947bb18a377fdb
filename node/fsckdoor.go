package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// latest is the last time, ms since 1970, that a record can speak of as past.
func (d *side) latest() int64 { return d.f.Now().Add(wire.MaxSkew).UnixMilli() }

// past refuses what is no time of the past.
func (d *side) past(ms int64) string {
	if ms <= 0 || ms > d.latest() {
		return fmt.Sprintf("%d is no time of the past", ms)
	}
	return ""
}

// spare notes a record that can be done without.
func (d *side) spare(rec store.Record, problem, repair string) {
	d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: repair, fix: d.removal(rec)})
}

// judgeDevice checks device/<account>/<hash>.
func (d *side) judgeDevice(ctx context.Context, rec store.Record) error {
	const repair = "remove it: the device logs in like a new one"
	parts := strings.Split(rec.Key, "/")
	var hash wire.Hash
	account, err := wire.ParseAccountID(parts[1])
	if err != nil || len(parts) != 3 || hash.UnmarshalText([]byte(parts[2])) != nil {
		d.spare(rec, "its key is not that of a device", repair)
		return nil
	}
	var r device
	problem := decodeStrictly(rec, &r)
	if problem == "" {
		problem = d.past(r.Used)
	}
	if problem == "" {
		there, _, err := d.get(ctx, accountKey(account), new(accountRecord))
		if err != nil {
			return err
		}
		held, err := d.chain(ctx, account)
		if err != nil {
			return err
		}
		if !there && !held.there {
			problem = "nobody has this account"
		}
	}
	switch {
	case problem != "":
		d.spare(rec, problem, repair)
	case !r.known(d.f.Now()):
		d.wrong(Finding{Key: rec.Key, Problem: "a device that was away for too long", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return nil
}

// judgeSession checks sess/<first 8 bytes of an account>/<hash>.
func (d *side) judgeSession(ctx context.Context, rec store.Record) error {
	const repair = "remove it: its person logs in again"
	var r session
	problem := ""
	shelf, hash, err := parseSessionKey(rec.Key)
	if r.hash = hash; err != nil {
		problem = "its key is not that of a session"
	} else {
		problem = decodeStrictly(rec, &r)
	}
	if problem == "" {
		var h handleRecord
		_, legible, err := d.get(ctx, handleKey(r.Handle), &h)
		if err != nil {
			return err
		}
		switch {
		case d.f.named[d.name+" "+handleKey(r.Handle)]:
			return nil // it is the handle that is wrong
		case !legible || h.Account != r.Account:
			problem = "its account is not the one with its handle"
		case shelf != wire.ShelfOf(r.Account):
			problem = "it lies among those of another account"
		case checkDeviceName(r.Device) != nil:
			problem = "the name of its device is none"
		case r.Expires <= r.Created:
			problem = "it ends before it begins"
		default:
			problem = d.past(r.Created)
		}
	}
	var v vaultRecord
	legible := false
	if problem == "" {
		if _, legible, err = d.get(ctx, vaultKey(r.Account), &v); err != nil {
			return err
		}
	}
	switch {
	case problem != "":
		d.spare(rec, problem, repair)
	case r.Expires < d.f.Now().Add(-wire.MaxSkew).UnixMilli():
		d.wrong(Finding{Key: rec.Key, Problem: "a session that has expired", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	case legible && !v.admits(&r):
		d.wrong(Finding{Key: rec.Key, Problem: "a session that has ended with others", Leftover: true, Repair: "remove it", fix: d.removal(rec)})
	}
	return nil
}

// judgeSpent checks spent/<expires>/<nonce>. One that is damaged stays until it
// has expired: its challenge must not be answered twice.
func (d *side) judgeSpent(_ context.Context, rec store.Record) error {
	text, nonce, _ := strings.Cut(strings.TrimPrefix(rec.Key, spentPrefix), "/")
	expires, ok := parseHex16(text)
	if !ok || new(wire.Nonce).UnmarshalText([]byte(nonce)) != nil {
		d.spare(rec, "its key is not that of a challenge", "remove it")
		return nil
	}
	one := Finding{Key: rec.Key}
	if expires <= uint64(d.f.Now().Add(-wire.MaxSkew).UnixMilli()) {
		one.Repair, one.fix = "remove it: the challenge has expired", d.removal(rec)
		one.Problem, one.Leftover = "a challenge that has expired", true
	}
	switch {
	case new(wire.Hash).UnmarshalText(rec.Value) != nil:
		one.Problem, one.Leftover = "it does not name who answered the challenge", false
		if one.fix == nil {
			one.Problem += "; it can be removed in some minutes"
		}
	case expires > uint64(d.f.Now().Add(wire.MaxSkew+wire.ChallengeLifetime).UnixMilli()):
		one.Problem = "a challenge that was never given out"
		one.Repair, one.fix = "remove it", d.removal(rec)
	}
	if one.Problem != "" {
		d.wrong(one)
	}
	return nil
}

// judgePeer checks peer/<node>. It is what a node was known by first, and what that
// led to: only its operator can tell another that it is right.
func (d *side) judgePeer(_ context.Context, rec store.Record) error {
	name, err := wire.ParseNodeName(strings.TrimPrefix(rec.Key, peerPrefix))
	if err != nil {
		d.spare(rec, "its key names no node", "remove it")
		return nil
	}
	var r peerRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" {
		doc, err := wire.OpenNodeDocument(r.Document, name)
		_, led := wire.OpenRootChanges(r.Changes, name, r.Root)
		switch {
		case err != nil:
			problem = fmt.Sprintf("its document does not verify: %v", err)
		case doc.Root != r.Root:
			problem = "its document is signed with another root key than the node is known by"
		case led != nil:
			problem = fmt.Sprintf("the changes of its root key do not lead to the one that it is known by: %v", led)
		case r.Fetched != (time.Time{}).UnixMilli(): // as it is in quarantine
			problem = d.past(r.Fetched)
		}
	}
	if problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem, Person: "node " + string(name)})
	}
	return nil
}

// judgeReplay checks replay/highwater. It may be higher than it was: what was
// signed before is refused then.
func (d *side) judgeReplay(ctx context.Context, rec store.Record) error {
	if rec.Key != highWaterKey {
		return d.judgeUnknown(ctx, rec)
	}
	var r highWaterRecord
	problem := decodeStrictly(rec, &r)
	soon := d.f.Now().Add(time.Hour).UnixMilli()
	if problem == "" && (r.Created < 0 || r.Created > soon) {
		problem = fmt.Sprintf("%d is no time of the past", r.Created)
	}
	if problem != "" {
		fix := d.rewriting(rec, &highWaterRecord{recordVersion, d.f.Now().UnixMilli()})
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again as of now: requests signed before are refused", fix: fix})
	}
	return nil
}

// What the processes of a node tell each other is needed while they run: what is
// damaged of it can go when they have ended, and what is not goes by itself.

func (d *side) judgeNews(_ context.Context, rec store.Record) error {
	return d.passing(rec, newsPrefix, 2, new(newsRecord))
}

func (d *side) judgeProcess(_ context.Context, rec store.Record) error {
	return d.passing(rec, processPrefix, 1, new(processRecord))
}

// judgePurse checks throttle/<hmac>: who failed to log in how often.
func (d *side) judgePurse(_ context.Context, rec store.Record) error {
	return d.passing(rec, pursePrefix, 1, new(purseRecord))
}

// passing checks a record of this many parts behind a prefix that can be done
// without.
func (d *side) passing(rec store.Record, prefix string, parts int, v any) error {
	if problem := decodeStrictly(rec, v); problem != "" {
		d.spare(rec, problem, "remove it")
	} else if strings.Count(strings.TrimPrefix(rec.Key, prefix), "/") != parts-1 {
		d.spare(rec, "no record of this release has such a key", "remove it")
	}
	return nil
}

// judgeRegain checks regain, which a restore wrote. Without it nobody is asked for
// what was lost.
func (d *side) judgeRegain(ctx context.Context, rec store.Record) error {
	if rec.Key != regainKey {
		return d.judgeUnknown(ctx, rec)
	}
	if problem := decodeStrictly(rec, new(regainRecord)); problem != "" {
		now := d.f.Now().UnixMilli()
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "write it again as of now", fix: d.rewriting(rec, &regainRecord{recordVersion, now})})
	}
	return nil
}

// judgeNonce checks nonce/<expires>/<node>/<nonce>.
func (d *side) judgeNonce(_ context.Context, rec store.Record) error {
	parts := strings.Split(strings.TrimPrefix(rec.Key, noncePrefix), "/")
	if _, ok := parseHex16(parts[0]); !ok || len(parts) != 3 || len(rec.Value) != 32 {
		d.spare(rec, "it is not a nonce that was spent", "remove it")
	}
	return nil
}
