package client

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// TestVaultLies: each is refused, and nothing of it kept.
func TestVaultLies(t *testing.T) {
	ctx := context.Background()
	original := newScene(t)
	adas := func(c scene) *resident { return c.ada.w.people[c.ada.me()] }
	old := original.copy()
	original.ada.befriends(original.eve)
	refresh := func(c scene) error { _, err := c.ada.Friends(ctx); return err }
	login := func(c scene) error { return c.ada.w.device(c.ada.address.String()).tryLogin() }
	post := func(c scene) error { _, err := c.ada.Post(ctx, "text", ""); return err }
	lies := []struct {
		name string
		tell func(c scene)
		do   func(c scene) error
	}{
		{"rolled back", func(c scene) { adas(c).heads, adas(c).record = adas(old).heads, adas(old).record }, refresh},
		{"rolled back, for a new device", func(c scene) {
			c.ada.writes("in between") // the epoch below names a newer head
			c.ada.removes(c.eve)
			adas(c).heads, adas(c).record = adas(old).heads, adas(old).record
		}, login},
		{"rolled back, for a device that lost its copy", func(c scene) {
			adas(c).heads, adas(c).record = adas(old).heads, adas(old).record
			delete(c.ada.device.files, fileVault)
			c.ada.restart()
		}, refresh},
		{"heads left out", func(c scene) {
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Heads = r.Heads[1:] })
			phone := c.ada.again()
			phone.line.after = nil
			_, err := phone.RemoveFriend(ctx, c.bob.address)
			phone.must(err)
		}, refresh},
		{"another's", func(c scene) {
			r := adas(c)
			bobs := c.ada.w.people[c.bob.me()]
			r.heads, r.record = append(r.heads, bobs.heads...), bobs.record
		}, refresh},
		{"a new head without the record", func(c scene) {
			phone := c.ada.again()
			phone.removes(c.bob)
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Record = nil })
		}, refresh},
		{"a new head with the old record", func(c scene) {
			before := adas(c).record
			phone := c.ada.again()
			phone.removes(c.bob)
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Record = &before })
		}, refresh},
		{"bytes of another vault", func(c scene) {
			before := adas(c).record
			phone := c.ada.again()
			phone.removes(c.bob)
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Record.Vault = before.Vault })
		}, refresh},
		{"other slots", func(c scene) {
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Record.Slots = c.ada.w.people[c.bob.me()].record.Slots })
		}, func(c scene) error {
			d := c.ada.w.device(c.ada.address.String())
			d.line = c.ada.line
			return d.tryLogin()
		}},
		{"a head that is none", func(c scene) {
			phone := c.ada.again()
			phone.removes(c.bob)
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Heads[0] = wire.Signed{1, 2, 3} })
		}, refresh},
		{"slots that are none", func(c scene) {
			phone := c.ada.again()
			phone.removes(c.bob)
			lie(c.ada, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Record.Slots = nil })
		}, refresh},
		{"one's own posts gone", func(c scene) {
			c.ada.line.after = func(_ int, r *Request, a *Response) error {
				if matches(wire.PathStream, r.Path) {
					a.refuse(wire.NotExist)
				}
				return nil
			}
		}, func(c scene) error { _, err := c.ada.Read(ctx, c.ada.address, FeedOptions{}); return err }},
		{"conflict for ever", func(c scene) {
			c.ada.line.before = func(_ int, r *Request) error {
				if r.Method == "PUT" {
					r.Body = nil // it does not arrive
				}
				return nil
			}
			c.ada.line.after = func(_ int, r *Request, a *Response) error {
				if r.Method == "PUT" {
					a.refuse(wire.Conflict)
				}
				return nil
			}
		}, func(c scene) error { _, err := c.ada.RemoveFriend(ctx, c.bob.address); return err }},
		{"another acknowledgement", func(c scene) {
			lie(c.ada, "POST", wire.PathEntries, func(_ *Request, r *wire.PublishReply) { r.ID[0]++ })
		}, post},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c := original.copy()
			l.tell(c)
			err := l.do(c)
			if !errors.Is(err, wire.Tampered) {
				t.Errorf("got %v, want tampered", err)
			}
		})
	}
}

// TestLoginLies: none opens a session, and none gets at the password.
func TestLoginLies(t *testing.T) {
	original := newScene(t)
	lies := []struct {
		name string
		tell func(c scene, s *someone)
		kind wire.Kind
		says string
	}{
		{"weak parameters", func(c scene, s *someone) {
			lie(s, "POST", wire.PathChallenge, func(_ *Request, r *wire.ChallengeReply) { r.Argon2.Memory = 8 })
		}, wire.Tampered, ""},
		{"absurd parameters", func(c scene, s *someone) {
			lie(s, "POST", wire.PathChallenge, func(_ *Request, r *wire.ChallengeReply) { r.Argon2.Memory = 1 << 30 })
		}, wire.Tampered, ""},
		{"another salt", func(c scene, s *someone) {
			lie(s, "POST", wire.PathChallenge, func(_ *Request, r *wire.ChallengeReply) { r.Random[0]++ })
		}, wire.Unauthenticated, ""},
		{"a challenge that never ends", func(c scene, s *someone) {
			lie(s, "POST", wire.PathChallenge, func(_ *Request, r *wire.ChallengeReply) { r.Expires += 1e9 })
		}, wire.Clock, ""},
		{"another account", func(c scene, s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Account = c.bob.me() })
		}, wire.Tampered, "another account than"},
		{"another account with its keys", func(c scene, s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Account = c.bob.me() })
			s.line.before = func(_ int, r *Request) error {
				if r.Path == wire.PathKeys {
					r.Body = wire.EncodeJSON(&wire.KeysRequest{Address: c.bob.address})
				}
				return nil
			}
		}, wire.Tampered, ""},
		{"another salt, and any answer taken", func(c scene, s *someone) {
			var true1 wire.ChallengeReply
			lie(s, "POST", wire.PathChallenge, func(_ *Request, r *wire.ChallengeReply) {
				true1 = *r
				r.Random[0]++
			})
			s.line.before = func(_ int, r *Request) error {
				if r.Path != wire.PathLogin {
					return nil
				}
				// The node lets in whoever comes: here, by answering in ada's place.
				in := new(wire.LoginRequest)
				if err := wire.DecodeJSON(r.Body, in); err != nil {
					return err
				}
				secret, _, err := quick([]byte(secretWord), s.address, true1.Argon2, true1.Random)
				if err != nil {
					return err
				}
				challenge := &wire.Challenge{
					Version: wire.Version, Suite: wire.Suite, Node: s.address.Node, Handle: in.Handle, Purpose: in.Purpose,
					Nonce: in.Nonce, Expires: in.Expires,
				}
				if in.Answer, err = challenge.Sign(secret); err != nil {
					return err
				}
				r.Body = wire.EncodeJSON(in)
				return nil
			}
		}, wire.Tampered, "does not belong to the log-in"},
		{"a session that is none", func(c scene, s *someone) {
			lie(s, "POST", wire.PathLogin, func(_ *Request, r *wire.LoginReply) { r.Token = wire.NewToken(random()) })
		}, wire.Unavailable, "does not know the session"},
		{"a vault without its beginning", func(c scene, s *someone) {
			lie(s, "GET", wire.PathVault, func(_ *Request, r *wire.VaultReply) { r.Heads = r.Heads[1:] })
		}, wire.Tampered, "begins with version 2"},
		{"newer keys", func(c scene, s *someone) {
			lie(s, "POST", wire.PathKeys, func(_ *Request, r *wire.KeysReply) { r.Statements = append(r.Statements, c.ada.nextStatement()) })
		}, wire.Tampered, ""},
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			c := original.copy()
			s := c.ada.w.device(c.ada.address.String())
			l.tell(c, s)
			err := s.tryLogin()
			if !errors.Is(err, l.kind) || !strings.Contains(err.Error(), l.says) {
				t.Errorf("got %v, want %s", err, l.kind)
			}
			if _, err := s.client().Resume(context.Background()); err != error(ErrNoSession) {
				t.Errorf("a session is left: %v", err)
			}
		})
	}
}
