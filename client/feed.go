package client

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// FeedOptions bound a page. Limit 0 means 20.
type FeedOptions struct {
	Limit  int
	Before string // FeedPage.Cursor of the page before, "" for the newest
}

const defaultLimit = 20

// copyAge is how old a copy may be before a page says so.
const copyAge = 5 * time.Minute

// A FeedPage is posts from the newest to the oldest. Problems are about streams
// whose entries contradict each other or what was verified before: nothing
// that they concern is among the posts.
type FeedPage struct {
	Posts    []Post
	Cursor   string   // for the next page, "" at the end
	Notices  []string // for people: what is shown from a copy, what a node lags behind
	Problems []error  // kind wire.Tampered, mostly
	Hidden   int      // posts from before a friendship that was made without the past
}

// begin makes sure that there is a vault to go by.
func (p *Person) begin(ctx context.Context) error {
	if p.vault.vault == nil {
		return p.refreshVault(ctx)
	}
	return nil
}

// Feed returns a page of what this person may read, newest first. Entries that
// contradict each other or what was seen before hide their stream, and nothing
// else: page.Problems says why.
func (p *Person) Feed(ctx context.Context, o FeedOptions) (page FeedPage, err error) {
	err = p.do(ctx, func() error {
		if err := p.begin(ctx); err != nil {
			return err
		}
		f := &feedReader{p: p, walks: make(map[streamID]*walk), whole: o.Before == ""}
		f.sendWaiting(ctx)
		f.goOn(o.Before)
		err := f.read(ctx, o)
		if err == nil {
			err = f.finish(ctx)
		}
		if err != nil || f.less || len(f.page.Problems) > 0 {
			p.cache.hear(wire.FeedReply{All: true}) // what was told may be wrong: everything is to be told again
		}
		if err != nil {
			return err
		}
		page = f.page
		return p.keep(o.Before, page)
	})
	return page, err
}

// limit is how many posts o asks for.
func (o FeedOptions) limit() int {
	if o.Limit <= 0 {
		return defaultLimit
	}
	return o.Limit
}

// Read returns a page of what one friend, or this person, has written, newest
// first. It fails where Feed reports a problem. NotExist for somebody who is no
// friend.
func (p *Person) Read(ctx context.Context, who wire.Address, o FeedOptions) (page FeedPage, err error) {
	err = p.do(ctx, func() error {
		if err := p.begin(ctx); err != nil {
			return err
		}
		s, err := p.streamAt(ctx, who)
		if err != nil {
			return err
		}
		w, before, err := walkFrom(s, o.Before)
		if err != nil {
			return err
		}
		page, err = p.readDown(ctx, w, before, 0, o.limit())
		if errors.Is(err, wire.NotExist) {
			page, err = p.closed(ctx, s)
		}
		if err != nil {
			return err
		}
		return p.merge(ctx, w)
	})
	if err != nil {
		return FeedPage{}, err
	}
	return page, nil
}

// closed says why a stream that is open to this person is not there: the
// friendship has ended, or the keys have not arrived. One's own was there if it
// was ever seen.
func (p *Person) closed(ctx context.Context, s stream) (FeedPage, error) {
	if t := p.cache.track(s.streamID); t != nil && s.own {
		return FeedPage{}, rolledBack(s, 0, t.Top.Seq)
	}
	if err := p.lookAgain(ctx); err != nil {
		return FeedPage{}, err
	}
	if !s.own && stateOf(p.vault.friendAt(s.address)) != wire.StateFriend {
		return FeedPage{}, notFriend(s.address)
	}
	return FeedPage{Notices: []string{unreadable(s.address)}}, nil
}

func notFriend(who wire.Address) error {
	return wire.Errorf(wire.NotExist, "friend", "%s is not your friend", who)
}

func unreadable(who wire.Address) string {
	return "the posts of " + who.String() + " cannot be read at the moment"
}

// streamAt returns the stream of this person or of a friend.
func (p *Person) streamAt(ctx context.Context, who wire.Address) (stream, error) {
	if who == p.session.Address {
		return p.ownStream(), nil
	}
	if f := p.vault.friendAt(who); stateOf(f) != wire.StateFriend {
		if err := p.lookAgain(ctx); err != nil {
			return stream{}, err
		}
	}
	f := p.vault.friendAt(who)
	if stateOf(f) != wire.StateFriend {
		return stream{}, notFriend(who)
	}
	return streamOf(f), nil
}

// A cursor of Read is the seq of the last entry of a page, a dot and the id of
// the entry before it, where the next page begins.
func cursorOf(low edge) string { return number(low.Seq) + "." + low.Prev.String() }

// walkFrom begins a walk at a cursor of Read.
func walkFrom(s stream, cursor string) (*walk, uint64, error) {
	w := &walk{s: s}
	if cursor == "" {
		return w, maxSeq, nil
	}
	seq, prev, _ := strings.Cut(cursor, ".")
	before, err := strconv.ParseUint(seq, 10, 53)
	id, err2 := wire.ParseEntryID(prev)
	if err != nil || err2 != nil || before < 2 || number(before) != seq {
		return nil, 0, wire.Errorf(wire.Invalid, "before", "this is no cursor of an earlier page")
	}
	w.want = &id
	return w, before, nil
}

// readDown goes down one stream below a seq until there are enough posts, or what
// is above another seq has been read. Where that is not the beginning, w has the
// head that the node tells of, and no more is asked for than there is up to it.
func (p *Person) readDown(ctx context.Context, w *walk, before, above uint64, limit int) (page FeedPage, err error) {
	ask := limit
	if above > 0 {
		ask = min(limit, int(w.head-above))
	}
	for ; before > above+1 && len(page.Posts) < limit; ask *= 2 { // where posts are closed, there are few
		ask = min(ask, wire.MaxPage)
		entries, r, err := p.runBefore(ctx, w.s, before, ask)
		if err != nil {
			return page, err
		}
		if before == maxSeq {
			if err := p.behind(w, r); err != nil {
				return page, err
			}
			page.Notices = p.notices(w.s, r.Head, r.AsOf)
		}
		if len(entries) == 0 {
			return page, nil
		}
		for _, v := range reversed(entries) {
			if len(page.Posts) == limit || v.Seq <= above {
				break
			}
			if err := p.step(w, v); err != nil {
				return page, err
			}
			if err := p.addPost(ctx, w, v, &page); err != nil {
				return page, err
			}
		}
		before = w.low.Seq
	}
	if w.low != nil && w.low.Seq > 1 {
		page.Cursor = cursorOf(*w.low)
	}
	return page, nil
}

// addPost opens v if it is a post, and counts it where it is closed.
func (p *Person) addPost(ctx context.Context, w *walk, v verified, page *FeedPage) error {
	if v.Kind != wire.KindPost {
		return nil
	}
	newest := p.newestEpoch(w.s, w.high.Epoch)
	post, err := p.openPost(ctx, w.s, v, newest)
	switch {
	case errors.Is(err, errNoAccess) && !w.loose && w.want == nil && p.cache.keys[epochID{w.s.streamID, newest}] == nil:
		page.note(withheld(w.s.address))
	case errors.Is(err, errNoAccess):
		page.Hidden++
	case err != nil:
		return err
	default:
		page.Posts = append(page.Posts, post)
	}
	return nil
}

// note adds a notice, once.
func (page *FeedPage) note(notice string) {
	if !slices.Contains(page.Notices, notice) {
		page.Notices = append(page.Notices, notice)
	}
}

// withheld is said where the newest keys of a stream are missing: a node shows a
// stream only to those for whom it has them.
func withheld(who wire.Address) string {
	return "the node shows posts of " + who.String() + " and not the keys to them"
}

// behind refuses the own stream when it is shorter than what was seen before. That
// of a friend may be so for a while: their node was restored, and they have not
// logged in yet, or it is a copy that is made anew. What is there is shown.
func (p *Person) behind(w *walk, r wire.StreamReply) error {
	if t := p.cache.track(w.s.streamID); t != nil && r.Head < t.Top.Seq && w.s.own {
		return rolledBack(w.s, r.Head, t.Top.Seq)
	}
	return nil
}

func rolledBack(s stream, head, seen uint64) error {
	err := wire.Errorf(wire.Tampered, "entry", "the posts of %s were rolled back: the node shows %d entries of %d that were seen before", s.address, head, seen)
	if !s.own {
		return err
	}
	return &rolledBackError{err}
}

// copied reports whether the home node has only a copy of s.
func (p *Person) copied(s stream) bool { return s.address.Node != p.session.Address.Node }

// notices says what a friend's stream may lack.
func (p *Person) notices(s stream, head uint64, asOf int64) (list []string) {
	if t := p.cache.track(s.streamID); t != nil && head < t.Top.Seq && !s.own {
		list = append(list, "the node is behind with "+s.address.String()+": it shows less than was seen here before")
	}
	if at := time.UnixMilli(asOf); p.copied(s) && asOf > 0 && p.c.now().Sub(at) > copyAge {
		list = append(list, "the posts of "+s.address.String()+" are shown as of "+at.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return list
}
