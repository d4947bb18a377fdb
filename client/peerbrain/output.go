package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// What --json prints: one object per line. Fields are added, never renamed.
type (
	accountJSON struct {
		Address wire.Address   `json:"address"`
		Account wire.AccountID `json:"account"`
		Device  string         `json:"device"`
	}
	registeredJSON struct {
		Address      wire.Address   `json:"address"`
		Account      wire.AccountID `json:"account"`
		RecoveryCode string         `json:"recovery_code"`
	}
	recoveredJSON struct {
		Address      wire.Address   `json:"address"`
		Account      wire.AccountID `json:"account"`
		Device       string         `json:"device"`
		RecoveryCode string         `json:"recovery_code"`
	}
	sessionJSON struct {
		ID      wire.Hash `json:"id"`
		Device  string    `json:"device"`
		Created string    `json:"created"`
		Expires string    `json:"expires"`
		Current bool      `json:"current"`
	}
	friendJSON struct {
		Address  wire.Address     `json:"address"`
		State    wire.FriendState `json:"state"`
		Verified bool             `json:"verified"`
		Keys     client.KeysState `json:"keys"`
		Changed  bool             `json:"keys_changed,omitempty"` // others were verified
	}
	comparedJSON struct {
		friendJSON
		Number string `json:"safety_number"`
		QR     string `json:"qr"` // what the code says
	}
	postedJSON struct {
		ID       wire.EntryID `json:"id"`
		Author   wire.Address `json:"author"`
		Audience string       `json:"audience"`
		Seq      uint64       `json:"seq"`
		Created  string       `json:"created"`
	}
	postJSON struct {
		postedJSON
		Text string `json:"text"`
	}
	factorJSON struct {
		On     bool `json:"on"`
		Backup int  `json:"backup_codes_left"` // how many were not used yet
	}
	authenticatorJSON struct {
		URI    string `json:"uri"`
		Secret string `json:"secret"`
	}
	backupJSON struct {
		Codes []string `json:"backup_codes"`
	}
	webJSON struct {
		URL    string        `json:"url"`
		Node   wire.NodeName `json:"node"`
		Digest string        `json:"digest"` // of all files
	}
	verifiedJSON struct {
		Path   string `json:"path"`
		Same   bool   `json:"same"`
		SHA256 string `json:"sha256"` // of the file here, without a coding
		Why    string `json:"why,omitempty"`
	}
	cursorJSON struct {
		Cursor string `json:"cursor"`
	}
)

func friendOf(f client.Friend) friendJSON {
	state := f.State
	if f.Deleted {
		state = "deleted"
	}
	return friendJSON{f.Address, state, f.Verified, f.Keys, f.KeysChanged}
}

// created is RFC 3339, UTC, with milliseconds.
const createdLayout = "2006-01-02T15:04:05.000Z"

func postedOf(p client.Post) postedJSON {
	return postedJSON{p.ID, p.Author, p.Audience, p.Seq, p.Created.UTC().Format(createdLayout)}
}

// object prints v as one line of JSON.
func (a *app) object(v any) error { return writeLine(a.out, v) }

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeHarmful(b.Bytes()))
	return err
}

// say prints a line for a person.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.out, format+"\n", args...)
}

// post prints one post: who and when, the text, and the id that show takes.
func (a *app) post(p client.Post) error {
	if a.json {
		return a.object(postJSON{postedOf(p), p.Text})
	}
	head := a.styled(bold, p.Author.String()) + "  " + a.styled(dim, p.Created.Local().Format("Mon 2 Jan 2006 15:04"))
	text := "  " + strings.ReplaceAll(strings.TrimRight(plain(p.Text), "\n"), "\n", "\n  ")
	_, err := fmt.Fprintf(a.out, "%s\n%s\n  %s\n\n", head, text, a.styled(dim, p.ID.String()))
	return err
}

// when is a time as people say it, for messages.
func when(d time.Duration) string {
	if d < time.Second {
		return "a moment"
	}
	return d.Round(time.Second).String()
}
