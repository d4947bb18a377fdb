package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The outbox keeps each post on the device from before it is sent until the node
// has acknowledged it, sealed and signed: what is sent again is the same bytes. A draft
// (draft.go) is there before it is sealed and signed too.

// outboxItem is a post that waits.
type outboxItem struct {
	name    string
	text    string
	key     string // of a draft
	written int64  // a draft, ms since 1970
	v       verified
	done    bool
}

// composed reports whether i is sealed and signed: it may be at the node.
func (i *outboxItem) composed() bool { return i.v.h != nil }

type outboxFile struct {
	Version uint64      `cbor:"1,keyasint"`
	Header  wire.Signed `cbor:"2,keyasint"` // empty for a draft that was not sealed yet
	Body    []byte      `cbor:"3,keyasint"`
	Text    string      `cbor:"4,keyasint"`
	Draft   string      `cbor:"5,keyasint,omitempty"` // its key
	Written int64       `cbor:"6,keyasint,omitzero"`
}

// outbox lists what waits, oldest first. An item that does not open belongs to
// an earlier session, whose key is gone.
func (p *Person) outbox() ([]*outboxItem, error) {
	names, err := p.c.device.List(fileOutbox)
	if err != nil {
		return nil, deviceError(err)
	}
	var items []*outboxItem
	for _, name := range names {
		var f outboxFile
		b := p.loadSealed(name)
		if b == nil || wire.DecodeCBOR("outbox", b, &f) != nil || f.Version != 1 {
			continue
		}
		i := &outboxItem{name: name, text: f.Text, key: f.Draft, written: f.Written}
		if len(f.Header) == 0 && f.Draft != "" {
			items = append(items, i)
			continue
		}
		// Stream and vault may not be known yet, so it is opened by the keys alone.
		entry := wire.Entry{Header: f.Header, Body: f.Body}
		h, err := p.chain.OpenEntry(entry)
		if err != nil {
			continue
		}
		i.v = verified{edge{h.Seq, entry.ID(), h.Prev, h.Created, h.KeySeq, h.Kind, h.Epoch}, h, entry}
		items = append(items, i)
	}
	return items, nil
}

// saveItem keeps an item, a new one after all others.
func (p *Person) saveItem(i *outboxItem) error {
	if i.name == "" {
		names, err := p.c.device.List(fileOutbox)
		if err != nil {
			return deviceError(err)
		}
		next := uint64(1)
		if n := len(names); n > 0 {
			next = fromHex16(names[n-1][len(fileOutbox):]) + 1
		}
		i.name = fileOutbox + hex16(next)
	}
	f := outboxFile{1, i.v.entry.Header, i.v.entry.Body, i.text, i.key, i.written}
	return p.saveSealed(i.name, wire.EncodeCBOR(&f))
}

func (p *Person) dropItem(i *outboxItem) error {
	if err := p.c.device.Delete(i.name); err != nil {
		return deviceError(err)
	}
	return nil
}

func (i *outboxItem) postOrNone(p *Person) Post {
	if i == nil || !i.done {
		return Post{}
	}
	return p.ownStream().post(i.v, i.text)
}

// flush sends what waits, in order. It returns the item with a text that is
// being posted again, if one waited. What comes of drafts is in p.drafts.
func (p *Person) flush(ctx context.Context, waiting []*outboxItem, text string) (again *outboxItem, err error) {
	for _, i := range waiting {
		err := p.deliver(ctx, i)
		if refused(err) && !errors.Is(err, wire.Throttled) && !errors.Is(err, wire.Limit) && !errors.Is(err, wire.Clock) {
			p.dropItem(i)
			if i.key != "" {
				p.drafts = append(p.drafts, Sent{Key: i.key, Err: err})
				continue
			}
			return nil, wire.Errorf(wire.KindOf(err), "post", "a post that was waiting to be sent was refused (%s); it began %q", reason(err), start(i.text))
		}
		if err != nil {
			return nil, err
		}
		if i.text == text && i.key == "" {
			again = i
		}
	}
	return again, nil
}

// hex16 writes n so that names sort as their numbers do.
func hex16(n uint64) string { return fmt.Sprintf("%016x", n) }

// fromHex16 is 0 for what hex16 has not written.
func fromHex16(s string) uint64 {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// start is the beginning of a text, for an error.
func start(text string) string {
	for n := range text {
		if n > 40 {
			return text[:n] + "..."
		}
	}
	return text
}

// deliver sends an item until it is in the stream: as it is, or, where another
// device's entry is in its place, made anew with the next seq.
func (p *Person) deliver(ctx context.Context, i *outboxItem) error {
	if !i.composed() {
		if err := p.composeItem(ctx, i); err != nil {
			return err
		}
	}
	for range maxTries {
		if p.arrived[i.v.ID] {
			return p.delivered(i)
		}
		err := p.publish(ctx, i.v, nil)
		if err == nil {
			return p.delivered(i)
		}
		if !errors.Is(err, wire.Conflict) {
			return err
		}
		if err := p.overtaken(ctx, i.v); err != nil {
			return err
		}
		if err := p.ready(ctx); err != nil {
			return err
		}
		if in, err := p.inStream(ctx, i.v); err != nil {
			return err
		} else if in {
			return p.delivered(i)
		}
		if err := p.composeItem(ctx, i); err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Conflict, "post", "other devices write all the time")
}

// composeItem seals and signs the text of an item for the next place in the own stream.
func (p *Person) composeItem(ctx context.Context, i *outboxItem) error {
	next, err := p.compose(ctx, i.text)
	if err != nil {
		return err
	}
	i.v = next.v
	return p.saveItem(i)
}

func (p *Person) delivered(i *outboxItem) error {
	i.done = true
	post := i.postOrNone(p)
	if i.key != "" {
		if err := p.rememberDraft(i.key, post); err != nil {
			return err
		}
		p.drafts = append(p.drafts, Sent{Key: i.key, Post: post})
	}
	if err := p.keepNew([]Post{post}); err != nil {
		return err
	}
	return p.dropItem(i)
}

// inStream reports whether the node has v already: its acknowledgement was lost.
func (p *Person) inStream(ctx context.Context, v verified) (bool, error) {
	if p.arrived[v.ID] {
		return true, nil
	}
	s := p.ownStream()
	if t := p.cache.track(s.streamID); t == nil || t.Top.Seq < v.Seq {
		return false, nil
	}
	at, _, err := p.runAfter(ctx, s, v.Seq-1, 1)
	if err != nil {
		return false, err
	}
	return len(at) > 0 && at[0].ID == v.ID, nil
}
