package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// All sessions of an account but one end by one record, that of its vault: it counts
// eras, and a session is of the era in which it was opened. Whoever changes the
// password, or ends all other sessions, begins a new era, and only the session they
// did it in goes on. What is written after that record is derived from it: the records
// of the sessions that have ended are deleted, which tells other processes of this node.

// admits reports whether a session is open, as far as the vault of its account says.
func (r *vaultRecord) admits(s *session) bool { return s.Era == r.Era || s.hash == r.Keeper }

// admits returns wire.Unauthenticated for a session that its account's vault does not
// admit any more.
func (n *Node) admits(ctx context.Context, s *session) error {
	r, _, err := n.vault(ctx, s.Account)
	if errors.Is(err, wire.NotExist) || err == nil && !r.admits(s) {
		return unauthenticated()
	}
	if err != nil {
		return fmt.Errorf("look up the era of a session: %w", err)
	}
	return nil
}

// asks refuses somebody whose session has ended meanwhile, by what r says.
func (p *Person) asks(r *vaultRecord) error {
	if p.session != nil && !r.admits(p.session) {
		return unauthenticated()
	}
	return nil
}

// begin begins an era, in which of all sessions only that of p goes on.
func (r *vaultRecord) begin(p *Person) {
	r.Era, r.Keeper = r.Era+1, wire.Hash{}
	if p.session != nil {
		r.Keeper = p.session.hash
	}
}

// successor is the record of v, the version of a vault after current. Another password,
// another recovery code and other keys begin another era. Whoever has stolen a session
// and the keys can lock the owner out of neither: the code that they have opens a log-in
// until it signs for another one.
func (p *Person) successor(chain *keyservice.Chain, current *vaultRecord, v wire.VaultUpdate, slots *wire.Slots) (*vaultRecord, error) {
	if err := p.asks(current); err != nil {
		return nil, err
	}
	before, err := storedSlots(current.Slots)
	if err != nil {
		return nil, fmt.Errorf("vault of %s: %v", p.account, err)
	}
	next := &vaultRecord{recordVersion, v.Head, v.Slots, current.Era, current.Keeper, v.KeyStatement}
	if slots.RecoveryLogin != before.RecoveryLogin && (len(v.KeyStatement) == 0 || chain.Newest().Signer != wire.ByRecovery) {
		return nil, wire.Errorf(wire.Invalid, "slots", "only the present recovery code replaces the recovery code")
	}
	if slots.Login != before.Login || slots.RecoveryLogin != before.RecoveryLogin || len(v.KeyStatement) > 0 {
		next.begin(p)
	}
	return next, nil
}

// Sessions lists the sessions of the person that are open.
func (p *Person) Sessions(ctx context.Context) (wire.SessionsReply, error) {
	reply := wire.SessionsReply{Sessions: []wire.SessionInfo{}}
	r, _, err := p.node.vault(ctx, p.account)
	if err != nil {
		return reply, err
	}
	now := p.node.now().UnixMilli()
	seen, err := p.shelf(ctx, "", wire.MaxSessions+1, func(s *session) {
		if s.Expires > now && r.admits(s) && len(reply.Sessions) < wire.MaxSessions {
			current := p.session != nil && p.session.hash == s.hash
			reply.Sessions = append(reply.Sessions, wire.SessionInfo{ID: s.hash, Device: s.Device, Created: s.Created, Expires: s.Expires, Current: current})
		}
	})
	reply.More = seen.count > wire.MaxSessions
	slices.SortFunc(reply.Sessions, func(a, b wire.SessionInfo) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return reply, err
}

// passed is what a look at sessions came past.
type passed struct {
	count int
	next  string // where the next look begins
}

// shelf shows those of at most limit records that are sessions of the person, from a
// key on; "" for the first. One that cannot be read opens nothing, and is not shown.
func (p *Person) shelf(ctx context.Context, from string, limit int, show func(*session)) (seen passed, err error) {
	q := store.Prefix(shelfPrefix(wire.ShelfOf(p.account)))
	q.From, q.Limit = max(q.From, from), limit
	for rec, err := range p.node.own.Scan(ctx, q) {
		if err != nil {
			return seen, fmt.Errorf("list sessions: %w", err)
		}
		seen.count++
		seen.next = store.After(strings.Clone(rec.Key))
		s := new(session)
		if _, s.hash, err = parseSessionKey(rec.Key); err == nil && decodeRecord(rec, s) == nil && s.Account == p.account {
			show(s)
		}
	}
	return seen, nil
}

// EndOneSession ends the session with this id, which may be that of the person who
// asks. NotExist if they have none that is open under it.
func (p *Person) EndOneSession(ctx context.Context, id wire.Hash) error {
	none := wire.Errorf(wire.NotExist, "session", "no such session is open")
	s, err := p.node.session(ctx, wire.ShelfOf(p.account), id)
	if errors.Is(err, wire.Unauthenticated) || err == nil && s.Account != p.account {
		return none
	}
	if err != nil {
		return err
	}
	return p.node.endSession(ctx, s)
}

// EndOtherSessions ends all sessions of the person but the one that they ask in.
func (p *Person) EndOtherSessions(ctx context.Context) error {
	for range maxEraTries {
		r, rev, err := p.node.vault(ctx, p.account)
		if err != nil {
			return err
		}
		if err := p.asks(r); err != nil {
			return err
		}
		r.begin(p)
		err = p.node.own.Apply(ctx, putIf(vaultKey(p.account), r, store.IfRevision(rev)))
		p.node.door.asked.forgetAll()
		if err == nil {
			return p.endEarlier(ctx, r)
		}
		p.node.door.cache.forgetAll() // the record may be there
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return changesAllTheTime()
}

// maxEraTries is how often somebody else may be first.
const maxEraTries = 8

// endEarlier deletes the sessions that r, which is in the store, does not admit, and
// drops what is remembered of them.
func (p *Person) endEarlier(ctx context.Context, r *vaultRecord) error {
	if r.Era == 0 {
		return nil
	}
	return p.endThose(ctx, func(s *session) bool { return s.Era < r.Era && s.hash != r.Keeper })
}

// endThose deletes some of the person's sessions, and drops what is remembered of them.
func (p *Person) endThose(ctx context.Context, those func(*session) bool) error {
	n := p.node
	for from, more := "", true; more; {
		var gone []store.Change
		var hashes []wire.Hash
		seen, err := p.shelf(ctx, from, sweepBatch, func(s *session) {
			if those(s) {
				gone, hashes = append(gone, store.Change{Key: s.key()}), append(hashes, s.hash)
			}
		})
		if err == nil && len(gone) > 0 {
			err = n.own.Apply(ctx, gone...)
		}
		for _, hash := range hashes {
			n.door.cache.forget(hash)
			n.live.ended(hash)
		}
		if err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		from, more = seen.next, seen.count == sweepBatch
	}
	return nil
}
