package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

// benchMiB is the size of the store that BenchmarkBackup copies, 16 MiB unless
// BACKUP_BENCH says otherwise: BACKUP_BENCH=1024 for 1 GiB.
func benchMiB(b *testing.B) int {
	v := os.Getenv("BACKUP_BENCH")
	if v == "" {
		return 16
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		b.Fatalf("BACKUP_BENCH: %q was found, MiB were expected", v)
	}
	return n
}

// BenchmarkBackup copies a store into a file, and makes it again of the file, all
// to the disk, with records as posts of 600 bytes have them.
func BenchmarkBackup(b *testing.B) {
	c := DefaultConfig()
	c.Data = filepath.Join(b.TempDir(), "data")
	fillStore(b, c.Data, benchMiB(b)<<20)
	dir := b.TempDir()
	first := filepath.Join(dir, "first")
	report, err := Backup(context.Background(), c, first, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, do := range map[string]func(i int) error{
		"backup": func(i int) error {
			file := filepath.Join(dir, fmt.Sprint(i))
			_, err := Backup(context.Background(), c, file, nil)
			return thenRemove(err, file)
		},
		"restore": func(i int) error {
			r := c
			r.Data = filepath.Join(dir, fmt.Sprint("restored", i))
			_, err := Restore(context.Background(), r, first, nil)
			return thenRemove(err, r.Data)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(report.Bytes)
			for i := 0; b.Loop(); i++ {
				if err := do(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// thenRemove removes what a step has made.
func thenRemove(err error, path string) error {
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func fillStore(b *testing.B, dir string, size int) {
	own, err := bolt.Open(filepath.Join(dir, ownFile), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	changes := []store.Change{{Key: nameKey, Value: []byte("node.example")}}
	const value = 1600 // an entry with a body of 1,096 bytes, in CBOR
	for i := range size / value {
		v := make([]byte, value)
		rand.Read(v)
		changes = append(changes, store.Change{Key: fmt.Sprintf("entry/%020d/%020d", i%1000, i), Value: v})
		if len(changes) == 2000 || i == size/value-1 {
			if err := own.Apply(context.Background(), changes...); err != nil {
				b.Fatal(err)
			}
			changes = changes[:0]
		}
	}
	if err := own.Close(); err != nil {
		b.Fatal(err)
	}
}
