package wire

import (
	"slices"
	"strconv"
)

// Pages of the feed are most of what a node sends, and consist of the same parts
// again and again. So a part can keep its JSON: a page is then put together by
// copying, to the very bytes that it would be encoded to (TestFeedEncoding).

// Keep returns i with its JSON beside it. It must not be changed any more.
func (i FeedItem) Keep() FeedItem {
	i.kept = EncodeJSON(i)
	return i
}

// Keep returns s with its JSON beside it, but for Head and AsOf: they may change,
// the others may not.
func (s StreamStatus) Keep() StreamStatus {
	s.kept = s.beginning()
	return s
}

func (s *StreamStatus) beginning() []byte {
	return []byte(`{"author":"` + s.Author.String() + `","audience":"` + s.Audience.String() + `","head":`)
}

func (i *FeedItem) append(b []byte) []byte {
	if i.kept == nil {
		return append(b, EncodeJSON(i)...)
	}
	return append(b, i.kept...)
}

func (s *StreamStatus) append(b []byte) []byte {
	if s.kept == nil {
		b = append(b, s.beginning()...)
	} else {
		b = append(b, s.kept...)
	}
	b = append(strconv.AppendUint(b, s.Head, 10), `,"as_of":`...)
	return append(strconv.AppendInt(b, s.AsOf, 10), '}')
}

// append is AppendJSON for pages of the feed.
func (r *FeedReply) append(b []byte) []byte {
	const room = 256 // for a status, and for what is around the parts
	size := 2*room + len(r.Cursor) + room*len(r.Streams)
	for i := range r.Items {
		size += 1 + len(r.Items[i].kept)
	}
	b = append(slices.Grow(b, size), `{"items":[`...)
	for i := range r.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.Items[i].append(b)
	}
	b = append(b, ']')
	if r.Cursor != "" {
		b = append(b, `,"cursor":`...)
		b = appendText(b, r.Cursor)
	}
	b = append(b, `,"streams":[`...)
	for i := range r.Streams {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.Streams[i].append(b)
	}
	b = strconv.AppendBool(append(b, `],"all":`...), r.All)
	return append(appendText(append(b, `,"state":`...), r.State), '}')
}

// appendText quotes a cursor or a state.
func appendText(b []byte, s string) []byte { return appendQuote(b, s) }
