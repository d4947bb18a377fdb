package story_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The kinds of faults.
const (
	lost    = "lost"
	doubled = "doubled"
	wrong   = "wrong"
)

// A fault is something that does not agree with what was acknowledged.
type fault struct{ kind, text string }

func (f *fault) Error() string { return f.kind + ": " + f.text }

func (w *witness) fault(kind, format string, args ...any) error {
	return &fault{kind, string(w.handle) + ": " + fmt.Sprintf(format, args...)}
}

// check compares what the node has with what was acknowledged: all that is new
// since the last time, or everything.
func (w *witness) check(whole bool) error {
	checks := []func(bool) error{w.checkRepeated, w.checkStream, w.checkVault, w.checkSessions, w.checkOthers}
	for _, check := range checks {
		if err := check(whole); err != nil {
			return err
		}
	}
	w.checked = len(w.entries)
	return nil
}

// checkRepeated looks for the newest entry by its id, and sends it again, and a
// log-in that was answered.
func (w *witness) checkRepeated(whole bool) error {
	newest := w.entries[len(w.entries)-1].id
	var item wire.FeedItem
	there, err := w.get("/v1/posts/"+newest.String(), &item)
	if err == nil && (!there || item.Entry.ID() != newest) {
		err = w.fault(lost, "entry %d is not found by its id", len(w.entries))
	}
	if err != nil {
		return err
	}
	if w.last != nil {
		status, body, err := w.exchange(w.last.request)
		if err != nil {
			return err
		}
		if status != http.StatusOK || !bytes.Equal(body, w.last.answer) {
			return w.fault(lost, "entry %d, sent again: status %d, %s, not %s", len(w.entries), status, body, w.last.answer)
		}
	}
	if w.spent == nil || !whole {
		return nil
	}
	status, _, err := w.exchange(w.spent)
	w.spent = nil
	if err == nil && status == http.StatusOK {
		err = w.fault(doubled, "a challenge opened two sessions")
	}
	return err
}

// checkStream reads the stream: byte by byte what was acknowledged, in order,
// and nothing else.
func (w *witness) checkStream(whole bool) error {
	from := max(0, w.checked-3)
	if whole {
		from = 0
	}
	for {
		var reply wire.StreamReply
		if _, err := w.get(w.streamPath(fmt.Sprintf("limit=100&after=%d", from)), &reply); err != nil {
			return err
		}
		if reply.Head < uint64(len(w.entries)) {
			return w.fault(lost, "the stream ends at entry %d, %d were acknowledged", reply.Head, len(w.entries))
		}
		if reply.Head > uint64(len(w.entries)) {
			return w.fault(doubled, "the stream ends at entry %d, %d were acknowledged", reply.Head, len(w.entries))
		}
		for _, e := range reply.Entries {
			if err := w.checkEntry(from+1, e); err != nil {
				return err
			}
			from++
		}
		if from == len(w.entries) {
			return nil
		}
		if len(reply.Entries) == 0 {
			return w.fault(lost, "entry %d is missing", from+1)
		}
	}
}

// checkEntry compares an entry with the one that was acknowledged under a number.
func (w *witness) checkEntry(seq int, e wire.Entry) error {
	if seq < 1 || seq > len(w.entries) {
		return w.fault(doubled, "entry %d, %d were acknowledged", seq, len(w.entries))
	}
	if known := w.entries[seq-1]; e.ID() != known.id || sumOf(e) != known.sum {
		return w.fault(lost, "entry %d is another one", seq)
	}
	return nil
}

// checkItem compares an entry as it stands in a feed, and returns its number.
func (w *witness) checkItem(i wire.FeedItem) (uint64, error) {
	h, err := wire.OpenEntry(i.Entry, w.identity.Public())
	if err != nil {
		return 0, w.fault(wrong, "an entry in a feed: %v", err)
	}
	if err := w.checkEntry(int(h.Seq), i.Entry); err != nil {
		return 0, err
	}
	if arrival := w.entries[h.Seq-1].arrival; arrival != 0 && i.Position != min(h.Created, arrival) {
		return 0, w.fault(wrong, "entry %d stands at %d in a feed, made at %d and arrived at %d", h.Seq, i.Position, h.Created, arrival)
	}
	return h.Seq, nil
}

// checkVault compares the newest vault, and the chain of its heads.
func (w *witness) checkVault(whole bool) error {
	r, err := w.newestVault()
	if err != nil {
		return err
	}
	if r.Head.Hash(wire.LabelVaultHead) != w.vaults[len(w.vaults)-1] || wire.VaultHash(r.Vault) != w.sealed || !bytes.Equal(r.Slots, w.slots) {
		return w.fault(lost, "the vault is not version %d", len(w.vaults))
	}
	for after := 0; whole && after < len(w.vaults); {
		var reply wire.VaultReply
		if _, err := w.get(fmt.Sprintf("%s?after=%d", wire.PathVault, after), &reply); err != nil {
			return err
		}
		if len(reply.Heads) == 0 || after+len(reply.Heads) > len(w.vaults) {
			return w.fault(lost, "%d heads after version %d, the newest is %d", len(reply.Heads), after, len(w.vaults))
		}
		for _, head := range reply.Heads {
			if head.Hash(wire.LabelVaultHead) != w.vaults[after] {
				return w.fault(lost, "version %d of the vault was another one", after+1)
			}
			after++
		}
	}
	return nil
}

// checkSessions asks whether sessions are open that should be, and the others
// are not: those that ended last, or all.
func (w *witness) checkSessions(whole bool) error {
	for _, o := range w.open {
		status, body, err := w.exchange(w.with(o.token, "GET", wire.PathSession))
		if err != nil {
			return err
		}
		var reply wire.SessionReply
		if status != http.StatusOK || wire.DecodeJSON(body, &reply) != nil || reply.Account != w.account || reply.Expires != o.expires {
			return w.fault(lost, "a session: status %d, %s", status, body)
		}
	}
	for i, token := range w.ended {
		if !whole && i < len(w.ended)-3 {
			continue
		}
		status, _, err := w.exchange(w.with(token, "GET", wire.PathSession))
		if err != nil {
			return err
		}
		if status != http.StatusUnauthorized {
			return w.fault(lost, "a session that was ended: status %d", status)
		}
	}
	return nil
}

// checkOthers looks for those who were registered, the newest or all, and lets
// the newest log in and read their vault.
func (w *witness) checkOthers(whole bool) error {
	for i := len(w.others) - 1; i >= 0 && (whole || i >= len(w.others)-2); i-- {
		found, err := w.finds(w.others[i])
		if err != nil {
			return err
		}
		if !found {
			return w.fault(lost, "%s was registered", w.others[i].handle)
		}
	}
	if len(w.others) == 0 {
		return nil
	}
	o := &witness{member: w.others[len(w.others)-1], c: w.c}
	defer func() { w.c = o.c }()
	if o.token.IsZero() {
		d, err := o.logsIn()
		if err != nil {
			return err
		}
		status, body, err := o.exchange(d.request)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return o.fault(lost, "logs in: status %d, %s", status, body)
		}
		if err := d.done(body); err != nil {
			return err
		}
		o.token = o.open[0].token
	}
	o.vaults = []wire.Hash{o.vault.Hash(wire.LabelVaultHead)}
	var reply wire.VaultReply
	there, err := o.get(wire.PathVault, &reply)
	if err == nil && (!there || reply.Record == nil || reply.Record.Head.Hash(wire.LabelVaultHead) != o.vaults[0]) {
		err = o.fault(lost, "the first vault")
	}
	return err
}

// checkFriendship compares the records that a node has of its people's sides,
// and demands that both agree where they are of one node.
func (c *couple) checkFriendship(s *server) error {
	for i, w := range c.people {
		if w.home != s {
			continue
		}
		f, err := w.friendship(c.people[1-i])
		if err != nil {
			return err
		}
		for kind, said := range w.made {
			if !holds(f, kind, said) {
				return w.fault(lost, "the %s to %s", kind, c.people[1-i].handle)
			}
		}
		if w.state != "" && f.State != w.state {
			return w.fault(lost, "%s with %s, %s was acknowledged", f.State, c.people[1-i].handle, w.state)
		}
	}
	if c.people[0].home == s && c.people[1].home == s {
		return c.agree()
	}
	return nil
}

// agree waits until what each of the two said has arrived at the other.
func (c *couple) agree() error {
	last := func(list []wire.Signed) wire.Signed {
		if len(list) == 0 {
			return nil
		}
		return list[len(list)-1]
	}
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(startLook) {
		f, err := c.people[0].friendship(c.people[1])
		if err != nil {
			return err
		}
		g, err := c.people[1].friendship(c.people[0])
		if err != nil {
			return err
		}
		if f.Undelivered+g.Undelivered == 0 && f.State == mirrored(g.State) &&
			bytes.Equal(f.OfferMade, g.OfferGot) && bytes.Equal(g.OfferMade, f.OfferGot) &&
			bytes.Equal(f.AcceptMade, g.AcceptGot) && bytes.Equal(g.AcceptMade, f.AcceptGot) &&
			bytes.Equal(last(f.EndsMade), last(g.EndsGot)) && bytes.Equal(last(g.EndsMade), last(f.EndsGot)) {
			return nil
		}
		if time.Now().After(deadline) {
			return c.people[0].fault(lost, "what was said between %s and %s has not arrived: %s with %d to deliver, %s with %d",
				c.people[0].handle, c.people[1].handle, f.State, f.Undelivered, g.State, g.Undelivered)
		}
	}
}

// mirrored is a friendship as the other side has to see it.
func mirrored(s wire.FriendState) wire.FriendState {
	switch s {
	case wire.StateOutgoing:
		return wire.StateIncoming
	case wire.StateIncoming:
		return wire.StateOutgoing
	}
	return s
}

// A hub is a friend of all, on one of the nodes, who reads their feed.
type hub struct {
	*witness
	heads map[wire.AccountID]uint64 // the newest entry that was seen of each
}

// checkFeed compares the newest page of the feed, or some more, and the end of
// each stream: of people of the same node all is there, of others as much as
// before at least.
func (h *hub) checkFeed(people map[wire.AccountID]*witness, pages int) error {
	seen, cursor := map[wire.EntryID]bool{}, ""
	for page := range pages {
		var reply wire.FeedReply
		if _, err := h.get(wire.PathFeed+"?limit=100"+cursor, &reply); err != nil {
			return err
		}
		for _, i := range reply.Items {
			w := people[i.Author]
			if w == nil {
				return h.fault(wrong, "an entry of somebody unknown")
			}
			seq, err := w.checkItem(i)
			if err != nil {
				return err
			}
			if seen[i.Entry.ID()] {
				return w.fault(doubled, "entry %d stands in the feed twice", seq)
			}
			seen[i.Entry.ID()] = true
		}
		for _, s := range reply.Streams {
			if w := people[s.Author]; page == 0 && w != nil {
				if err := h.checkHead(w, s.Head); err != nil {
					return err
				}
			}
		}
		if reply.Cursor == "" {
			break
		}
		cursor = "&before=" + reply.Cursor
	}
	return nil
}

func (h *hub) checkHead(w *witness, head uint64) error {
	switch {
	case head > uint64(len(w.entries)):
		return w.fault(doubled, "entry %d is in a feed, %d were acknowledged", head, len(w.entries))
	case w.home == h.home && head < uint64(len(w.entries)), head < h.heads[w.account]:
		return w.fault(lost, "the feed of %s ends at entry %d; %d were acknowledged, %d were there before", h.handle, head, len(w.entries), h.heads[w.account])
	}
	h.heads[w.account] = head
	return nil
}

// checkWrap compares the wrap that somebody has for the hub.
func (h *hub) checkWrap(w *witness) error {
	want, ok := w.wrapped[h.account]
	if !ok {
		return nil
	}
	var got wire.Wrap
	there, err := h.get(w.wrapPath(w.content), &got)
	if err == nil && (!there || sha256.Sum256(got.Sealed) != want) {
		err = w.fault(lost, "the wrap for %s", h.handle)
	}
	return err
}

// catchesUp waits until the copy of a stream of another node is whole, and
// compares it.
func (h *hub) catchesUp(w *witness) error {
	for from, deadline := 0, time.Now().Add(newsArrive); from < len(w.entries); {
		var reply wire.StreamReply
		if _, err := h.get(w.streamPath(fmt.Sprintf("limit=100&after=%d", from)), &reply); err != nil {
			return err
		}
		for _, e := range reply.Entries {
			if err := w.checkEntry(from+1, e); err != nil {
				return err
			}
			from++
		}
		if len(reply.Entries) == 0 {
			if time.Now().After(deadline) {
				return w.fault(lost, "the copy for %s ends at entry %d of %d", h.handle, from, len(w.entries))
			}
			time.Sleep(nextLook)
		}
	}
	return nil
}
