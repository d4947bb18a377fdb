package store

import (
	"context"
	"iter"
)

// A scan with a limit asks for as many records at once, up to maxPage; one
// without starts with firstPage, because it may be broken off early, and then
// asks for ever more.
const (
	firstPage = 16
	maxPage   = 256
)

// Pages is for backends: it makes a Scan of reads of single batches. Read
// returns the first records that q selects, at most q.Limit of them, which is
// 1 or more, and whether there may be others behind them, in which case it
// returns at least one. Nothing has to stay open from one call to the next.
func Pages(ctx context.Context, q Query, read func(ctx context.Context, q Query) (records []Record, more bool, err error)) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := q.Check(); err != nil {
			yield(Record{}, err)
			return
		}
		rest, left := q, q.Limit
		for size := firstPage; ; size = min(4*size, maxPage) {
			rest.Limit = size
			if left > 0 {
				rest.Limit = min(left, maxPage)
			}
			records, more, err := read(ctx, rest)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if left -= len(records); !more || left == 0 {
				return
			}
			last := records[len(records)-1].Key
			if q.Reverse {
				rest.To = last
			} else {
				rest.From = After(last)
			}
		}
	}
}
