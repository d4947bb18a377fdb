package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// smallDisk mounts a file system of so many bytes, for root alone.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, syscall.EPERM) {
		t.Skip("NOT TESTED: a full disk needs the right to mount one")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// An author is a visitor who is logged in and writes.
type author struct {
	*visitor
	token    wire.Token
	audience wire.AudienceID
	head     wire.StreamHead
	posted   []wire.Entry // that were acknowledged
}

// writes makes the next entry.
func (a *author) writes(t *testing.T, kind wire.EntryKind, body []byte) (wire.Entry, wire.StreamHead) {
	t.Helper()
	h := &wire.EntryHeader{
		Version: wire.Version, Suite: wire.Suite, Author: a.account, KeySeq: a.keySeq, Audience: a.audience,
		Seq: a.head.Seq + 1, Prev: a.head.ID, Created: max(time.Now().UnixMilli(), a.head.Created), Kind: kind, Epoch: a.head.Epoch,
		BodyHash: wire.BodyHash(body), BodySize: uint64(len(body)),
	}
	if kind == wire.KindEpoch {
		h.Epoch = h.Seq
	}
	signed, err := h.Sign(a.identity)
	if err != nil {
		t.Fatal(err)
	}
	e := wire.Entry{Header: signed, Body: body}
	next, err := a.head.Next(h, e.ID())
	if err != nil {
		t.Fatal(err)
	}
	return e, next
}

// posts sends an entry, and notes it if it is acknowledged.
func (a *author) posts(t *testing.T, r *running, kind wire.EntryKind, body []byte) (int, wire.Problem) {
	t.Helper()
	e, next := a.writes(t, kind, body)
	status, p := r.asks(t, "POST", wire.PathEntries, &a.token, wire.PublishRequest{Entry: e}, nil)
	if status == 200 {
		a.head, a.posted = next, append(a.posted, e)
	}
	return status, p
}

// finds reads the whole stream, which must hold what was acknowledged.
func (a *author) finds(t *testing.T, r *running) {
	t.Helper()
	path := strings.NewReplacer(":author", a.account.String(), ":audience", a.audience.String()).Replace(wire.PathStream)
	for n := 0; n < len(a.posted); {
		var reply wire.StreamReply
		r.succeeds(t, "GET", fmt.Sprintf("%s?after=%d", path, n), &a.token, nil, &reply)
		if len(reply.Entries) == 0 || n+len(reply.Entries) > len(a.posted) {
			t.Fatalf("%d entries behind %d, of %d that were acknowledged", len(reply.Entries), n, len(a.posted))
		}
		for _, e := range reply.Entries {
			if e.ID() != a.posted[n].ID() || !bytes.Equal(e.Body, a.posted[n].Body) {
				t.Fatalf("entry %d is another one", n+1)
			}
			n++
		}
	}
}

// TestFullDisk fills the disk of a node: who writes is told so, reading goes on,
// and so does writing when there is space, by itself.
func TestFullDisk(t *testing.T) {
	undetected(t)
	disk := smallDisk(t, 28<<20) // with the log, which has what is moved a second time
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := devConfig(t)
	c.Data = filepath.Join(disk, "data")
	r := runs(t, c)
	ann := &author{visitor: newVisitor(t, r.name, "ann", time.Now()), audience: random32()}
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	ann.token = r.logsIn(t, ann.visitor).Token
	other := r.logsIn(t, ann.visitor).Token
	epoch := &wire.EpochBody{
		Version: wire.Version, Suite: wire.Suite, Content: random32(), Chain: random32(),
		VaultHead: ann.request.Vault.Head, SealedSecret: make([]byte, 100),
	}
	if status, p := ann.posts(t, r, wire.KindEpoch, must(epoch.Encode())); status != 200 {
		t.Fatalf("got %d %+v", status, p)
	}
	body := make([]byte, 60_000)
	rand.Read(body)
	refused := 0
	for tries := 0; refused < 20; tries++ {
		switch status, p := ann.posts(t, r, wire.KindPost, body); {
		case status == 503 && p.Code == wire.Unavailable && p.Retry > 0 && strings.Contains(p.Detail, "disk is full"):
			refused++
		case status != 200 || tries > 1000:
			t.Fatalf("post %d: got %d %+v", tries, status, p)
		}
	}
	before := len(ann.posted)
	if before < 20 {
		t.Errorf("full after %d posts", before)
	}
	var health wire.Health
	r.succeeds(t, "GET", wire.PathHealth, nil, nil, &health)
	var feed wire.FeedReply
	if r.succeeds(t, "GET", wire.PathFeed, &ann.token, nil, &feed); len(feed.Items) == 0 {
		t.Error("the feed is empty while the disk is full")
	}
	ann.finds(t, r)
	out, p := r.asks(t, "DELETE", wire.PathSession, &other, nil, nil)
	still, _ := r.asks(t, "GET", wire.PathSession, &other, nil, nil)
	if !(out == 204 && still == 401) && !(out == 503 && p.Code == wire.Unavailable && still == 200) {
		t.Errorf("a log-out while the disk is full: %d, and then %d", out, still)
	}
	t.Logf("full after %d posts of 60 KB; a log-out was answered with %d, and the session then with %d", before, out, still)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if status, p := ann.posts(t, r, wire.KindPost, body); status != 200 {
			t.Fatalf("with space again: got %d %+v", status, p)
		}
	}
	ann.finds(t, r)
	if log := r.log.String(); strings.Count(log, "the disk is full") != 1 || strings.Contains(log, "request failed") || strings.Contains(log, "status=503") && strings.Contains(log, "level=WARN msg=request") {
		t.Errorf("it is not logged once: %.2000s", log)
	}
	r.ends(t)
	c.Name = r.name
	again := runs(t, c)
	r.name = again.name
	ann.finds(t, again)
	if status, p := ann.posts(t, again, wire.KindPost, body); status != 200 {
		t.Errorf("after a restart: got %d %+v", status, p)
	}
	again.ends(t)
}
