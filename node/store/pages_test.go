package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
)

// TestPages looks at what a scan asks its backend for.
func TestPages(t *testing.T) {
	const there = 500
	for _, test := range []struct {
		limit int
		want  string // the limits of the reads
	}{
		{0, "[16 64 256 256]"}, {1, "[1]"}, {100, "[100]"}, {256, "[256]"}, {300, "[256 44]"}, {1000, "[256 256]"},
	} {
		var asked []int
		read := func(_ context.Context, q store.Query) (records []store.Record, more bool, err error) {
			asked = append(asked, q.Limit)
			for i := range there {
				if key := fmt.Sprintf("k/%03d", i); key >= q.From && len(records) < q.Limit {
					records = append(records, store.Record{Key: key})
				}
			}
			return records, len(records) == q.Limit, nil
		}
		var keys []string
		for r, err := range store.Pages(t.Context(), store.Query{Limit: test.limit}, read) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, r.Key)
		}
		if got := fmt.Sprint(asked); got != test.want {
			t.Errorf("limit %d: reads asked for %s, want %s", test.limit, got, test.want)
		}
		want := there
		if test.limit > 0 {
			want = min(there, test.limit)
		}
		if len(keys) != want || !slices.IsSorted(keys) {
			t.Errorf("limit %d: got %d records, want %d in order", test.limit, len(keys), want)
		}
	}
}

// TestPagesEnd breaks a scan off, and lets one fail in its second read.
func TestPagesEnd(t *testing.T) {
	reads, broken := 0, errors.New("broken")
	read := func(_ context.Context, q store.Query) ([]store.Record, bool, error) {
		if reads++; reads == 2 {
			return nil, false, broken
		}
		return make([]store.Record, q.Limit), true, nil
	}
	for range store.Pages(t.Context(), store.Query{}, read) {
		break
	}
	if reads != 1 {
		t.Errorf("a scan that was broken off read %d times, want 1", reads)
	}
	reads = 0
	var errs []error
	for _, err := range store.Pages(t.Context(), store.Query{}, read) {
		errs = append(errs, err)
	}
	if len(errs) != 17 || errs[15] != nil || errs[16] != broken {
		t.Errorf("got %d times something, at last %v, want 16 records and then %v", len(errs), errs[len(errs)-1], broken)
	}
}
