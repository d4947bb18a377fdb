package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// leftoverAge is how old a registration has to be to count as one that came to
// nothing.
const leftoverAge = time.Hour

// decode reads a record strictly, and returns what is wrong with it, or "".
func decodeStrictly(rec store.Record, v any) string {
	if rec.Value == nil {
		return "its bytes are damaged"
	}
	if err := wire.DecodeCBOR("record", rec.Value, v); err != nil {
		return fmt.Sprintf("it cannot be read: %v", err)
	}
	if !bytes.Equal(rec.Value[1:3], []byte{1, byte(recordVersion)}) { // key 1 is the first of all records
		return fmt.Sprintf("it is not of version %d", recordVersion)
	}
	return ""
}

// get reads a record that another one names. What is there and cannot be read is
// named where it is checked itself: it counts as neither.
func (d *side) get(ctx context.Context, key string, v any) (there, legible bool, err error) {
	rec, err := d.s.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return false, false, nil
	case errors.Is(err, store.ErrDamaged):
		return true, false, nil
	case err != nil:
		return false, false, err
	}
	return true, decodeStrictly(rec, v) == "", nil
}

// A heldChain is what can be verified of somebody's key statements.
type heldChain struct {
	chain *keyservice.Chain // up to the first that is wrong; nil: not even that
	there bool              // there are statements
	whole bool              // and nothing is wrong with them
	apart bool              // the newest stands in the record of the vault alone

	at      int // number of the first that is wrong
	problem string
}

// newest is the last statement, as it was signed.
func (h *heldChain) newest() wire.Signed {
	all := h.chain.Statements()
	return all[len(all)-1]
}

// chainsSize is about how much memory the chains of each store may take, those of
// 8,000 people: friendships lie in the order of one of the two, so that the keys of
// the others are asked for at random.
const chainsSize = 64 << 20 // bytes

// weight is about how many bytes a chain takes, its statements as they are and
// decoded.
func (h *heldChain) weight() int {
	if h.chain == nil {
		return 256
	}
	return 256 + 8<<10*int(h.chain.Newest().Seq+1)
}

// chain returns somebody's keys in this store.
func (d *side) chain(ctx context.Context, account wire.AccountID) (*heldChain, error) {
	if h, ok := d.chains.get(account); ok {
		return h, nil
	}
	if d.s == nil {
		return new(heldChain), nil
	}
	h := &heldChain{whole: true}
	next := 0
	for rec, err := range d.s.Scan(ctx, store.Prefix(statementsKey(account))) {
		if rec, err = d.readable(rec, err); err != nil {
			return nil, err
		}
		h.there = true
		if !h.whole {
			break
		}
		h.add(account, next, rec)
		next++
	}
	h.whole = h.whole && h.there
	if d.name == "own" && h.whole {
		if err := d.addApart(ctx, account, h); err != nil {
			return nil, err
		}
	}
	d.chains.add(account, h)
	return h, nil
}

// addApart takes in the statement that the record of the vault commits, if it follows.
func (d *side) addApart(ctx context.Context, account wire.AccountID, h *heldChain) error {
	var r vaultRecord
	if _, legible, err := d.get(ctx, vaultKey(account), &r); err != nil || !legible || len(r.Statement) == 0 {
		return err
	}
	if longer, err := h.chain.Append(r.Statement); err == nil {
		h.chain, h.apart = longer, true
	}
	return nil
}

// add takes in the statement that is to be number next.
func (h *heldChain) add(account wire.AccountID, next int, rec store.Record) {
	fail := func(problem string) { h.whole, h.at, h.problem = false, next, problem }
	if rec.Key != statementsKey(account)+hex16(uint64(next)) {
		fail("the statement is missing")
		return
	}
	var r statementRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		fail(problem)
		return
	}
	var longer *keyservice.Chain
	var err error
	if next == 0 {
		longer, err = keyservice.ParseChain([]wire.Signed{r.Statement})
	} else {
		longer, err = h.chain.Append(r.Statement)
	}
	switch {
	case err != nil:
		fail(fmt.Sprintf("the statement does not verify: %v", err))
	case longer.Account() != account:
		fail("the statement founds another account")
	default:
		h.chain = longer
	}
}

// who names somebody: their address where it is known.
func (d *side) who(ctx context.Context, account wire.AccountID) string {
	for _, side := range []*side{d.f.own, d.f.copies} {
		if h, err := side.chain(ctx, account); err == nil && h.chain != nil {
			return h.chain.Address().String()
		}
	}
	return account.String()
}

// lost notes what somebody signed, or only their node can have, and cannot be
// made again.
func (d *side) lost(ctx context.Context, key string, account wire.AccountID, problem string, args ...any) {
	d.wrong(Finding{Key: key, Problem: fmt.Sprintf(problem, args...), Person: d.who(ctx, account)})
}

// openKeysCheck checks the key statements of one account.
func openKeysCheck(d *side, group string) groupCheck { return &keysCheck{d: d, group: group} }

type keysCheck struct {
	d     *side
	group string
	keys  int
}

func (c *keysCheck) record(ctx context.Context, rec store.Record) error {
	text, _ := strings.CutPrefix(rec.Key, c.group+"/")
	if _, ok := parseHex16(text); !ok {
		c.d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a key statement", Repair: "remove it", fix: c.d.removal(rec)})
		return nil
	}
	c.keys++
	return nil
}

func (c *keysCheck) end(ctx context.Context) error {
	account, err := wire.ParseAccountID(strings.TrimPrefix(c.group, "key/"))
	if err != nil {
		c.d.wrong(Finding{Key: c.group, Problem: "its key names no account"})
		return nil
	}
	h, err := c.d.chain(ctx, account)
	if err != nil || c.keys == 0 {
		return err
	}
	if !h.whole {
		one := Finding{Key: statementsKey(account) + hex16(uint64(h.at)), Problem: h.problem, Person: c.d.who(ctx, account)}
		if c.d.name == "copies" {
			one.Repair, one.fix = "drop these keys: they are fetched again", c.d.dropping(c.group+"/")
		}
		c.d.wrong(one)
		return nil
	}
	if c.d.name == "copies" {
		return nil
	}
	if node := h.chain.Newest().Node; node != c.d.f.report.Name {
		c.d.lost(ctx, statementsKey(account)+hex16(0), account, "the keys are for node %q, not %q", node, c.d.f.report.Name)
	}
	if h.apart {
		c.d.judgeApart(h)
	}
	return c.d.judgeRegistered(ctx, account, h.chain)
}

// judgeApart notes a statement that an interruption has left in the record of the vault.
func (d *side) judgeApart(h *heldChain) {
	key := statementsKey(h.chain.Account()) + hex16(h.chain.Newest().Seq)
	d.wrong(Finding{
		Key: key, Problem: "the statement stands in the record of the vault alone: the node puts it here before the next version", Leftover: true,
		Person: h.chain.Address().String(), Repair: "write it from there", fix: d.applies(put(key, &statementRecord{recordVersion, h.newest()})),
	})
}

// dropping is the repair that removes all records of the copies under a prefix.
func (d *side) dropping(prefix string) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			var changes []store.Change
			q := store.Prefix(prefix)
			q.Limit = 256
			for rec, err := range d.s.Scan(ctx, q) {
				if rec, err = d.readable(rec, err); err != nil {
					return err
				}
				changes = append(changes, store.Change{Key: strings.Clone(rec.Key)})
			}
			if len(changes) == 0 {
				return nil
			}
			if err := d.s.Apply(ctx, changes...); err != nil {
				return err
			}
		}
	}
}

// parseHex16 reads what hex16 wrote.
func parseHex16(s string) (uint64, bool) {
	v, err := strconv.ParseUint(s, 16, 64)
	return v, err == nil && hex16(v) == s
}

// judgeRegistered looks at who has keys, and is registered under no handle: a
// registration that came to nothing, or somebody whose handle was lost.
func (d *side) judgeRegistered(ctx context.Context, account wire.AccountID, chain *keyservice.Chain) error {
	handle := chain.Newest().Handle
	var r handleRecord
	there, legible, err := d.get(ctx, handleKey(handle), &r)
	if err != nil {
		return err
	}
	if legible && r.Account == account {
		return d.judgeLogged(ctx, chain)
	}
	lived, err := d.lived(ctx, account, chain)
	if err != nil {
		return err
	}
	switch {
	case lived && !legible:
		d.wrong(Finding{
			Key: handleKey(handle), Problem: "the handle is missing, or cannot be read", Person: chain.Address().String(),
			Repair: "write it again from the keys", fix: d.applies(put(handleKey(handle), &handleRecord{Version: recordVersion, Account: account})),
		})
	case lived:
		d.lost(ctx, handleKey(handle), account, "it names another account than the one that was registered under it")
	case !there || legible:
		if d.f.Now().Sub(time.UnixMilli(chain.Newest().Created)) < leftoverAge {
			return nil // it may be under way
		}
		d.wrong(Finding{
			Key: statementsKey(account) + hex16(0), Problem: "a registration that came to nothing", Leftover: true,
			Repair: "remove it", fix: func(ctx context.Context) error { return d.removeRegistration(ctx, account) },
		})
	}
	return nil
}

// judgeLogged looks for somebody whose newest statement has no leaf in the log. Nobody
// was shown it since the node keeps one.
func (d *side) judgeLogged(ctx context.Context, chain *keyservice.Chain) error {
	if shown, err := d.showsLog(ctx, new(logIdentity)); err != nil || !shown {
		return err
	}
	there, _, err := d.get(ctx, findKey(chain.NewestHash()), new(placeRecord))
	if err == nil && !there {
		d.wrong(Finding{
			Key: statementsKey(chain.Account()) + hex16(chain.Newest().Seq), Problem: "the statement is not in the log yet: the node adds it when it is asked for the keys",
			Leftover: true, Person: chain.Address().String(),
		})
	}
	return err
}

// lived reports whether somebody did anything that only the registered can do.
func (d *side) lived(ctx context.Context, account wire.AccountID, chain *keyservice.Chain) (bool, error) {
	if chain.Newest().Seq > 0 {
		return true, nil
	}
	a := account.String()
	for _, prefix := range []string{devicePrefix(account), "entry/" + a + "/", friendsKey(account), "wrap/" + a + "/", vheadsKey(account) + hex16(2)} {
		key, err := lowestKey(ctx, d.s, store.Prefix(prefix))
		if err != nil || key != "" {
			return true, err
		}
	}
	return false, nil
}

func vheadsKey(a wire.AccountID) string { return "vhead/" + a.String() + "/" }

// removeRegistration removes what was written before the handle was found taken.
func (d *side) removeRegistration(ctx context.Context, account wire.AccountID) error {
	if err := d.s.Apply(ctx, store.Change{Key: accountKey(account)}, store.Change{Key: vaultKey(account)}); err != nil {
		return err
	}
	for _, prefix := range []string{"sealed/" + account.String() + "/", vheadsKey(account), statementsKey(account)} {
		if err := d.dropping(prefix)(ctx); err != nil {
			return err
		}
	}
	return nil
}

// judgeHandle checks handle/<handle>, and what a registered person has.
func (d *side) judgeHandle(ctx context.Context, rec store.Record) error {
	handle := wire.Handle(strings.TrimPrefix(rec.Key, "handle/"))
	if _, err := wire.ParseHandle(string(handle)); err != nil {
		d.wrong(Finding{Key: rec.Key, Problem: "its key names no handle"})
		return nil
	}
	var r handleRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		return d.judgeLostHandle(ctx, rec, handle, problem)
	}
	h, err := d.chain(ctx, r.Account)
	if err != nil {
		return err
	}
	switch {
	case h.there && h.chain == nil:
		return nil // which is named there
	case !h.there:
		return d.judgeLostHandle(ctx, rec, handle, "it names an account that has no keys")
	case h.chain.Newest().Handle != handle:
		return d.judgeLostHandle(ctx, rec, handle, fmt.Sprintf("it names the account of %q", h.chain.Newest().Handle))
	case len(r.Tombstone) > 0:
		return d.judgeGone(ctx, rec, &r, h)
	}
	var a accountRecord
	there, legible, err := d.get(ctx, accountKey(r.Account), &a)
	if err != nil {
		return err
	}
	if !there || legible && a.Handle != handle {
		d.wrong(Finding{
			Key: accountKey(r.Account), Problem: "it does not name the handle of the account", Person: d.who(ctx, r.Account),
			Repair: "write it again from the handle", fix: d.applies(put(accountKey(r.Account), &accountRecord{recordVersion, handle})),
		})
	}
	if there, _, err = d.get(ctx, vaultKey(r.Account), new(vaultRecord)); err == nil && !there {
		d.lost(ctx, vaultKey(r.Account), r.Account, "the vault is missing")
	}
	return err
}

// judgeLostHandle notes a handle that is wrong. Whoever has lived under it has it.
func (d *side) judgeLostHandle(ctx context.Context, rec store.Record, handle wire.Handle, problem string) error {
	one := Finding{Key: rec.Key, Problem: problem, Person: string(handle)}
	for held, err := range d.s.Scan(ctx, store.Prefix("account/")) {
		if held, err = d.readable(held, err); err != nil {
			return err
		}
		var a accountRecord
		account, err := wire.ParseAccountID(strings.TrimPrefix(held.Key, "account/"))
		if err != nil || decodeStrictly(held, &a) != "" || a.Handle != handle {
			continue
		}
		h, err := d.chain(ctx, account)
		if err != nil {
			return err
		}
		if h.chain == nil || h.chain.Newest().Handle != handle {
			continue
		}
		if lived, err := d.lived(ctx, account, h.chain); err != nil {
			return err
		} else if lived {
			one.Repair, one.fix = "write it again from the keys", d.rewriting(rec, &handleRecord{Version: recordVersion, Account: account})
		}
	}
	d.wrong(one)
	return nil
}

// judgeAccount checks account/<account>. What the handle says is checked there.
func (d *side) judgeAccount(ctx context.Context, rec store.Record) error {
	account, err := wire.ParseAccountID(strings.TrimPrefix(rec.Key, "account/"))
	if err != nil {
		d.wrong(Finding{Key: rec.Key, Problem: "its key names no account"})
		return nil
	}
	h, err := d.chain(ctx, account)
	if err != nil || h.there && h.chain == nil {
		return err
	}
	if h.chain == nil {
		return d.unverified(ctx, account, h)
	}
	var r accountRecord
	problem := decodeStrictly(rec, &r)
	if problem == "" && r.Handle != h.chain.Newest().Handle {
		problem = "it does not name the handle of the account"
	}
	if problem != "" {
		d.wrong(Finding{
			Key: rec.Key, Problem: problem, Person: d.who(ctx, account), Repair: "write it again from the keys",
			fix: d.rewriting(rec, &accountRecord{recordVersion, h.chain.Newest().Handle}),
		})
	}
	return nil
}
