package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// onDisk opens a node on the embedded store.
func onDisk(b *testing.B) *testNode {
	own, err := bolt.Open(filepath.Join(b.TempDir(), "own.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { own.Close() })
	return newWorld(b).open(north, own, nil)
}

// BenchmarkPublish appends posts of 600 bytes: 64 people at once, or one.
func BenchmarkPublish(b *testing.B) {
	for _, writers := range []int{64, 1} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			n := onDisk(b)
			type writer struct {
				as      *Person
				entries []wire.Entry
			}
			list := make([]writer, writers)
			for i := range list {
				p := n.person(wire.Handle(fmt.Sprintf("p%d", i)))
				list[i].as = p.as().Person
				for range b.N/writers + 1 {
					e := p.seal(p.header(wire.KindPost), make([]byte, 600))
					p.advance(e)
					list[i].entries = append(list[i].entries, e)
				}
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for _, w := range list {
				all.Go(func() {
					for _, e := range w.entries {
						if left.Add(-1) < 0 {
							return
						}
						if _, err := w.as.Publish(context.Background(), wire.PublishRequest{Entry: e}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}

// BenchmarkFeed reads pages of 50 of somebody with 200 friends, who wrote 20
// posts each: the first page, and one behind a cursor.
func BenchmarkFeed(b *testing.B) {
	n := onDisk(b)
	streams := make([][]int64, 201)
	for i := range streams {
		for j := range 20 {
			streams[i] = append(streams[i], int64(j*1000+i*7%1000))
		}
	}
	p, _ := n.reader(b, streams)
	first, err := p.Feed(b.Context(), 50, "", "")
	if err != nil {
		b.Fatal(err)
	}
	for name, cursor := range map[string]string{"first": "", "second": first.Cursor} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if reply, err := p.Feed(b.Context(), 50, cursor, ""); err != nil || len(reply.Items) != 50 {
					b.Fatal(len(reply.Items), err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
		})
	}
}
