package wire

import "testing"

func TestStream(t *testing.T) {
	id := func(n string) EntryID { return EntryID(seedOf(n)) }
	first := &EntryHeader{Seq: 1, Kind: KindEpoch, Epoch: 1, Created: 10}
	head, err := StreamHead{}.Next(first, id("1"))
	if want := (StreamHead{Seq: 1, ID: id("1"), Epoch: 1, Created: 10}); err != nil || head != want {
		t.Fatalf("got %+v, %v; want %+v", head, err, want)
	}
	post := func() *EntryHeader {
		return &EntryHeader{Seq: 2, Prev: id("1"), Kind: KindPost, Epoch: 1, Created: 10}
	}
	for _, c := range []rule[EntryHeader]{
		{"a post in the same ms", func(*EntryHeader) {}, ""},
		{"a later post", func(h *EntryHeader) { h.Created = 11 }, ""},
		{"a new epoch", func(h *EntryHeader) { h.Kind, h.Epoch = KindEpoch, 2 }, ""},
		{"a new epoch under new keys", func(h *EntryHeader) { h.Kind, h.Epoch, h.KeySeq = KindEpoch, 2, 1 }, ""},
		{"a post under new keys", func(h *EntryHeader) { h.KeySeq = 1 }, Tampered},
		{"an older post", func(h *EntryHeader) { h.Created = 9 }, Tampered},
		{"the same seq", func(h *EntryHeader) { h.Seq = 1 }, Conflict},
		{"a gap", func(h *EntryHeader) { h.Seq = 3 }, Conflict},
		{"seq 0", func(h *EntryHeader) { h.Seq = 0 }, Conflict},
		{"another previous", func(h *EntryHeader) { h.Prev = id("x") }, Conflict},
		{"an epoch not yet there", func(h *EntryHeader) { h.Epoch = 2 }, Conflict},
		{"no epoch", func(h *EntryHeader) { h.Epoch = 0 }, Conflict},
	} {
		h := post()
		c.spoil(h)
		next, err := head.Next(h, id("2"))
		wantKind(t, c.name, err, c.want)
		if err != nil && next != head {
			t.Errorf("%s: the head changed with an error", c.name)
		}
	}
}

func TestStreamGoesOn(t *testing.T) {
	var head StreamHead
	hs := []EntryHeader{
		{Kind: KindEpoch, Epoch: 1}, {Kind: KindPost, Epoch: 1}, {Kind: KindEpoch, Epoch: 3, KeySeq: 2}, {Kind: KindPost, Epoch: 3, KeySeq: 2}, {Kind: KindEpoch, Epoch: 5, KeySeq: 2},
	}
	prevEpochs := []uint64{0, 1, 1, 3, 3}
	for i := range hs {
		h := &hs[i]
		h.Seq, h.Prev = head.Seq+1, head.ID
		var err error
		if head, err = head.Next(h, EntryID(seedOf(string(rune(i))))); err != nil {
			t.Fatalf("entry %d: %v", h.Seq, err)
		}
		if head.PrevEpoch != prevEpochs[i] || head.Epoch != h.Epoch || head.KeySeq != h.KeySeq {
			t.Errorf("after entry %d: %+v", h.Seq, head)
		}
	}
	for name, h := range map[string]*EntryHeader{
		"older keys":         {Seq: 6, Prev: head.ID, Kind: KindEpoch, Epoch: 6, KeySeq: 1},
		"older keys, a post": {Seq: 6, Prev: head.ID, Kind: KindPost, Epoch: 5, KeySeq: 1},
	} {
		_, err := head.Next(h, EntryID{})
		wantKind(t, name, err, Tampered)
	}
	_, err := head.Next(&EntryHeader{Seq: 6, Prev: head.ID, Kind: KindPost, Epoch: 3, KeySeq: 2}, EntryID{})
	wantKind(t, "a post under the epoch before", err, Conflict)
}
