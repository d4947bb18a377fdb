package wire

// A StreamHead is what has to be known of a stream to judge the next entry. The
// zero value is an empty stream.
type StreamHead struct {
	Seq       uint64  // of the newest entry
	ID        EntryID // of the newest entry
	Epoch     uint64  // seq of the newest epoch entry
	PrevEpoch uint64  // the Epoch before the newest entry: what an epoch entry's first link must name
	Created   int64   // of the newest entry, ms
	KeySeq    uint64  // of the newest entry
}

// Next returns the head after the entry with header h and id, or why it cannot
// follow: Conflict when another entry was first, Tampered when the chain is
// broken. The signature of h must be verified already.
func (s StreamHead) Next(h *EntryHeader, id EntryID) (StreamHead, error) {
	switch {
	case h.Seq != s.Seq+1 || h.Prev != s.ID:
		return s, Errorf(Conflict, "entry", "entry %d does not follow entry %d of the stream", h.Seq, s.Seq)
	case h.Created < s.Created:
		return s, Errorf(Tampered, "entry", "it claims to be older than the entry before")
	case h.KeySeq < s.KeySeq:
		return s, Errorf(Tampered, "entry", "it is signed under older keys than the entry before")
	case h.KeySeq > s.KeySeq && h.Kind != KindEpoch:
		return s, Errorf(Tampered, "entry", "a change of keys begins with a new epoch")
	case h.Kind != KindEpoch && h.Epoch != s.Epoch:
		return s, Errorf(Conflict, "entry", "it is written under epoch %d, the newest is %d", h.Epoch, s.Epoch)
	}
	return StreamHead{Seq: h.Seq, ID: id, Epoch: h.Epoch, PrevEpoch: s.Epoch, Created: h.Created, KeySeq: h.KeySeq}, nil
}
