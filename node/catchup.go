package node

import (
	"context"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// What other processes of this node write into streams. A stream is marked when
// that is heard, and read again when it is used.

// hear marks a stream that another process wrote to. It may be new.
func (s *streams) hear(name streamName, copied bool) *stream {
	one := s.add(name, copied)
	one.heard.Add(1)
	return one
}

// forgetAll marks all streams. There may be others.
func (s *streams) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sought = make(map[wire.AccountID]bool)
	for _, one := range s.byName {
		one.heard.Add(1)
	}
}

// stream returns a stream up to what was heard, or nil.
func (n *Node) stream(ctx context.Context, name streamName) (*stream, error) {
	if err := n.seek(ctx, name.author); err != nil {
		return nil, err
	}
	s := n.streams.get(name)
	if s == nil {
		return nil, nil
	}
	return s, n.freshen(ctx, s)
}

// streamsOf returns the streams of an author that are not empty, up to what was
// heard.
func (n *Node) streamsOf(ctx context.Context, author wire.AccountID) ([]*stream, error) {
	if err := n.seek(ctx, author); err != nil {
		return nil, err
	}
	var list []*stream
	for _, s := range n.streams.of(author) {
		if err := n.freshen(ctx, s); err != nil {
			return nil, err
		}
		if s.head.Load().Seq > 0 {
			list = append(list, s)
		}
	}
	return list, nil
}

// freshen reads the newest end of a stream again, if another process wrote to it.
func (n *Node) freshen(ctx context.Context, s *stream) error {
	if s.loaded.Load() == s.heard.Load() {
		return nil
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	return n.catchUp(ctx, s)
}

// catchUp reads the newest end of a stream again if another process wrote to it,
// or something failed. The caller holds s.appending.
func (n *Node) catchUp(ctx context.Context, s *stream) error {
	heard := s.heard.Load() // before the store is read: what is heard meanwhile counts anew
	if !s.stale && s.loaded.Load() == heard {
		return nil
	}
	if err := n.loadHead(ctx, s); err != nil {
		return err
	}
	s.loaded.Store(heard)
	return nil
}

// seek looks in the stores for streams of an author, unless all are known.
func (n *Node) seek(ctx context.Context, author wire.AccountID) error {
	n.streams.mu.RLock()
	sought := n.streams.sought
	known := sought[author]
	n.streams.mu.RUnlock()
	if known {
		return nil
	}
	for _, copied := range []bool{false, true} {
		all := store.Prefix("entry/" + author.String() + "/")
		for {
			s, err := n.nextStream(ctx, copied, all)
			if err != nil {
				return err
			}
			if s == nil {
				break
			}
			s.heard.Add(1) // it may have been added just now
			all.From = store.Prefix(streamKey(s.name)).To
		}
	}
	here, err := n.isHere(ctx, author)
	if err != nil {
		return err
	}
	n.streams.mu.Lock()
	defer n.streams.mu.Unlock()
	if here || len(n.streams.byAuthor[author]) > 0 { // else it may be anybody that one can think of
		sought[author] = true // which counts for nothing, if all was forgotten meanwhile
	}
	return nil
}
