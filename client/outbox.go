package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// The outbox keeps each post on the device from before it is sent until the node
// has acknowledged it, sealed and signed: what is sent again is the same bytes.

// outboxItem is a post that waits.
type outboxItem struct {
	name string
	text string
	v    verified
	done bool
}

type outboxFile struct {
	Version uint64      `cbor:"1,keyasint"`
	Header  wire.Signed `cbor:"2,keyasint"`
	Body    []byte      `cbor:"3,keyasint"`
	Text    string      `cbor:"4,keyasint"`
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
		// Stream and vault may not be known yet, so it is opened by the keys alone.
		entry := wire.Entry{Header: f.Header, Body: f.Body}
		h, err := p.chain.OpenEntry(entry)
		if err != nil {
			continue
		}
		v := verified{edge{h.Seq, entry.ID(), h.Prev, h.Created, h.KeySeq, h.Kind, h.Epoch}, h, entry}
		items = append(items, &outboxItem{name: name, text: f.Text, v: v})
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
	f := outboxFile{1, i.v.entry.Header, i.v.entry.Body, i.text}
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
// being posted again, if one waited.
func (p *Person) flush(ctx context.Context, waiting []*outboxItem, text string) (again *outboxItem, err error) {
	for _, i := range waiting {
		err := p.deliver(ctx, i)
		if refused(err) && !errors.Is(err, wire.Throttled) && !errors.Is(err, wire.Limit) && !errors.Is(err, wire.Clock) {
			p.dropItem(i)
			return nil, wire.Errorf(wire.KindOf(err), "post", "a post that was waiting to be sent was refused (%s); it began %q", reason(err), start(i.text))
		}
		if err != nil {
			return nil, err
		}
		if i.text == text {
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
		next, err := p.compose(ctx, i.text)
		if err != nil {
			return err
		}
		i.v = next.v
		if err := p.saveItem(i); err != nil {
			return err
		}
	}
	return wire.Errorf(wire.Conflict, "post", "other devices write all the time")
}

func (p *Person) delivered(i *outboxItem) error {
	i.done = true
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
