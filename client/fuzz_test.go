package client

import (
	"bytes"
	"testing"
	"unicode"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// FuzzVault: a vault that is accepted is written out as it was read.
func FuzzVault(f *testing.F) {
	me := vaultAccount
	f.Add(newVault(seal.NewIdentity(), seal.NewEncryptionSecret(), seal.NewSelfKey(), wire.AudienceID{3}).encode())
	f.Add(fullVault(f).encode())
	for name, spoil := range vaultFaults() {
		if v := fullVault(f); name != "a statement that is too long" {
			spoil(v)
			f.Add(v.encode())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeVault(data, me)
		if err != nil {
			return
		}
		if !bytes.Equal(v.encode(), data) || !bytes.Equal(v.clone().encode(), data) {
			t.Errorf("%x is written as %x", data, v.encode())
		}
		v.entitled()
		v.friends().epoch(wire.Commitment{5})
		for i := range v.Friends {
			for _, s := range v.Friends[i].Pending {
				v.Friends[i].moot(s)
				s.Kind.wire()
			}
		}
	})
}

// FuzzPost: a post that is accepted is written out as it was read, and can be written.
func FuzzPost(f *testing.F) {
	for _, v := range postVectors(f).Refused {
		f.Add(v.bytes(f))
	}
	f.Add(encodePost("hi"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := decodePost(data)
		if err == nil && (!bytes.Equal(encodePost(text), data) || checkText(text) != nil) {
			t.Errorf("%x is written as %x", data, encodePost(text))
		}
	})
}

// FuzzReadCursor: a cursor that is accepted is the one that is given out.
func FuzzReadCursor(f *testing.F) {
	f.Add(cursorOf(edge{Seq: 12, Prev: wire.EntryID{1}}))
	f.Add("12.a")
	f.Fuzz(func(t *testing.T, cursor string) {
		w, before, err := walkFrom(stream{}, cursor)
		if err != nil || cursor == "" {
			return
		}
		if got := cursorOf(edge{Seq: before, Prev: *w.want}); got != cursor {
			t.Errorf("%q is %q", cursor, got)
		}
	})
}

// FuzzFiles: what a device gives back may be anything.
func FuzzFiles(f *testing.F) {
	s := session{
		Token: wire.NewToken([32]byte{1}), Address: address("ada@one.example"), Account: wire.AccountID{1}, Device: "x",
		VaultKey: seal.NewVaultKey(), CacheKey: seal.NewCacheKey(),
	}
	c := New(nil, newMemory())
	if err := c.saveSession(s); err != nil {
		f.Fatal(err)
	}
	saved, _ := c.load(fileSession)
	f.Add(saved)
	f.Add(wire.EncodeCBOR(&cacheFile{Version: 1, Keys: []keysFile{{Secret: wire.Hide(make([]byte, 32))}}}))
	f.Add(wire.EncodeCBOR(&known{Version: 1}))
	f.Add(wire.EncodeCBOR(&outboxFile{Version: 1}))
	f.Add(wire.EncodeCBOR(&sentFile{Version: 1}))
	f.Add(wire.EncodeCBOR(&vaultFile{}))
	f.Add(wire.EncodeCBOR(&peer{}))
	f.Add(wire.EncodeCBOR(&foundingFile{Version: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMemory()
		c := New(nil, m, withDeriver(quick))
		m.files[fileSession] = data
		m.files[knownName(fileKnown, s.Address)] = data
		if got, err := c.loadSession(); err == nil {
			if err := c.saveSession(got); err != nil || !bytes.Equal(m.files[fileSession], data) {
				t.Errorf("%x is written as %x, %v", data, m.files[fileSession], err)
			}
		}
		c.loadKnown(s.Address)
		p := newPerson(c, s, nil)
		for _, name := range []string{fileCache, fileKeys + s.Account.String(), fileOutbox + "1", fileFoundation} {
			if err := p.saveSealed(name, data); err != nil {
				t.Fatal(err)
			}
		}
		p.cache = p.loadCache()
		p.cache.dirty = true
		if err := p.saveCache(); err != nil {
			t.Error(err)
		}
		p.loadPeer(s.Account)
		c.resumeFounding(data, RegisterOptions{Address: s.Address})
	})
}

// FuzzRefusal: what a node answers instead of a success becomes an error that can
// be shown, and never one that only a reader's own checks make.
func FuzzRefusal(f *testing.F) {
	f.Add(uint16(409), wire.EncodeJSON(wire.ProblemOf(wire.Errorf(wire.Conflict, "entry", "late"))))
	f.Add(uint16(500), []byte("<html>"))
	f.Add(uint16(400), []byte(`{"status":400,"code":"tampered","detail":"x"}`))
	f.Add(uint16(400), []byte(`{"status":400,"code":"invalid","detail":"\u001b[2J\u202e"}`))
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		err := refusal("one.example", &Response{Status: int(status), Body: body})
		if k := wire.KindOf(err); k == wire.Tampered || k != wire.Unavailable && k != wire.Internal && k.Status() != int(status) {
			t.Errorf("status %d, %q: kind %s", status, body, k)
		}
		for _, r := range err.Error() {
			if !unicode.IsPrint(r) {
				t.Errorf("%q shows %U", body, r)
			}
		}
	})
}
