package node

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

// streamCheck checks the entries of one stream, in their order.
type streamCheck struct {
	d     *side
	group string
	name  streamName
	known bool // whose it is
	held  *heldChain

	at    wire.StreamHead // with the entry before
	sure  bool            // at is known; it is not behind an entry that is wrong
	gap   gapRecord       // of a copy: what need not be there
	times [2]int64        // arrival of the two entries before, the later last
	last  *entryRecord    // the entry before
	todo  []Finding       // what may be undone of the newest entry
}

func openStreamCheck(d *side, group string) groupCheck {
	c := &streamCheck{d: d, group: group, sure: true}
	c.name, c.known = parseStream(strings.TrimPrefix(group, "entry/"))
	return c
}

// parseStream reads <author>/<audience>.
func parseStream(s string) (name streamName, ok bool) {
	author, audience, _ := strings.Cut(s, "/")
	var err error
	if name.author, err = wire.ParseAccountID(author); err != nil {
		return name, false
	}
	name.audience, err = wire.ParseAudienceID(audience)
	return name, err == nil
}

// wrong notes a finding about the stream. A copy is dropped as a whole.
func (c *streamCheck) wrong(ctx context.Context, one Finding) {
	one.Person = c.d.who(ctx, c.name.author)
	if c.d.name == "copies" && c.known {
		one.Repair = "drop the copy of the stream: it is fetched again"
		one.fix = func(ctx context.Context) error { return dropStream(ctx, c.d.s, c.name) }
	}
	c.d.wrong(one)
}

func (c *streamCheck) record(ctx context.Context, rec store.Record) (err error) {
	seq, ok := parseHex16(strings.TrimPrefix(rec.Key, c.group+"/"))
	if !c.known || !ok || seq == 0 {
		c.d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of an entry"})
		return nil
	}
	if c.held == nil {
		if c.held, err = c.d.chain(ctx, c.name.author); err != nil {
			return err
		}
		if c.gap, err = c.d.gapIn(ctx, c.name); err != nil {
			return err
		}
	}
	if !c.held.there && c.d.name == "copies" {
		c.wrong(ctx, Finding{Key: statementsKey(c.name.author) + hex16(0), Problem: "the keys of the author of a stream are missing"})
		return nil
	}
	if c.held.chain == nil {
		return c.d.unverified(ctx, c.name.author, c.held)
	}
	if seq < c.gap.From && seq != c.gap.Epoch {
		return nil // nobody reads it: it is about to go, or not all are back yet
	}
	c.flush(ctx, false)
	if next := c.at.Seq + 1; seq > next && seq <= c.gap.From {
		c.sure = false
	} else if seq > next {
		c.wrong(ctx, Finding{Key: entryKey(c.name, next), Problem: fmt.Sprintf("the entries from %d to %d are missing", next, seq-1)})
		c.sure = false
	}
	r := new(entryRecord)
	if problem := decodeStrictly(rec, r); problem != "" {
		return c.spoiled(ctx, rec, seq, problem)
	}
	h, err := c.held.chain.OpenEntry(r.entry())
	switch {
	case err != nil && !c.held.whole:
		c.d.loose++
		c.at, c.sure = wire.StreamHead{Seq: seq}, false
		return nil
	case err != nil:
		return c.spoiled(ctx, rec, seq, fmt.Sprintf("it does not verify: %v", err))
	case h.Author != c.name.author || h.Audience != c.name.audience || h.Seq != seq:
		return c.spoiled(ctx, rec, seq, "it is another entry than its key says")
	}
	return c.opened(ctx, rec, r, h)
}

// spoiled notes an entry that is wrong. The one behind it follows it somehow.
func (c *streamCheck) spoiled(ctx context.Context, rec store.Record, seq uint64, problem string) error {
	c.wrong(ctx, Finding{Key: rec.Key, Problem: problem})
	c.at, c.sure = wire.StreamHead{Seq: seq}, false
	return nil
}

// opened looks at an entry that its author signed: whether it follows the one
// before, and what the record says beside what was signed.
func (c *streamCheck) opened(ctx context.Context, rec store.Record, r *entryRecord, h *wire.EntryHeader) error {
	id := r.entry().ID()
	if !c.sure { // what is behind a gap counts as right if it agrees with itself
		c.at = wire.StreamHead{Seq: h.Seq - 1, ID: h.Prev, Epoch: h.Epoch, Created: h.Created, KeySeq: h.KeySeq}
		if h.Kind == wire.KindEpoch {
			c.at.Epoch = firstLink(r.Body)
		}
	}
	after, err := c.at.Next(h, id)
	if err != nil {
		return c.spoiled(ctx, rec, h.Seq, fmt.Sprintf("it does not follow the entry before: %v", err))
	}
	var body wire.EpochBody
	if h.Kind == wire.KindEpoch {
		opened, _, err := c.held.chain.OpenEpoch(h, r.Body, c.at.Epoch)
		if err != nil {
			return c.spoiled(ctx, rec, h.Seq, fmt.Sprintf("its epoch does not verify: %v", err))
		}
		body = *opened
	}
	c.judgeRepeated(ctx, rec, r, h, body.Content)
	if err := c.judgeEnds(ctx, rec, r, h); err != nil {
		return err
	}
	c.at, c.sure, c.last = after, true, r
	return c.judgeOwnID(ctx, id)
}

// firstLink returns the epoch before by what the body of an epoch says.
func firstLink(body []byte) uint64 {
	var b wire.EpochBody
	if wire.DecodeOwn("epoch", body, &b) != nil || len(b.Links) == 0 {
		return 0
	}
	return b.Links[0].Epoch
}

// judgeRepeated compares what a record repeats of what was signed, and looks at
// the time of arrival. Both can be made again: a time that never falls, from the
// entries around it.
func (c *streamCheck) judgeRepeated(ctx context.Context, rec store.Record, r *entryRecord, h *wire.EntryHeader, content wire.Commitment) {
	fixed := *r
	fixed.Kind, fixed.Epoch, fixed.PrevEpoch, fixed.Created, fixed.KeySeq, fixed.Content = h.Kind, h.Epoch, c.at.Epoch, h.Created, h.KeySeq, content
	problem := ""
	if string(wire.EncodeCBOR(&fixed)) != string(wire.EncodeCBOR(r)) {
		problem = "it does not repeat what was signed"
	}
	latest := c.d.f.Now().Add(wire.MaxSkew).UnixMilli()
	switch before := c.times; {
	case r.Arrival > latest, r.Arrival < h.Created-wire.MaxSkew.Milliseconds(), r.Arrival < before[0]:
		problem = cmp.Or(problem, "its time of arrival cannot be")
		fixed.Arrival = max(before[1], min(h.Created, latest))
	case r.Arrival < before[1] && c.last != nil: // it is the one before that is wrong
		earlier := *c.last
		earlier.Arrival = max(before[0], min(earlier.Created, r.Arrival))
		key := entryKey(c.name, h.Seq-1)
		c.wrong(ctx, Finding{
			Key: key, Problem: "its time of arrival is after that of the next entry", Repair: "write the record again",
			fix: c.d.applies(put(key, &earlier)),
		})
		c.times[1] = earlier.Arrival
	}
	c.times = [2]int64{c.times[1], fixed.Arrival}
	if problem != "" {
		c.wrong(ctx, Finding{Key: rec.Key, Problem: problem, Repair: "write the record again", fix: c.d.rewriting(rec, &fixed)})
		*r = fixed
	}
}

// judgeEnds checks the ends that an entry commits, and that the friendRecords
// have them. Those of the newest entry may wait for the next start.
func (c *streamCheck) judgeEnds(ctx context.Context, rec store.Record, r *entryRecord, h *wire.EntryHeader) error {
	if len(r.Ends) > 0 && (h.Kind != wire.KindEpoch || c.d.name == "copies") {
		c.wrong(ctx, Finding{Key: rec.Key, Problem: "it commits ends, which it cannot"})
		return nil
	}
	for _, e := range r.Ends {
		s, err := openStatement(c.held.chain, wire.FriendStatement{Kind: wire.FriendEnd, Statement: e.Statement})
		if err != nil || s.to != e.Other {
			c.wrong(ctx, Finding{Key: rec.Key, Problem: "an end that it commits does not verify"})
			continue
		}
		p := pair{c.name.author, e.Other}
		var f friendRecord
		there, legible, err := c.d.get(ctx, friendKey(p), &f)
		if err != nil {
			return err
		}
		switch {
		case !there:
			c.d.lost(ctx, friendKey(p), p.me, "entry %d ends a friendship of which the record is missing", h.Seq)
		case legible && f.Friendship.Me == p.me && f.Friendship.Other == p.other && !hasEnd(&f.Friendship, s.end):
			c.todo = append(c.todo, Finding{
				Key: friendKey(p), Problem: fmt.Sprintf("the end that entry %d commits is not in it", h.Seq), Repair: "take it in",
				fix: func(ctx context.Context) error { return c.d.takeEnd(ctx, p, s) },
			})
		}
	}
	return nil
}

// hasEnd reports whether a friendship took an end in.
func hasEnd(f *wire.Friendship, end *wire.End) bool {
	with := *f
	return with.AddEnd(end) == nil && string(wire.EncodeCBOR(&with)) == string(wire.EncodeCBOR(f))
}

// takeEnd takes an end that an entry commits into its author's friendRecord.
func (d *side) takeEnd(ctx context.Context, p pair, s *said) error {
	var r friendRecord
	rev, err := read(ctx, d.s, friendKey(p), &r)
	if err != nil {
		return err
	}
	if err := r.add(s, parties{pair: p}, true); err != nil {
		return err
	}
	r.Queue = append(r.Queue, queuedRecord{s.Kind, s.Statement})
	return d.s.Apply(ctx, put(deliverKey(r.Node, p), &deliverRecord{recordVersion}), putIf(friendKey(p), &r, store.IfRevision(rev)))
}

// judgeOwnID checks that the entry is found by its id.
func (c *streamCheck) judgeOwnID(ctx context.Context, id wire.EntryID) error {
	want := idRecord{recordVersion, c.name.author, c.name.audience, c.at.Seq}
	var r idRecord
	there, legible, err := c.d.get(ctx, idKey(id), &r)
	if err != nil || legible && r == want {
		return err
	}
	one := Finding{
		Key: idKey(id), Problem: fmt.Sprintf("entry %d is not found by its id", c.at.Seq), Repair: "write it again from the entry",
		fix: c.d.applies(idChange(c.name, c.at.Seq, id)),
	}
	if there {
		c.wrong(ctx, one)
	} else {
		c.todo = append(c.todo, one)
	}
	return nil
}

// flush names what was not done after an entry was committed: for the newest, an
// interruption is enough to explain it, and the next start does it.
func (c *streamCheck) flush(ctx context.Context, newest bool) {
	for _, one := range c.todo {
		one.Leftover = newest
		c.wrong(ctx, one)
	}
	c.todo = nil
}

func (c *streamCheck) end(ctx context.Context) error {
	c.flush(ctx, true)
	return nil
}

// judgeID checks id/<entry>: the entry is where it says. That each entry has its
// id is checked with the entry.
func (d *side) judgeID(ctx context.Context, rec store.Record) error {
	id, err := wire.ParseEntryID(strings.TrimPrefix(rec.Key, "id/"))
	var r idRecord
	problem := ""
	if err != nil {
		problem = "its key names no entry"
	} else {
		problem = decodeStrictly(rec, &r)
	}
	if problem != "" {
		d.wrong(Finding{Key: rec.Key, Problem: problem, Repair: "remove it: no entry needs it", fix: d.removal(rec)})
		return nil
	}
	name := streamName{r.Author, r.Audience}
	if d.f.named[d.name+" "+rec.Key] || d.f.named[d.name+" "+entryKey(name, r.Seq)] {
		return nil
	}
	var e entryRecord
	there, legible, err := d.get(ctx, entryKey(name, r.Seq), &e)
	switch {
	case err != nil || there && !legible:
		return err
	case legible && e.entry().ID() != id:
		d.wrong(Finding{Key: rec.Key, Problem: "the entry that it names has another id", Repair: "remove it: no entry needs it", fix: d.removal(rec)})
	case !there:
		return d.lostEntry(ctx, name, r.Seq, rec)
	}
	return nil
}

// lostEntry notes an entry of which only its id is left.
func (d *side) lostEntry(ctx context.Context, name streamName, seq uint64, id store.Record) error {
	if d.name == "copies" {
		d.wrong(Finding{Key: id.Key, Problem: "the entry that it names is missing", Repair: "drop it", fix: d.removal(id)})
		return nil
	}
	d.lost(ctx, entryKey(name, seq), name.author, "the entry is missing, only its id is there: %s", id.Key)
	return nil
}

// wrapsCheck checks the wraps of one stream.
type wrapsCheck struct {
	d       *side
	group   string
	name    streamName
	known   bool // whose they are
	epochs  map[wire.Commitment]bool
	all     bool // epochs are all that there are
	started bool
}

func openWrapsCheck(d *side, group string) groupCheck {
	c := &wrapsCheck{d: d, group: group}
	c.name, c.known = parseStream(strings.TrimPrefix(group, "wrap/"))
	return c
}

// findEpochs goes from the newest epoch down.
func (c *wrapsCheck) findEpochs(ctx context.Context) error {
	c.started, c.epochs = true, map[wire.Commitment]bool{}
	q := store.Prefix(streamKey(c.name))
	q.Reverse, q.Limit = true, 1
	var at uint64
	for rec, err := range c.d.s.Scan(ctx, q) {
		if rec, err = c.d.readable(rec, err); err != nil {
			return err
		}
		var r entryRecord
		if decodeStrictly(rec, &r) != "" || c.d.f.named[c.d.name+" "+rec.Key] {
			return nil
		}
		at = r.Epoch
	}
	for at != 0 {
		var r entryRecord
		_, legible, err := c.d.get(ctx, entryKey(c.name, at), &r)
		if err != nil || !legible || r.PrevEpoch >= at || c.d.f.named[c.d.name+" "+entryKey(c.name, at)] {
			return err
		}
		c.epochs[r.Content] = true
		at = r.PrevEpoch
	}
	c.all = true
	return nil
}

func (c *wrapsCheck) record(ctx context.Context, rec store.Record) error {
	parts := strings.Split(strings.TrimPrefix(rec.Key, c.group+"/"), "/")
	var commitment wire.Commitment
	var reader wire.AccountID
	ok := c.known && len(parts) == 2
	if ok {
		_, err := wire.ParseAccountID(parts[1])
		ok = err == nil && commitment.UnmarshalText([]byte(parts[0])) == nil && reader.UnmarshalText([]byte(parts[1])) == nil
	}
	if !ok {
		c.d.wrong(Finding{Key: rec.Key, Problem: "its key is not that of a wrap"})
		return nil
	}
	if !c.started {
		if err := c.findEpochs(ctx); err != nil {
			return err
		}
	}
	problem, err := c.problem(ctx, rec, reader)
	if err != nil {
		return err
	}
	if problem != "" {
		c.d.lost(ctx, rec.Key, c.name.author, "%s", problem)
		return nil
	}
	if c.all && !c.epochs[commitment] {
		one := Finding{Key: rec.Key, Problem: "a wrap of an epoch that was not published", Leftover: true}
		if c.d.name == "copies" {
			one.Repair, one.fix = "remove it", c.d.removal(rec)
		}
		c.d.wrong(one)
	}
	return nil
}

// problem returns what is wrong with a wrap. Only its reader can look inside.
func (c *wrapsCheck) problem(ctx context.Context, rec store.Record, reader wire.AccountID) (string, error) {
	var r wrapRecord
	if problem := decodeStrictly(rec, &r); problem != "" {
		return problem, nil
	}
	if err := (wire.Wrap{Reader: reader, Key: r.Key, Sealed: r.Sealed}).Check(); err != nil {
		return fmt.Sprintf("it is no wrap: %v", err), nil
	}
	held, err := c.d.f.own.chain(ctx, reader) // of people elsewhere, not all keys may be known here
	if err != nil || !held.whole || hasKeys(held.chain, r.Key) {
		return "", err
	}
	return "it is sealed to keys that its reader never had", nil
}

// hasKeys reports whether a key statement of the chain has this hash.
func hasKeys(chain *keyservice.Chain, hash wire.Hash) bool {
	for seq := uint64(0); seq <= chain.Newest().Seq; seq++ {
		if _, h, err := chain.At(seq); err == nil && h == hash {
			return true
		}
	}
	return false
}

func (c *wrapsCheck) end(context.Context) error { return nil }
