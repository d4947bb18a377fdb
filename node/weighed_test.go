package node

import "testing"

type heavy int

func (w heavy) weight() int { return int(w) }

// TestWeighedIsBounded: what is remembered stays below its limit and is counted
// once, and what was asked for last stays.
func TestWeighedIsBounded(t *testing.T) {
	const most = 100
	w := newWeighed[int, heavy](most)
	sum := func() (sum int) {
		for _, v := range w.known.Values() {
			sum += int(v)
		}
		return sum
	}
	check := func(keys ...int) {
		t.Helper()
		for _, k := range keys {
			if _, ok := w.get(k); !ok {
				t.Errorf("%d is forgotten", k)
			}
		}
		if sum() != w.bytes || w.bytes > most {
			t.Fatalf("%d bytes count as %d, at most %d may be there", sum(), w.bytes, most)
		}
	}
	for k := range 50 {
		w.add(k, heavy(k%7))
		w.add(k, heavy(10+k%7)) // in its place
		check(k)
	}
	w.get(44)
	w.add(50, 80)
	check(50, 44)
	w.add(51, most+1)
	check()
	w.add(52, 60)
	w.add(53, 40)
	check(52, 53)
	w.remove(52)
	if _, ok := w.get(52); ok {
		t.Error("what was removed is there")
	}
	check(53)
	w.purge()
	check()
}
