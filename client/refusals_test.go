package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestReadCursor: a page goes on only behind a cursor that an earlier one gave.
func TestReadCursor(t *testing.T) {
	id := wire.EntryID{1}.String()
	for _, cursor := range []string{"x", "12", "12.", "." + id, "1." + id, "0." + id, "-1." + id, "012." + id, "+12." + id, "12." + strings.ToUpper(id), "12." + id + ".", "99999999999999999999." + id} {
		if _, _, err := walkFrom(stream{}, cursor); !errors.Is(err, wire.Invalid) {
			t.Errorf("%q: got %v", cursor, err)
		}
	}
}

// TestDeviceName: a name that cannot be shown is refused before anybody is asked.
func TestDeviceName(t *testing.T) {
	s := newWorld(t).device("ada@one.example")
	for _, name := range []string{"", strings.Repeat("x", wire.MaxDeviceName+1), "a\nb", "a\x1b[2J"} {
		_, _, err := s.client().Login(context.Background(), LoginOptions{Address: s.address, Password: password(t, secretWord), Device: name})
		if !errors.Is(err, wire.Invalid) {
			t.Errorf("log-in of %q: got %v", name, err)
		}
		_, err = s.client().Register(context.Background(), RegisterOptions{
			Address: s.address, Password: password(t, secretWord), Device: name, ShowCode: func(string) error { return nil },
		})
		if !errors.Is(err, wire.Invalid) {
			t.Errorf("registration of %q: got %v", name, err)
		}
	}
	if len(s.line.calls) > 0 || len(s.device.files) > 0 {
		t.Errorf("the node was asked: %q, %d files", s.line.calls, len(s.device.files))
	}
}

// TestFilesOfALaterRelease are not understood, and not taken for empty ones.
func TestFilesOfALaterRelease(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada := w.newPerson("ada@one.example")
	files := maps.Clone(ada.device.files)
	for _, b := range [][]byte{{0xff}, wire.EncodeCBOR(&sessionFile{Version: 2}), wire.EncodeCBOR(&known{Version: 2}), wire.EncodeCBOR(&foundingFile{Version: 2})} {
		ada.device.files[fileSession] = b
		if _, err := ada.client().Resume(ctx); !errors.Is(err, wire.Update) {
			t.Errorf("session %x: got %v", b, err)
		}
		ada.device.files[fileSession] = bytes.Clone(files[fileSession])
		name := knownName(fileKnown, ada.address)
		ada.device.files[name] = b
		_, _, err := ada.client().Login(ctx, LoginOptions{Address: ada.address, Password: password(t, secretWord), Device: "test"})
		if !errors.Is(err, wire.Update) {
			t.Errorf("known %x: got %v", b, err)
		}
		ada.device.files[name] = bytes.Clone(files[name])
		if _, err := ada.client().resumeFounding(b, RegisterOptions{Address: ada.address, Password: password(t, secretWord)}); !errors.Is(err, wire.Update) {
			t.Errorf("registration %x: got %v", b, err)
		}
	}
}

// TestIncompleteFiles: a session without the keys of its account, or with those of
// another, is none.
func TestIncompleteFiles(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	p, err := ada.client().Resume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	q, err := bob.client().Resume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]*peer{"none": {}, "another's": peerOf(q.chain)} {
		if err := p.savePeer(p.me(), keys); err != nil {
			t.Fatal(err)
		}
		if _, err := ada.client().Resume(ctx); !errors.Is(err, wire.Unauthenticated) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	delete(ada.device.files, fileKeys+p.me().String())
	if _, err := ada.client().Resume(ctx); !errors.Is(err, wire.Unauthenticated) {
		t.Errorf("absent: got %v", err)
	}
}

// TestFilesInOtherWords: a file that says the same in another encoding is none
// that this device wrote.
func TestFilesInOtherWords(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.device("bob@one.example")
	lose(bob, 0, true)
	if err := bob.tryRegister(); !errors.Is(err, wire.Unavailable) {
		t.Fatal(err)
	}
	spoil := func(s *someone, name string) []byte {
		b := s.device.files[name] // a map, whose first pair is 1: 1
		s.device.files[name] = append([]byte{b[0], 1, 0x18, 1}, b[3:]...)
		return b
	}
	b := spoil(ada, fileSession)
	if _, err := ada.client().Resume(ctx); !errors.Is(err, wire.Update) {
		t.Errorf("session: %v", err)
	}
	ada.device.files[fileSession] = b
	spoil(ada, knownName(fileKnown, ada.address))
	if err := ada.tryLogin(); !errors.Is(err, wire.Update) {
		t.Errorf("known: %v", err)
	}
	bob.line.after = nil
	spoil(bob, knownName(fileFounded, bob.address))
	if err := bob.tryRegister(); !errors.Is(err, wire.Update) {
		t.Errorf("registration: %v", err)
	}
}

// TestStatementOfNoKind: a vault with a statement of kind 0 is none of ours.
func TestStatementOfNoKind(t *testing.T) {
	v := fullVault(t)
	pendingOf(v).Kind = 0
	if _, err := decodeVault(v.encode(), vaultAccount); !errors.Is(err, wire.Update) {
		t.Errorf("got %v", err)
	}
}

// TestFullVault: it takes no friends into the room that is left for ends.
func TestFullVault(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	ada, bob := w.newPerson("ada@one.example"), w.newPerson("bob@one.example")
	v := ada.vault.vault
	for len(v.Friends)*wire.MaxStatement <= maxFilled {
		f := friend{Handle: "zoe", Node: "one.example", Pending: []statement{{Kind: kindEnd, Signed: make(wire.Signed, wire.MaxStatement)}}}
		binary.BigEndian.PutUint32(f.Account[:], uint32(len(v.Friends)+1))
		v.Friends = append(v.Friends, f)
	}
	err := ada.do(ctx, func() error { return ada.offer(ctx, bob.address, nil, true) })
	if !errors.Is(err, wire.Limit) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	contact := ada.contact(bob.chain, meeting{}) // who has asked, and is not in the vault
	err = ada.do(ctx, func() error { _, err := ada.mark(ctx, contact, bob.chain, meeting{}); return err })
	if !errors.Is(err, wire.Limit) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a mark: got %v", err)
	}
}

// TestKeptKeys: keys on the device that do not verify verify nothing.
func TestKeptKeys(t *testing.T) {
	ctx := context.Background()
	s := newScene(t)
	f := s.bob.vault.friend(s.ada.me())
	s.bob.must(s.bob.do(ctx, func() error {
		if err := s.bob.savePeer(f.Account, &peer{Statements: []wire.Signed{{1}}, Newest: f.PinHash}); err != nil {
			return err
		}
		if chain, err := s.bob.chainOf(ctx, f); err == nil {
			t.Errorf("got the chain %v", chain)
		}
		return nil
	}))
}
