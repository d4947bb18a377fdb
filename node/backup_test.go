package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/archive"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// recordsOf returns what lies in the store of a data folder.
func recordsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	s, err := bolt.Open(filepath.Join(dir, ownFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]string{}
	for rec, err := range s.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[rec.Key] = string(rec.Value)
	}
	return all
}

// backedUp is a node with somebody who is logged in, and a backup of it that was
// made while it ran.
func backedUp(t *testing.T) (c Config, r *running, ann *visitor, reply wire.LoginReply, file string) {
	t.Helper()
	c = devConfig(t)
	r = runs(t, c)
	ann = newVisitor(t, r.name, "ann", time.Now())
	r.succeeds(t, "POST", wire.PathRegister, nil, ann.request, nil)
	reply = r.logsIn(t, ann)
	if _, err := RotateRoot(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "backup")
	report, err := Backup(t.Context(), c, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || info.Size() != report.Bytes || report.Node != r.name || report.Records < 5 {
		t.Errorf("got %+v of a file with %v, %v", report, info, err)
	}
	return c, r, ann, reply, file
}

// TestBackupAndRestore copies a node that runs, and one that does not, and makes
// each again: it is the same node, without the sessions.
func TestBackupAndRestore(t *testing.T) {
	c, r, ann, first, file := backedUp(t)
	var before wire.NodeDocumentReply
	r.succeeds(t, "GET", wire.PathDocument, nil, nil, &before)
	r.ends(t)
	stopped := file + "-of-stopped"
	if _, err := Backup(t.Context(), c, stopped, nil); err != nil {
		t.Fatal(err)
	}
	want := recordsOf(t, c.Data)
	for _, file := range []string{file, stopped} {
		restored := c
		restored.Data, restored.Name = filepath.Join(t.TempDir(), "new"), r.name
		var told int64
		report, err := Restore(t.Context(), restored, file, func(n int64) { told = n })
		if err != nil || told != 2*report.Bytes {
			t.Fatalf("got %+v, %v, and was told of %d bytes", report, err, told)
		}
		if names := left(t, restored.Data); !slices.Equal(names, []string{ownFile}) {
			t.Errorf("the folder holds %q", names)
		}
		got := recordsOf(t, restored.Data)
		for key := range want {
			if (isPassing(key) || strings.HasPrefix(key, topPrefix)) == (got[key] != "") {
				t.Errorf("%s: passing %t, restored %t", key, isPassing(key), got[key] != "")
			}
			if !isPassing(key) && !isRemade(key) && got[key] != want[key] {
				t.Errorf("%s: got another value", key)
			}
		}
		restored.Listen = c.Listen
		again := runs(t, restored)
		var after wire.NodeDocumentReply
		again.succeeds(t, "GET", wire.PathDocument, nil, nil, &after)
		was, now := opened(t, before, r.name), opened(t, after, r.name)
		if was.Root != now.Root || now.Number <= was.Number {
			t.Errorf("got document %d of root %x, want more than %d of %x", now.Number, now.Root, was.Number, was.Root)
		}
		if got, want := rootsIn(t, after, r.name), rootsIn(t, before, r.name); len(got) != 2 || !slices.Equal(got, want) {
			t.Errorf("got the roots %x, want %x", got, want)
		}
		if status, _ := again.asks(t, "GET", wire.PathSession, &first.Token, nil, nil); status != 401 {
			t.Errorf("a session from before the copy: got %d, want 401", status)
		}
		var challenge wire.ChallengeReply
		again.succeeds(t, "POST", wire.PathChallenge, nil, wire.ChallengeRequest{Handle: "ann", Purpose: wire.PurposeLogin}, &challenge)
		answer := ann.answer(t, r.name, wire.PurposeLogin, challenge, nil)
		answer.DeviceToken = &first.DeviceToken
		var reply wire.LoginReply
		again.succeeds(t, "POST", wire.PathLogin, nil, answer, &reply)
		if reply.DeviceToken.Reveal() != first.DeviceToken.Reveal() {
			t.Error("the device is not known any more")
		}
		again.ends(t)
	}
}

func opened(t *testing.T, r wire.NodeDocumentReply, name wire.NodeName) *wire.NodeDocument {
	t.Helper()
	d, err := wire.OpenNodeDocument(r.Document, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// refuses wants an error with these words, and that nothing changed in a folder.
func refuses(t *testing.T, dir string, words string, do func() error) {
	t.Helper()
	before := left(t, dir)
	if err := do(); err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %q", err, words)
	}
	if after := left(t, dir); !slices.Equal(after, before) {
		t.Errorf("the folder held %q, and now %q", before, after)
	}
}

// TestBackupFile has what keeps a backup from being kept.
func TestBackupFile(t *testing.T) {
	c, _, _, _, file := backedUp(t)
	dir := filepath.Dir(file)
	makes := func(c Config, path string) func() error {
		return func() error { _, err := Backup(t.Context(), c, path, nil); return err }
	}
	refuses(t, dir, "is there already", makes(c, file))
	refuses(t, dir, "no such file or directory", makes(c, filepath.Join(dir, "no", "folder")))
	other := c
	other.Name = "localhost:1"
	refuses(t, dir, `it is of node "localhost:`, makes(other, filepath.Join(dir, "other")))
	nowhere := c
	nowhere.Data = filepath.Join(dir, "nowhere")
	refuses(t, dir, "holds no node", makes(nowhere, filepath.Join(dir, "other")))
	if err := os.WriteFile(filepath.Join(dir, "other"+partial), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, "another backup is under way, or one was interrupted", makes(c, filepath.Join(dir, "other")))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	refuses(t, dir, "", func() error { _, err := Backup(gone, c, filepath.Join(dir, "never"), nil); return err })
	going, cancel := context.WithCancel(t.Context())
	refuses(t, dir, "interrupted", func() error {
		_, err := Backup(going, c, filepath.Join(dir, "never"), func(int64) { cancel() })
		return err
	})
	empty := c
	empty.Data = t.TempDir()
	s, err := bolt.Open(filepath.Join(empty.Data, ownFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, "does not answer at control.sock", makes(empty, filepath.Join(dir, "never")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, dir, "there is no node in it", makes(empty, filepath.Join(dir, "never")))
}

// TestRestoreRefuses has files and folders that nothing is made of.
func TestRestoreRefuses(t *testing.T) {
	c, r, _, _, file := backedUp(t)
	r.ends(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	target := c
	target.Data = filepath.Join(dir, "target")
	restores := func(c Config, content []byte) func() error {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() error { _, err := Restore(t.Context(), c, path, nil); return err }
	}
	flipped := slices.Clone(good)
	flipped[len(good)/2] ^= 1
	later := slices.Clone(good)
	later[19] = 2
	var newer bytes.Buffer
	a, err := archive.NewWriter(&newer, archive.Header{Node: r.name, Schema: uint32(recordSchema) + 1})
	if err == nil {
		err = a.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	named := target
	named.Name = "localhost:1"
	refuses(t, dir, "cut short", restores(target, good[:len(good)-1]))
	refuses(t, dir, "damaged", restores(target, flipped))
	refuses(t, dir, "no backup of a PeerBrain node", restores(target, []byte("something else")))
	refuses(t, dir, "a later release", restores(target, later))
	refuses(t, dir, "schema", restores(target, newer.Bytes()))
	refuses(t, dir, fmt.Sprintf(`it is of node %q, not of "localhost:1"`, r.name), restores(named, good))
	refuses(t, c.Data, "is not empty", restores(c, good))
	refuses(t, dir, "no such file", func() error { _, err := Restore(t.Context(), target, filepath.Join(dir, "nothing"), nil); return err })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	refuses(t, dir, "interrupted", func() error { _, err := Restore(gone, target, file, nil); return err })
}

// TestInterruptedRestore leaves what a restore leaves that was killed: nothing is
// served, and the next restore begins anew.
func TestInterruptedRestore(t *testing.T) {
	c, r, _, _, file := backedUp(t)
	name := r.name
	r.ends(t)
	c.Data = filepath.Join(t.TempDir(), "new")
	half, err := bolt.Open(filepath.Join(c.Data, ownFile+partial), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Apply(t.Context(), store.Change{Key: nameKey, Value: []byte("of an earlier file")}); err != nil {
		t.Fatal(err)
	}
	again := func() error { _, err := Restore(t.Context(), c, file, nil); return err }
	serves := func() error {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		return Run(ctx, c, slog.New(slog.DiscardHandler), func(string) { t.Error("ready"); stop() })
	}
	refuses(t, c.Data, "another restore", again)
	refuses(t, c.Data, "was interrupted; run peerbrain-node restore again", serves)
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, c.Data, "was interrupted; run peerbrain-node restore again", serves)
	if err := os.WriteFile(filepath.Join(c.Data, ownFile+partial), []byte("not even a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if got := recordsOf(t, c.Data)[nameKey]; got != string(name) {
		t.Errorf("got the node %q, want %q", got, name)
	}
}

// TestRestoreEverywhere carries a backup into a store of another kind.
func TestRestoreEverywhere(t *testing.T) {
	c, r, _, _, file := backedUp(t)
	r.ends(t)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory := storetest.NewMemory()
	now := time.Now()
	if err := restore(t.Context(), memory, f, now); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for rec, err := range memory.Scan(t.Context(), store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[rec.Key] = string(rec.Value)
	}
	for key, value := range recordsOf(t, c.Data) {
		if !isPassing(key) && !isRemade(key) && got[key] != value {
			t.Errorf("%s: got another value", key)
		}
		delete(got, key)
	}
	var lost regainRecord
	if err := wire.DecodeOwn("record", []byte(got[regainKey]), &lost); err != nil || lost.Since != now.UnixMilli() {
		t.Errorf("what marks a restore: got %+v, %v", lost, err)
	}
	delete(got, highWaterKey)
	delete(got, regainKey)
	if len(got) > 0 {
		t.Errorf("besides there are %d records", len(got))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := restore(t.Context(), storetest.NewMemory(), io.LimitReader(f, 500), now); !errors.Is(err, archive.ErrCut) {
		t.Errorf("a file that was cut short since it was verified: got %v, want %v", err, archive.ErrCut)
	}
	var wrong bytes.Buffer
	a, err := archive.NewWriter(&wrong, archive.Header{Node: r.name, Schema: uint32(recordSchema)})
	if err == nil {
		err = errors.Join(a.Add(store.Record{Key: documentKey, Value: []byte("no record")}), a.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(t.Context(), storetest.NewMemory(), &wrong, now); err == nil || !strings.Contains(err.Error(), documentKey) {
		t.Errorf("a document that is none: got %v", err)
	}
	for _, key := range []string{logKey, topKey(1)} {
		var wrong bytes.Buffer
		a, err := archive.NewWriter(&wrong, archive.Header{Node: r.name, Schema: uint32(recordSchema)})
		if err == nil {
			err = errors.Join(a.Add(store.Record{Key: key, Value: []byte("no record")}), a.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := restore(t.Context(), storetest.NewMemory(), &wrong, now); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s that is none: got %v", key, err)
		}
	}
	if err := backup(t.Context(), memory, io.Discard, now); err == nil || !strings.Contains(err.Error(), "at one moment") {
		t.Errorf("a store without snapshots: got %v", err)
	}
}

// TestReplayAfterRestore is F6 over a restore: requests that the node accepted
// after the copy was made, one of them by a clock that is ahead, are not accepted
// once more by the node that is made of the copy.
func TestReplayAfterRestore(t *testing.T) {
	c := devConfig(t)
	a := attacks(t, runs(t, c))
	a.begins(t)
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := Backup(t.Context(), c, file, nil); err != nil {
		t.Fatal(err)
	}
	p := a.Pen(a.Me, a.Routes[0])
	p.Created, p.Expires = p.At(int64(wire.SignatureAhead/time.Second)-1), p.At(200)
	ahead := p.Write()
	if answers, err := a.Send(ahead.Bytes()); err != nil || len(answers) != 1 || answers[0].Status != 200 {
		t.Fatalf("a request that is ahead: got %+v, %v", answers, err)
	}
	a.Controls(t)
	a.running.ends(t)
	c.Name, c.Listen, c.Data = a.name, a.Addr, filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), c, file, nil); err != nil {
		t.Fatal(err)
	}
	a.running = runs(t, c)
	a.Again(t)
	if answers, err := a.Send(ahead.Bytes()); err != nil || len(answers) != 1 || answers[0].Status != 401 {
		t.Errorf("a request that was ahead, again: got %+v, %v", answers, err)
	}
	a.Meet(t, a.Me) // honest ones pass before long
}

// TestControlSocket speaks to it as other programs might.
func TestControlSocket(t *testing.T) {
	c := devConfig(t)
	path := filepath.Join(c.Data, controlFile)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	r := runs(t, c)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600|os.ModeSocket {
		t.Errorf("got %v, %v", info, err)
	}
	says := func(words string) string {
		t.Helper()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, words); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		return string(answer)
	}
	if got := says("restart\n"); got != "no this release of peerbrain-node does not know the request\n" {
		t.Errorf("got %q", got)
	}
	if got := says("backup\n"); !strings.HasPrefix(got, "ok\npeerbrain-backup") {
		t.Errorf("got %.20q", got)
	}
	r.ends(t)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Name = r.name
	r = runs(t, c) // serves all the same
	if !strings.Contains(r.log.String(), "no control socket") {
		t.Error("the log does not tell that there is none")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "somebody's" {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestOneBackupAtATime holds one up and asks for another.
func TestOneBackupAtATime(t *testing.T) {
	dir := t.TempDir()
	own, err := bolt.Open(filepath.Join(dir, ownFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	changes := []store.Change{{Key: nameKey, Value: []byte("node.example")}}
	for i := range 4 { // more than a socket takes without a reader
		changes = append(changes, store.Change{Key: fmt.Sprintf("x/%d", i), Value: make([]byte, 2<<20)})
	}
	if err := own.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	c, err := openControl(dir, nil, own, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, err := dialControl(t.Context(), dir, controlBackup)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := dialControl(t.Context(), dir, controlBackup)
	if err == nil { // and its end would be waited for
		second.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "another backup of this node is under way") {
		t.Fatalf("a second one: got %v", err)
	}
	if err := c.close(); err != nil { // while one is under way
		t.Fatal(err)
	}
	if _, _, err := inspect(first, func(store.Record) error { return nil }); err == nil {
		t.Error("the end of what was broken off proves it to be whole")
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if c, err = openControl(dir, nil, own, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	refuses(t, kept, "did not finish the copy", func() error {
		_, err := Backup(t.Context(), Config{Data: dir}, filepath.Join(kept, "cut"), func(int64) { c.close() })
		return err
	})
}

func TestControlRefuses(t *testing.T) {
	if err := allowed(os.Getuid()); err != nil {
		t.Errorf("the same user: got %v", err)
	}
	if err := allowed(0); err != nil {
		t.Errorf("root: got %v", err)
	}
	if err := allowed(os.Getuid() + 1); err == nil {
		t.Error("another user: got no error")
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := openControl(long, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "choose a shorter folder") {
		t.Errorf("a long path: got %v", err)
	}
	if _, err := dialControl(t.Context(), long, controlBackup); err == nil || !strings.Contains(err.Error(), "choose a shorter folder") {
		t.Errorf("a long path: got %v", err)
	}
	dir := t.TempDir()
	first, err := openControl(dir, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if _, err := openControl(dir, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "another process answers at") {
		t.Errorf("a folder of another process: got %v", err)
	}
	if _, err := dialControl(t.Context(), dir, controlBackup); err == nil || !strings.Contains(err.Error(), "a node on MongoDB is copied from its database") {
		t.Errorf("a backup of a database: got %v", err)
	}
}

// failsOnce is a store whose first Apply fails.
type failsOnce struct {
	store.Store
	failed bool
}

func (s *failsOnce) Apply(ctx context.Context, changes ...store.Change) error {
	if !s.failed {
		s.failed = true
		return errors.New("canary: not written")
	}
	return s.Store.Apply(ctx, changes...)
}

// TestRestoreInBatches restores more than is written at once: all of it is there,
// and what fails in between is not forgotten at the end.
func TestRestoreInBatches(t *testing.T) {
	from, err := bolt.Open(filepath.Join(t.TempDir(), ownFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	changes := []store.Change{{Key: nameKey, Value: []byte("node.example")}}
	for i := range restoreBatch + 10 {
		changes = append(changes, store.Change{Key: fmt.Sprintf("entry/%08d", i), Value: []byte{1}})
	}
	if err := from.Apply(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := backup(t.Context(), from, &archive, time.Now()); err != nil {
		t.Fatal(err)
	}
	memory := storetest.NewMemory()
	if err := restore(t.Context(), memory, bytes.NewReader(archive.Bytes()), time.Now()); err != nil {
		t.Fatal(err)
	}
	restored := 0
	for _, err := range memory.Scan(t.Context(), store.Prefix("entry/")) {
		if err != nil {
			t.Fatal(err)
		}
		restored++
	}
	if restored != restoreBatch+10 {
		t.Errorf("%d records were restored, want %d", restored, restoreBatch+10)
	}
	err = restore(t.Context(), &failsOnce{Store: storetest.NewMemory()}, bytes.NewReader(archive.Bytes()), time.Now())
	if err == nil || !strings.Contains(err.Error(), "canary") {
		t.Errorf("a store that fails once: got %v", err)
	}
}

// TestRestoreMemory restores more than may be in use meanwhile, and looks at what is
// while the file is read: it does not grow with the file.
func TestRestoreMemory(t *testing.T) {
	undetected(t)
	const size, most = 64 << 20, 20 << 20 // bytes
	from, to := io.Pipe()
	go func() { to.CloseWithError(writeEntries(to, size)) }()
	before, highest, looked := inUse(), uint64(0), int64(0)
	watched := &counter{r: from, tell: func(read int64) {
		if read-looked > 1<<20 {
			highest, looked = max(highest, inUse()), read
		}
	}}
	if err := restoreInto(t.Context(), filepath.Join(t.TempDir(), ownFile), watched); err != nil {
		t.Fatal(err)
	}
	used := int64(highest) - int64(before)
	if t.Logf("%d KiB in use to restore %d KiB", used>>10, looked>>10); used > most || looked < size {
		t.Errorf("got %d bytes in use to restore %d, want %d at most", used, looked, most)
	}
}

// writeEntries writes a backup of records as posts of 600 bytes have them.
func writeEntries(to io.Writer, size int) error {
	w, err := archive.NewWriter(to, archive.Header{Node: "node.example", Schema: uint32(recordSchema)})
	for i := 0; err == nil && i*1600 < size; i++ {
		value := make([]byte, 1600)
		rand.Read(value)
		err = w.Add(store.Record{Key: fmt.Sprintf("entry/%020d", i), Value: value})
	}
	if err != nil {
		return err
	}
	return w.Close()
}

// inUse is how many bytes are in use, without garbage.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// isRemade reports whether a restore gives a record another value, or lets the first
// start write it.
func isRemade(key string) bool {
	return key == highWaterKey || key == documentKey || key == logKey || strings.HasPrefix(key, topPrefix)
}
