package node

import (
	"bytes"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// TestPlainStanding: the short way reads every friendRecord of this release, and
// where it reads something else too, the general way comes to the same.
func TestPlainStanding(t *testing.T) {
	undetected(t)
	n := newWorld(t).open(north, nil, nil)
	ann, ben := n.person("ann"), n.person("ben")
	step := func(f wire.FriendRequest) []byte {
		n.world.clock.advance(1000)
		ann.tell(f)
		return must(n.own.Get(t.Context(), friendKey(pair{ann.account, ben.account}))).Value
	}
	var kept [][]byte
	ann.befriend(ben)
	for range 3 { // some have ended
		kept = append(kept, step(ann.end(ben)))
		ann.befriend(ben)
		kept = append(kept, must(n.own.Get(t.Context(), friendKey(pair{ben.account, ann.account}))).Value)
	}
	for i, value := range kept {
		general := func(b []byte) (standing, error) {
			var r friendRecord
			err := decodeRecord(store.Record{Value: b}, &r)
			return standing{r.link(), r.Friendship.State() == wire.StateFriend}, err
		}
		want := must(general(value))
		if got, ok := plainStanding(value); !ok || got != want || got.friends != (i%2 == 1) {
			t.Fatalf("record %d: got %+v, %v, want %+v", i, got, ok, want)
		}
		ended := bytes.Index(value, []byte{5, 0x81 + byte(i/2), 0xa2, 1, 0x58, 32}) // from there on only sizes count
		if ended < 0 {
			t.Fatalf("record %d: it is not told what has ended: %x", i, value)
		}
		for at := range value {
			if got, ok := plainStanding(value[:at]); ok {
				t.Fatalf("record %d: of the first %d bytes, %+v is read", i, at, got)
			}
			for bit := range 8 {
				other := bytes.Clone(value)
				other[at] ^= 1 << bit
				got, ok := plainStanding(other)
				if want, err := general(other); ok && err == nil && got != want || ok && err != nil && at < ended {
					t.Fatalf("record %d with another bit at %d: got %+v, want %+v, %v", i, at, got, want, err)
				}
			}
		}
		if _, ok := plainStanding(append(bytes.Clone(value), 0)); ok {
			t.Fatalf("record %d: something behind it is not seen", i)
		}
	}
}
