package story_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// growthVariable names the folders of nodes that `make grow` made, the smallest
// first, with spaces between them.
const growthVariable = "PEERBRAIN_TEST_GROWTH"

// BenchmarkGrowth: what a node does on stores of several sizes, side by side
// (make growth). It writes into them, and prints what it measured as it goes.
func BenchmarkGrowth(b *testing.B) {
	list := strings.Fields(os.Getenv(growthVariable))
	if len(list) == 0 {
		b.Skip("no stores are named in " + growthVariable)
	}
	once(b, func() {
		t := &growthTable{head: []any{"what"}}
		for _, folder := range list {
			g := openGrown(b, folder)
			t.nodes = append(t.nodes, g)
			t.head = append(t.head, g.sized())
		}
		t.starts()
		t.pages(b)
		t.posts()
		t.readers()
		t.mixed()
		tabulate("Growth", append([][]any{append(t.head, "ratio")}, t.rows...)...)
		for _, g := range t.nodes {
			must(0, g.stop())
		}
	})
}

// A growthTable has a column for each store.
type growthTable struct {
	nodes []*grownNode
	head  []any
	rows  [][]any
}

// measure adds rows of figures: all rows of one node are measured before the next.
func (t *growthTable) measure(names []string, do func(g *grownNode) []any) {
	rows := make([][]any, len(names))
	for i, name := range names {
		rows[i] = []any{name}
	}
	for _, g := range t.nodes {
		for i, cell := range do(g) {
			rows[i] = append(rows[i], cell)
		}
	}
	for _, row := range rows {
		row = append(row, amount(row[len(row)-1])/amount(row[1]))
		fmt.Fprintln(os.Stderr, row...) // as it goes: it takes minutes
		t.rows = append(t.rows, row)
	}
}

func amount(cell any) float64 {
	switch v := cell.(type) {
	case time.Duration:
		return float64(v)
	case int:
		return float64(v)
	}
	return cell.(float64)
}

// A grownNode serves a store that `make grow` made.
type grownNode struct {
	testing.TB
	*server
	people []*member
}

func openGrown(t testing.TB, folder string) *grownNode {
	var keys struct {
		Node   string `json:"node"`
		People []struct {
			Handle   wire.Handle     `json:"handle"`
			Account  wire.AccountID  `json:"account"`
			Audience wire.AudienceID `json:"audience"`
			Content  wire.Commitment `json:"content"`
			Keys     wire.Signed     `json:"keys"`
			Vault    wire.Signed     `json:"vault"`
			Identity wire.Bytes      `json:"identity"`
			Login    wire.Bytes      `json:"login"`
			Token    wire.Bytes      `json:"token"`
		} `json:"people"`
	}
	must(0, json.Unmarshal(must(os.ReadFile(filepath.Join(folder, "people.json"))), &keys))
	s := must(newServer(built(t), t.TempDir(), "grown"))
	s.name, s.listen, s.data = keys.Node, "127.0.0.1"+keys.Node[len("localhost"):], folder
	s.flags = []string{"--proxies", "127.0.0.1"}
	g := &grownNode{TB: t, server: s}
	for i, k := range keys.People {
		g.people = append(g.people, &member{
			TB: t, home: s, from: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), handle: k.Handle, account: k.Account, audience: k.Audience,
			content: k.Content, statement: k.Keys, vault: k.Vault, identity: wire.NewIdentitySecret([32]byte(k.Identity)),
			login: wire.NewLoginSecret([32]byte(k.Login)), token: wire.NewToken([32]byte(k.Token)),
		})
	}
	t.Cleanup(func() { must(0, s.kill()) })
	return g
}

// sized tells how large the store is.
func (g *grownNode) sized() string {
	return fmt.Sprintf("%s people, %.1f GB", thousands(len(g.people)), float64(g.size("own.db"))/1e9)
}

// catchUp lets a member go on where their stream stands.
func (m *member) catchUp() {
	var reply wire.StreamReply
	m.ask("GET", fmt.Sprintf("/v1/streams/%s/%s?limit=1&before=%d", m.account, m.audience, 1<<40), nil, &reply)
	newest := reply.Entries[0]
	h := must(wire.OpenEntryHeader(newest.Header, m.identity.Public()))
	m.stream = wire.StreamHead{Seq: h.Seq, ID: newest.ID(), Epoch: h.Epoch, Created: h.Created, KeySeq: h.KeySeq}
}

// begins starts the node, and returns how long it took until it served.
func (g *grownNode) begins() time.Duration {
	start := time.Now()
	must(0, g.begin())
	for !g.answers() {
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(start)
}

// chill lets the system forget what it has in memory of the stores.
func (g *grownNode) chill() {
	for _, name := range []string{"own.db", "copies.db"} {
		f := must(os.Open(filepath.Join(g.data, name)))
		must(0, f.Sync())
		must(0, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		must(0, f.Close())
	}
}

// settles waits until nothing is left of a start: only then an unknown post is
// known not to be there.
func (g *grownNode) settles() {
	if status, _ := g.people[0].try("GET", "/v1/posts/"+wire.EntryID(random32()).String(), nil, nil); status != 404 {
		g.Fatalf("an unknown post: status %d", status)
	}
}

func (t *growthTable) starts() {
	t.measure([]string{"start, nothing of the files in memory"}, func(g *grownNode) []any {
		var times []time.Duration
		for range rounds {
			g.chill()
			times = append(times, g.begins())
			must(0, g.stop())
		}
		return []any{percentile(times, 50)}
	})
	t.measure([]string{
		"start after kill -9", "the first feed page after that", "what is left to do, until then", "CPU of all that", "anonymous memory then, MiB",
	}, func(g *grownNode) []any {
		var times, pages, settled []time.Duration
		var used, anonymous []float64
		must(0, g.start())
		for i := range rounds {
			must(0, g.kill())
			start := time.Now()
			times = append(times, g.begins())
			pages = append(pages, g.people[i].reads(dial(g.listen)))
			g.settles()
			settled = append(settled, time.Since(start))
			used = append(used, cpuTime(g.pid()).Seconds())
			anonymous = append(anonymous, resident(g.pid(), "RssAnon"))
		}
		return []any{
			percentile(times, 50), percentile(pages, 50), percentile(settled, 50), time.Duration(median(used) * float64(time.Second)), median(anonymous),
		}
	})
}

// reads asks for the first page of a member, and returns how long that took.
func (m *member) reads(c *connection) time.Duration {
	start := time.Now()
	c.ask(m.feed(1)()[0][0])
	return time.Since(start)
}

// usage is what one of so many requests took.
func usage(pid int, before time.Duration, requests int) time.Duration {
	return (cpuTime(pid) - before) / time.Duration(requests)
}

func (t *growthTable) pages(b testing.TB) {
	t.measure([]string{"first page of somebody, p50", "CPU each"}, func(g *grownNode) []any {
		c, before := dial(g.listen), cpuTime(g.pid())
		defer c.Close()
		var times []time.Duration
		for i := range min(100, len(g.people)) {
			times = append(times, g.people[i].reads(c))
		}
		return []any{percentile(times, 50), usage(g.pid(), before, len(times))}
	})
	t.measure([]string{"pages behind a cursor, p50", "CPU each"}, func(g *grownNode) []any {
		c, before := dial(g.listen), cpuTime(g.pid())
		defer c.Close()
		var times []time.Duration
		for i := range min(20, len(g.people)) {
			var reply wire.FeedReply
			path := wire.PathFeed + "?limit=50"
			for range 10 {
				start := time.Now()
				status, body, err := c.exchange(g.people[i].request("GET", path, nil))
				if times = append(times, time.Since(start)); must(status, err) != 200 {
					g.Fatalf("status %d, %s", status, body)
				}
				reply = wire.FeedReply{}
				must(0, wire.DecodeJSON(body, &reply))
				path = wire.PathFeed + "?limit=50&before=" + reply.Cursor + "&since=" + reply.State
			}
		}
		return []any{percentile(times, 50), usage(g.pid(), before, len(times))}
	})
	var loads, plains []*load
	for _, g := range t.nodes {
		page, get := g.people[0].nextPage(50)
		loads = append(loads, g.load(same(16, 100, get)))
		plains = append(plains, newPlain(b, page).load(same(16, 1000, get)))
	}
	for range rounds {
		for i := range loads {
			loads[i].run()
			plains[i].run()
		}
	}
	next := -1
	t.measure([]string{"a page again, 16 clients, pages/s", "p50", "CPU each, us", "of plain fiber"}, func(*grownNode) []any {
		next++
		return []any{loads[next].rate(), loads[next].percentile(50), loads[next].micros(), loads[next].rate() / plains[next].rate()}
	})
}

func (t *growthTable) posts() {
	names := []string{"a post, 1 client, p50", "CPU each, us", "of somebody with 50 friends elsewhere, p50", "CPU each, us"}
	t.measure(names, func(g *grownNode) []any {
		writer, known := g.people[1], g.people[2]
		other := startNode(g, "other")
		writer.catchUp()
		known.catchUp()
		known.befriends(newMembers(g, other, "friend", 50))
		alone, shared := g.load(posting([]*member{writer}, 200)), g.load(posting([]*member{known}, 200))
		interleave(alone, shared)
		return []any{alone.percentile(50), alone.micros(), shared.percentile(50), shared.micros()}
	})
	t.measure([]string{"a post of each of many, p50", "CPU each, us"}, func(g *grownNode) []any {
		writers := g.people[len(g.people)-min(90, len(g.people)/2):] // nobody looked at their keys yet
		inParallel(len(writers), func(i int) { writers[i].catchUp() })
		l := g.load(func() [][][]byte {
			round := make([][][]byte, 1)
			for _, m := range writers {
				round[0] = append(round[0], m.post())
			}
			return round
		})
		l.run()
		return []any{l.percentile(50), l.micros()}
	})
	t.measure([]string{"log-in, p50", "CPU each"}, func(g *grownNode) []any {
		before := cpuTime(g.pid())
		var times []time.Duration
		for i := range 100 {
			m := *g.people[(3+i)%len(g.people)]
			m.token = wire.Token{}
			start := time.Now()
			m.logIn()
			times = append(times, time.Since(start))
		}
		return []any{percentile(times, 50), usage(g.pid(), before, len(times))}
	})
}

// readers lets everybody read, one after the other.
func (t *growthTable) readers() {
	t.measure([]string{
		"anonymous memory after 1 of 10 people read, MiB", "after 5 of 10", "after all", "CPU each",
	}, func(g *grownNode) (figures []any) {
		must(0, g.stop())
		must(0, g.start())
		g.settles()
		before, done := cpuTime(g.pid()), 0
		for _, part := range []int{1, 5, 10} {
			until := len(g.people) * part / 10
			requests := make([][][]byte, 4)
			for i, m := range g.people[done:until] {
				requests[i%4] = append(requests[i%4], m.feed(1)()[0][0])
			}
			g.load(func() [][][]byte { return requests }).run()
			figures, done = append(figures, resident(g.pid(), "RssAnon")), until
		}
		return append(figures, usage(g.pid(), before, len(g.people)))
	})
}

const mixedTime = 60 * time.Second

// mixed puts a load of all kinds on each node, of people at random: of 20 requests,
// 16 are pages, newer or older, 2 are posts and 2 are log-ins.
func (t *growthTable) mixed() {
	t.measure([]string{
		"requests/s of a mixed load, 16 clients", "CPU each", "anonymous memory after 60 s, MiB", "the most meanwhile, MiB",
	}, func(g *grownNode) []any {
		g.chooseWriters()
		var all sync.WaitGroup
		var requests atomic.Int64
		before, end := cpuTime(g.pid()), time.Now().Add(mixedTime)
		for client := range 16 {
			all.Go(func() {
				c := &mixedClient{g: g, number: client, connection: dial(g.listen), cursors: map[*member]string{}}
				defer c.Close()
				for time.Now().Before(end) {
					requests.Add(int64(c.step()))
				}
			})
		}
		most := 0.0
		for time.Now().Before(end) {
			most = max(most, resident(g.pid(), "RssAnon"))
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		count := int(requests.Load())
		return []any{float64(count) / mixedTime.Seconds(), usage(g.pid(), before, count), resident(g.pid(), "RssAnon"), most}
	})
}

// chooseWriters lets one in 16 people write: client i writes for people i, i+16 ...
func (g *grownNode) chooseWriters() {
	inParallel(min(16*16, len(g.people)), func(i int) { g.people[i].catchUp() })
}

// A mixedClient is one of those that put a load on a node.
type mixedClient struct {
	*connection
	g       *grownNode
	number  int
	cursors map[*member]string
}

// step asks for something, and returns how many requests that took.
func (c *mixedClient) step() int {
	m := c.g.people[rand.IntN(len(c.g.people))]
	switch n := rand.IntN(20); {
	case n < 2:
		writers := min(16, (len(c.g.people)-c.number+15)/16) // of this client alone
		c.ask(c.g.people[c.number+16*rand.IntN(writers)].post())
		return 1
	case n < 4:
		again := *m
		again.token = wire.Token{}
		again.logIn()
		return 2
	}
	path := wire.PathFeed + "?limit=50" + c.cursors[m]
	status, body, err := c.exchange(m.request("GET", path, nil))
	if must(status, err) != 200 {
		panic(fmt.Sprintf("status %d, %s", status, body))
	}
	c.cursors[m] = "&since=" + field(body, "state")
	if rand.IntN(4) == 0 {
		c.cursors[m] += "&before=" + field(body, "cursor")
	}
	return 1
}

// field is the value of a member of a JSON object that is a string without escapes
// and stands where no other member has its name.
func field(object []byte, name string) string {
	_, value, _ := bytes.Cut(object, []byte(`"`+name+`":"`))
	value, _, _ = bytes.Cut(value, []byte(`"`))
	return string(value)
}
