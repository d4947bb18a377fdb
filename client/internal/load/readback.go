package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// readBack reads what was acknowledged: each post once by its author and once by
// a friend, of as many authors as it takes to have so many posts.
func (c *checker) readBack(ctx context.Context, most int) {
	if ctx.Err() != nil {
		c.sum.Skipped = "the run was interrupted"
		return
	}
	var authors []*person
	planned, count := uint64(0), uint64(0)
	for _, i := range rand.Perm(len(c.crowd.people)) {
		p := c.crowd.people[i]
		if written := p.acked - p.before; written > 0 {
			if c.sum.Acknowledged += written; planned < uint64(most) {
				planned += written
				authors = append(authors, p)
			}
		}
	}
	c.sum.Sampled = planned < c.sum.Acknowledged
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var told pace
	begin, work := time.Now(), make(chan *person)
	for range setters {
		all.Go(func() {
			for author := range work {
				c.author(ctx, author)
				c.mu.Lock()
				if count++; int(count) == len(authors) || told.due(time.Since(begin)) {
					c.crowd.tell("reading back: %d of %d authors", count, len(authors))
				}
				c.mu.Unlock()
			}
		})
	}
	for _, p := range authors {
		work <- p
	}
	close(work)
	all.Wait()
}

// author reads what p wrote, as p and as a friend.
func (c *checker) author(ctx context.Context, p *person) {
	own, friend := c.stream(ctx, p, p, p.content), c.crowd.friendOf(p)
	c.add(&c.sum.ReadBack, own)
	if friend == nil || own < int(p.acked-p.before) { // what is not there for its author has no need to arrive
		return
	}
	key, err := c.opens(ctx, friend, p)
	switch {
	case err == nil:
		c.add(&c.sum.ByFriends, c.stream(ctx, friend, p, key))
	case wire.KindOf(err) == wire.NotExist || wire.KindOf(err) == wire.Tampered:
		c.violated(lost, "%s has no wrap that opens what %s writes: %v", friend.address(), p.address(), err)
	default:
		c.add(&c.sum.Unchecked, 1)
	}
}

// friendOf is a friend of p, on another node if there is one.
func (c *crowd) friendOf(p *person) (found *person) {
	for number := range p.friends {
		if found == nil || found.home == p.home {
			found = c.people[number]
		}
	}
	return found
}

// patiently asks until there is an answer, or the time is over that news may take
// to a friend, and a node to answer again, once the load is off.
func (c *checker) patiently(ctx context.Context, ask func(ctx context.Context) (enough bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.settle)
	defer cancel()
	for {
		enough, err := ask(ctx)
		if err == nil && enough {
			return nil
		}
		if pause(ctx, 10*nextLook) != nil {
			return err
		}
	}
}

// opens gets the key of author's epoch as a friend does: by the wrap.
func (c *checker) opens(ctx context.Context, friend, author *person) (key seal.ContentKey, err error) {
	at := seal.WrapPlace{
		Author: author.account, Audience: author.audience, Commitment: author.content.Commitment(),
		Reader: friend.account, Key: wire.Hash(friend.account),
	}
	err = c.patiently(ctx, func(ctx context.Context) (bool, error) {
		var w wire.Wrap
		path := fmt.Sprintf("/v1/wraps/%s/%s/%s", at.Author, at.Audience, at.Commitment)
		if _, err := friend.call(ctx, http.MethodGet, path, nil, &w); err != nil {
			return false, err
		}
		var err error
		key, _, err = seal.OpenWrap(friend.encryption, at, w.Sealed)
		return true, err
	})
	return key, err
}

// stream reads as reader what author wrote in this run, and returns how many of
// the acknowledged posts are as they were written.
func (c *checker) stream(ctx context.Context, reader, author *person, key seal.ContentKey) (good int) {
	next, who := author.before+1, fmt.Sprintf("%s, read by %s", author.address(), reader.address())
	for next <= author.acked {
		var reply wire.StreamReply
		err := c.patiently(ctx, func(ctx context.Context) (bool, error) {
			path := fmt.Sprintf("/v1/streams/%s/%s?after=%d", author.account, author.audience, next-1)
			reply = wire.StreamReply{}
			_, err := reader.call(ctx, http.MethodGet, path, nil, &reply)
			return reader == author || reply.Head >= author.acked, err
		})
		if err != nil {
			c.add(&c.sum.Unchecked, 1)
			return good
		}
		if reply.Head > author.mayHave() {
			c.violated(doubled, "%s: entry %d was never written, the last is %d", who, reply.Head, author.mayHave())
		}
		if len(reply.Entries) == 0 {
			c.violated(lost, "%s: entries %d to %d were acknowledged, the newest is %d", who, next, author.acked, reply.Head)
			return good
		}
		from := next
		for _, e := range reply.Entries {
			seq, ok := c.entry(author, e, key, who)
			switch {
			case seq == 0: // nobody knows which it is
				continue
			case seq < next:
				c.violated(doubled, "%s: entry %d comes again", who, seq)
				continue
			case seq > next:
				c.violated(lost, "%s: entry %d was acknowledged and left out", who, next)
			}
			if next = seq + 1; ok && seq <= author.acked {
				good++
			}
		}
		if next == from {
			return good // the same question has no better answer
		}
	}
	return good
}

// mayHave is the seq of the newest entry that the node can have: one may have
// been stored without an answer.
func (p *person) mayHave() uint64 { return min(p.stream.Seq, p.acked+1) }

// entry opens one entry and compares its text with what was written.
func (c *checker) entry(author *person, e wire.Entry, key seal.ContentKey, who string) (seq uint64, ok bool) {
	h, err := wire.OpenEntry(e, author.identity.Public())
	if err != nil {
		c.violated(changed, "%s: %v", who, err)
		return 0, false
	}
	plain, err := seal.OpenEntry(h, key, e.Body)
	var content postContent
	if err == nil {
		err = wire.DecodeCBOR("post", plain, &content)
	}
	if err != nil || content.Text != c.crowd.text(author.number, h.Seq) {
		c.violated(changed, "%s: entry %d is not what was written (%v)", who, h.Seq, err)
		return h.Seq, false
	}
	return h.Seq, true
}
