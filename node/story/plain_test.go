package story_test

import (
	"bufio"
	"crypto/ed25519"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// plainVariable lets the test's own binary be a plain server: see TestMain.
const plainVariable = "STORY_PLAIN_PAGE"

// A plain server is what a node is measured against: the same web framework,
// that sends a page it has in memory, and reads posts and forgets them. Of a log-in it
// does what nobody can leave out: two requests, a verification, and a write that is
// synced, which those share who log in at once. It is a process of its own, like a node.
type plain struct {
	at  string // host:port
	pid int
}

func newPlain(t testing.TB, page []byte) plain {
	file := filepath.Join(t.TempDir(), "page")
	must(0, os.WriteFile(file, page, 0o600))
	cmd := exec.Command(must(os.Executable()))
	cmd.Env = append(bare(), plainVariable+"="+file)
	cmd.Stderr = os.Stderr
	stop, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	must(0, cmd.Start())
	t.Cleanup(func() {
		if err := stop.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return plain{strings.TrimSpace(must(bufio.NewReader(out).ReadString('\n'))), cmd.Process.Pid}
}

// servePlain serves until standard input ends.
func servePlain(file string) {
	page := must(os.ReadFile(file))
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get(wire.PathFeed, func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, wire.MediaJSON)
		return c.Send(page)
	})
	app.Post(wire.PathEntries, func(c *fiber.Ctx) error {
		if len(c.Body()) == 0 {
			return fiber.ErrBadRequest
		}
		c.Set(fiber.HeaderContentType, wire.MediaJSON)
		return c.SendString(`{"id":"","arrival":0}`)
	})
	app.Post(wire.PathChallenge, func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, wire.MediaJSON)
		return c.Send(plainReply[:300])
	})
	disk := newPlainDisk(file + ".log")
	secret := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	message := make([]byte, 200)
	public, signature := secret.Public().(ed25519.PublicKey), ed25519.Sign(secret, message)
	app.Post(wire.PathLogin, func(c *fiber.Ctx) error {
		if len(c.Body()) == 0 || !ed25519.Verify(public, message, signature) {
			return fiber.ErrUnauthorized
		}
		disk.write(c.Body())
		c.Set(fiber.HeaderContentType, wire.MediaJSON)
		return c.Send(plainReply[:250])
	})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	must(os.Stdout.WriteString(l.Addr().String() + "\n"))
	go func() {
		must(io.Copy(io.Discard, os.Stdin))
		os.Exit(0)
	}()
	panic(app.Listener(l))
}

var plainReply = make([]byte, 300) // as long as the answers to a log-in

// A plainDisk writes one file. Who comes while it syncs shares the next sync.
type plainDisk struct {
	file    *os.File
	mu      sync.Mutex // held to write
	waiting sync.Mutex // held to change next
	next    *plainGroup
}

// A plainGroup is written together.
type plainGroup struct {
	bytes []byte
	taken bool // nobody joins any more
}

func newPlainDisk(path string) *plainDisk {
	must(0, os.WriteFile(path, make([]byte, 1<<20), 0o600)) // a file that grows takes longer
	return &plainDisk{file: must(os.OpenFile(path, os.O_WRONLY|os.O_SYNC, 0)), next: new(plainGroup)}
}

// write returns when b is on disk.
func (d *plainDisk) write(b []byte) {
	d.waiting.Lock()
	group := d.next
	group.bytes = append(group.bytes, b...)
	d.waiting.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if group.taken {
		return // somebody else of the group wrote it
	}
	d.waiting.Lock()
	group.taken, d.next = true, new(plainGroup)
	d.waiting.Unlock()
	must(d.file.WriteAt(group.bytes, 0))
}
