package client

import (
	"fmt"
	"maps"
	"slices"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A pastStream is a stream of one's own, put together from what nodes have copied of it.
type pastStream struct {
	stream
	entries map[uint64]placedEntry
}

// A placedEntry is a verified entry and who has shown it first.
type placedEntry struct {
	verified
	node wire.NodeName
}

func newPastStream(s stream) *pastStream {
	return &pastStream{s, make(map[uint64]placedEntry)}
}

// add puts an entry in its place, where it has to fit those beside it.
func (s *pastStream) add(node wire.NodeName, v verified) error {
	if have, ok := s.entries[v.Seq]; ok {
		if have.ID != v.ID {
			return s.tampered(wire.Errorf(wire.Tampered, "entry", "%s shows another entry %d, and both are signed", have.node, v.Seq))
		}
		return nil
	}
	before, ok := s.entries[v.Seq-1]
	if ok || v.Seq == 1 {
		if err := before.connect(v.edge); err != nil {
			return s.misfit(before, node, err)
		}
	}
	if next, ok := s.entries[v.Seq+1]; ok {
		if err := v.connect(next.edge); err != nil {
			return s.misfit(next, node, err)
		}
	}
	s.entries[v.Seq] = placedEntry{v, node}
	return nil
}

// misfit says why an entry does not stand beside another.
func (s *pastStream) misfit(other placedEntry, node wire.NodeName, err error) error {
	why := reason(err)
	if other.node != "" && other.node != node {
		why = fmt.Sprintf("it does not fit what %s shows: %s", other.node, why)
	}
	return s.tampered(wire.Errorf(wire.Tampered, "entry", "%s", why))
}

// gaps are the entries before the newest that nobody has shown.
func (s *pastStream) gaps() (list []PastGap) {
	next := uint64(1)
	for _, seq := range slices.Sorted(maps.Keys(s.entries)) {
		if seq > next {
			list = append(list, PastGap{s.Audience, next, seq - 1})
		}
		next = seq + 1
	}
	return list
}

// open opens the posts, the oldest first, and tells which do not open.
func (s *pastStream) open(selfs []seal.SelfKey) (posts []Post, problems []error) {
	keys, problems := s.epochKeys(selfs)
	closed := make(map[uint64]bool) // epochs that nothing opens
	for _, seq := range slices.Sorted(maps.Keys(s.entries)) {
		v := s.entries[seq].verified
		if v.Kind != wire.KindPost {
			continue
		}
		k := keys[v.Epoch]
		if k == nil {
			closed[v.Epoch] = true
			continue
		}
		post, err := s.openPost(v, k)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		posts = append(posts, post)
	}
	for _, epoch := range slices.Sorted(maps.Keys(closed)) {
		problems = append(problems, s.tampered(wire.Errorf(wire.Tampered, "epoch", "nothing that was shown opens the posts of epoch %d", epoch)))
	}
	return posts, problems
}

func (s *pastStream) openPost(v verified, k *epochKeys) (Post, error) {
	plain, err := seal.OpenEntry(v.h, k.content, v.entry.Body)
	if err != nil {
		return Post{}, s.unopened(fmt.Sprintf("entry %d", v.Seq), err)
	}
	text, err := decodePost(plain)
	if err != nil {
		return Post{}, s.unopened(fmt.Sprintf("entry %d", v.Seq), err)
	}
	post := s.post(v, text)
	post.Audience = ""
	return post, nil
}

// epochKeys opens the epochs, the newest first: each from its own entry by a self key, or
// by a link of a later one.
func (s *pastStream) epochKeys(selfs []seal.SelfKey) (keys map[uint64]*epochKeys, problems []error) {
	keys = make(map[uint64]*epochKeys)
	all := slices.Sorted(maps.Keys(s.entries))
	slices.Reverse(all)
	for _, seq := range all {
		v := s.entries[seq].verified
		if v.Kind != wire.KindEpoch {
			continue
		}
		body, err := s.epochBody(v)
		if err != nil {
			problems = append(problems, s.unopened(fmt.Sprintf("epoch %d", seq), err))
			continue
		}
		k := s.epochSecret(&epochEntry{v.h, body}, selfs, keys[seq])
		if k == nil {
			delete(keys, seq)
			continue
		}
		keys[seq] = k
		for _, l := range body.Links {
			at := seal.LinkPlace{Author: s.Author, Audience: s.Audience, From: seq, To: l.Epoch}
			if older, err := seal.OpenLink(k.chain, at, l.Sealed); err == nil && keys[l.Epoch] == nil {
				keys[l.Epoch] = keysOfSecret(older)
			}
		}
	}
	return keys, problems
}

// epochBody opens the body of an epoch entry. Where the entry before was not shown, the
// signed body alone says where its first link leads.
func (s *pastStream) epochBody(v verified) (*wire.EpochBody, error) {
	before := s.entries[v.Seq-1].Epoch
	if _, ok := s.entries[v.Seq-1]; !ok && v.Seq > 1 {
		var b wire.EpochBody
		if wire.DecodeCBOR("epoch", v.entry.Body, &b) == nil && len(b.Links) > 0 {
			before = b.Links[0].Epoch
		}
	}
	body, _, err := s.chain.OpenEpoch(v.h, v.entry.Body, before)
	return body, err
}

// epochSecret returns the keys of an epoch that are those of its entry, nil if nothing
// gives them.
func (s *pastStream) epochSecret(e *epochEntry, selfs []seal.SelfKey, linked *epochKeys) *epochKeys {
	at := seal.EpochPlace{Author: s.Author, Audience: s.Audience, Seq: e.h.Seq, Prev: e.h.Prev}
	for _, self := range selfs {
		secret, err := seal.OpenEpochSecret(self, at, e.body.SealedSecret)
		if err != nil {
			continue
		}
		if k := keysOfSecret(secret); e.matches(s.stream, k) == nil {
			return k
		}
	}
	if linked != nil && e.matches(s.stream, linked) == nil {
		return linked
	}
	return nil
}
