package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	header = Header{Node: "node.example", Schema: 1, Created: 1_764_000_000_000}
	sample = []store.Record{{Key: "a", Value: []byte{}}, {Key: "b/1", Value: []byte("hi")}}
)

func written(t testing.TB, h Header, records []store.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Count() != uint64(len(records)) {
		t.Errorf("counted %d records, want %d", w.Count(), len(records))
	}
	return b.Bytes()
}

// readAll returns what a file holds, and io.EOF for one that is whole.
func readAll(r io.Reader) (h Header, records []store.Record, err error) {
	a, err := NewReader(r)
	if err != nil {
		return h, nil, err
	}
	for {
		rec, err := a.Next()
		if err != nil {
			if _, again := a.Next(); again != err {
				return h, nil, errors.New("the second answer is another one")
			}
			return a.Header(), records, err
		}
		records = append(records, rec)
	}
}

func same(a, b []store.Record) bool {
	return slices.EqualFunc(a, b, func(a, b store.Record) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) })
}

func TestRoundTrip(t *testing.T) {
	for name, records := range map[string][]store.Record{
		"nothing": nil,
		"sample":  sample,
		"limits":  {{Key: strings.Repeat("k", store.MaxKey), Value: bytes.Repeat([]byte("v"), store.MaxValue)}, {Key: "~", Value: []byte{0}}},
	} {
		file := written(t, header, records)
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
			h, got, err := readAll(r)
			if err != io.EOF || h != header || !same(got, records) {
				t.Errorf("%s: got %+v, %d records, %v", name, h, len(got), err)
			}
		}
	}
}

// TestExample spells out a file, and finds it in docs/operating.md.
func TestExample(t *testing.T) {
	file := written(t, header, sample)
	const text = "" +
		"7065657262726169 6e2d6261636b7570 00000001 00000001 0000019ab697e800 0c 6e6f64652e6578616d706c65\n" +
		"0001 00000000 61\n" +
		"0003 00000002 622f31 6869\n" +
		"0000 0000000000000002\n"
	sum := sha256.Sum256(file[:len(file)-sha256.Size])
	want, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	if want = append(want, sum[:]...); !bytes.Equal(file, want) {
		t.Errorf("got %x, want %x", file, want)
	}
	docs, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(docs), text+hex.EncodeToString(sum[:])+"\n") {
		t.Errorf("docs/operating.md does not show\n%s%x", text, sum)
	}
}

// TestCut cuts a file at each place.
func TestCut(t *testing.T) {
	file := written(t, header, sample)
	for n := range file {
		want := ErrCut
		if n < len(magic)+4 {
			want = ErrForeign
		}
		if _, _, err := readAll(bytes.NewReader(file[:n])); !errors.Is(err, want) {
			t.Errorf("cut to %d bytes: got %v, want %v", n, err, want)
		}
	}
	_, _, err := readAll(io.MultiReader(bytes.NewReader(file[:50]), iotest.ErrReader(io.ErrNoProgress)))
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a file that cannot be read: got %v, want %v", err, io.ErrNoProgress)
	}
}

// TestFlipped flips each bit of a file: it is never taken for whole.
func TestFlipped(t *testing.T) {
	file := written(t, header, sample)
	for bit := range len(file) * 8 {
		flipped := slices.Clone(file)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, _, err := readAll(bytes.NewReader(flipped))
		if !errors.Is(err, ErrForeign) && !errors.Is(err, ErrLater) && !errors.Is(err, ErrCut) && !errors.Is(err, ErrDamaged) {
			t.Errorf("bit %d: got %v", bit, err)
		}
	}
}

// summed is b with the end that it should have.
func summed(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(slices.Clone(b), sum[:]...)
}

// TestRefused has files with a right checksum over what no Writer writes.
func TestRefused(t *testing.T) {
	file := written(t, header, sample)
	body := file[:len(file)-sha256.Size]
	const first = 16 + 4 + 4 + 8 + 1 + 12 // of the records
	change := func(at int, b ...byte) []byte {
		c := slices.Clone(body)
		copy(c[at:], b)
		return summed(c)
	}
	for _, test := range []struct {
		name string
		file []byte
		want error
	}{
		{"as it was", summed(body), io.EOF},
		{"format 0", change(16, 0, 0, 0, 0), ErrDamaged},
		{"format 2", change(16, 0, 0, 0, 2), ErrLater},
		{"no name", change(16+4+4+8, 0), ErrDamaged},
		{"another name", change(first-12, []byte("Node")...), ErrDamaged},
		{"time of later", change(16+4+4, 0, 0x20), ErrDamaged},
		{"time below 0", change(16+4+4, 0x80), ErrDamaged},
		{"key of 513", change(first, 2, 1), ErrDamaged},
		{"value above the limit", change(first+2, 0, 0x80, 0, 1), ErrDamaged},
		{"key with a space", change(first+6, ' '), ErrDamaged},
		{"key out of order", change(first+6, 'c'), ErrDamaged},
		{"count", change(len(body)-1, 3), ErrDamaged},
		{"something behind", append(slices.Clone(file), 0), ErrDamaged},
		{"another file", []byte("SQLite format 3\x00 and so on"), ErrForeign},
		{"nothing", nil, ErrForeign},
	} {
		if _, _, err := readAll(bytes.NewReader(test.file)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, h := range []Header{{}, {Node: "Node"}, {Node: "node.example", Created: -1}, {Node: "node.example", Created: maxCreated + 1}} {
		if _, err := NewWriter(io.Discard, h); err == nil {
			t.Errorf("header %+v: got no error", h)
		}
	}
	w, err := NewWriter(io.Discard, header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(store.Record{Key: "b"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []store.Record{{Key: "b"}, {Key: "a"}, {Key: ""}, {Key: "c", Value: make([]byte, store.MaxValue+1)}} {
		if err := w.Add(r); err == nil {
			t.Errorf("add %q after b: got no error", r.Key)
		}
	}
	if w.Count() != 1 {
		t.Errorf("counted %d records, want 1", w.Count())
	}
	if w, err = NewWriter(failing{}, header); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(store.Record{Key: "big", Value: make([]byte, 1<<20)}); !errors.Is(err, errFull) {
		t.Errorf("add to a full disk: got %v, want %v", err, errFull)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close on a full disk: got %v, want %v", err, errFull)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

// FuzzArchive gives a Reader what is no file, and what has the right checksum:
// what it takes for whole is what a Writer makes of the same records.
func FuzzArchive(f *testing.F) {
	file := written(f, header, sample)
	f.Add(file[:len(file)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		for _, file := range [][]byte{body, summed(body)} {
			h, records, err := readAll(bytes.NewReader(file))
			if err == io.EOF {
				if again := written(t, h, records); !bytes.Equal(again, file) {
					t.Errorf("read %x, wrote %x", file, again)
				}
			}
		}
	})
}
