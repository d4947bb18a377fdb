package store

import (
	"context"
	"iter"
)

// A Snapshotter is a Store that can show all of its records as they are at one
// moment. It is what a backup reads; a Store need not be one.
type Snapshotter interface {
	// Snapshot returns all records in order, as they were when the sequence was
	// begun to be ranged over: what an Apply wrote before it returned is there,
	// and nothing that an Apply begins to write after. An error is yielded once,
	// with an empty Record, and ends the sequence; ErrClosed where the store was
	// closed before.
	//
	// Others read and write meanwhile. Unlike Scan, it holds something of the
	// store until it ends (a backend says what), and Close waits for it, so the
	// consumer must not dawdle, nor close the store from the loop. Records may
	// share memory, as those of Scan may.
	Snapshot(ctx context.Context) iter.Seq2[Record, error]
}
