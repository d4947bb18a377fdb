package story_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// plainVariable lets the test's own binary be a plain server: see TestMain.
const plainVariable = "STORY_PLAIN_PAGE"

// A plain server is what a node is measured against: the same web framework,
// that sends a page it has in memory, and reads posts and forgets them. It is a
// process of its own, like a node.
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
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	must(os.Stdout.WriteString(l.Addr().String() + "\n"))
	go func() {
		must(io.Copy(io.Discard, os.Stdin))
		os.Exit(0)
	}()
	panic(app.Listener(l))
}
