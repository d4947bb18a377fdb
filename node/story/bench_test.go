package story_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// What nodes do over HTTP, as processes of their own, each figure beside what
// the machine can do in the same run. `make bench` prints the tables of
// docs/benchmarks.md; -benchtime 1x is enough, each measures its own rounds.

// startNode starts a node of its own, which ends with the benchmark. It takes
// members' word for where they are, so that they do not share one budget.
func startNode(t testing.TB, name string) *server {
	s := must(newServer(built(t), t.TempDir(), name))
	s.flags = []string{"--proxies", "127.0.0.1"}
	must(0, s.start())
	t.Cleanup(func() {
		memberClient.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// load is something that is asked of the node.
func (s *server) load(round func() [][][]byte) *load {
	return &load{at: s.listen, pid: s.pid(), round: round}
}

func (p plain) load(round func() [][][]byte) *load { return &load{at: p.at, pid: p.pid, round: round} }

// posting is a round in which each of the authors sends posts, signed when the
// round is made.
func posting(authors []*member, each int) func() [][][]byte {
	return func() [][][]byte {
		round := make([][][]byte, len(authors))
		inParallel(len(authors), func(i int) {
			for range each {
				round[i] = append(round[i], authors[i].post())
			}
		})
		return round
	}
}

// publish lets the authors write so many posts each.
func publish(authors []*member, each int) {
	for done := 0; done < each; done += 50 {
		for some := range slices.Chunk(authors, 64) {
			(&load{at: some[0].home.listen, pid: os.Getpid(), round: posting(some, min(50, each-done))}).run()
		}
	}
}

// BenchmarkPost: posts of 600 bytes of text, acknowledged when they are on disk.
func BenchmarkPost(b *testing.B) {
	once(b, func() {
		node, fiber := startNode(b, "node"), newPlain(b, []byte("{}"))
		authors := newMembers(b, node, "author", 64)
		sample := authors[0].post()
		authors[0].publishes(sample)
		before, stored := node.size("own.db"), 0
		alone, crowd := node.load(posting(authors[:1], 400)), node.load(posting(authors, 150))
		plainOne, plainCrowd := fiber.load(same(1, 2000, sample)), fiber.load(same(64, 300, sample))
		disk := &fsyncLoop{path: filepath.Join(b.TempDir(), "loop"), bytes: sample}
		interleave(alone, disk, plainOne, crowd, plainCrowd)
		stored = len(alone.times) + len(crowd.times)
		row := func(name string, l, beside *load) []any {
			return []any{name, l.rate(), l.percentile(50), l.percentile(99), l.micros(), l.rate() / beside.rate()}
		}
		tabulate("Posts over HTTP, fsynced",
			[]any{"what", "posts/s", "p50", "p99", "server's CPU each, us", "of plain fiber"},
			row("1 client", alone, plainOne), row("64 clients", crowd, plainCrowd),
			row("plain fiber reads the same, 1 client", plainOne, plainOne), row("plain fiber, 64 clients", plainCrowd, plainCrowd),
			[]any{"write and fsync the same bytes in a loop", 1 / percentile(disk.times, 50).Seconds(), percentile(disk.times, 50), percentile(disk.times, 99), "", ""})
		each := float64(node.size("own.db")-before) / float64(stored)
		tabulate("Disk for a post", []any{"posts", "bytes each", "ciphertext", "ratio", "goal"},
			[]any{stored, each, sealedPost, each / sealedPost, "2.2"})
	})
}

// publishes sends one post that was signed before.
func (m *member) publishes(request []byte) {
	c := dial(m.home.listen)
	c.ask(request)
	must(0, c.Close())
}

func (s *server) size(file string) int64 { return must(os.Stat(filepath.Join(s.data, file))).Size() }

// BenchmarkFeed: pages of 50 posts of 600 bytes of text of somebody with 200
// friends, who was told of all streams before, beside plain fiber with the same
// bytes in memory; the same as friends grow, and the page that tells of all.
func BenchmarkFeed(b *testing.B) {
	once(b, func() {
		node := startNode(b, "node")
		authors := newMembers(b, node, "author", 2000)
		few, some, many := newMember(b, node, "few"), newMember(b, node, "some"), newMember(b, node, "many")
		few.befriends(authors[:20])
		some.befriends(authors[:200])
		many.befriends(authors)
		publish(authors, 5)
		page, get := some.nextPage(50)
		fiber := newPlain(b, page)
		one, crowd := node.load(same(1, 500, get)), node.load(same(16, 100, get))
		plainOne, plainCrowd := fiber.load(same(1, 5000, get)), fiber.load(same(16, 1000, get))
		interleave(one, plainOne, crowd, plainCrowd)
		row := func(name string, l, beside *load) []any {
			return []any{name, l.rate(), l.percentile(50), l.percentile(99), l.micros(), l.rate() / beside.rate()}
		}
		tabulate(fmt.Sprintf("Feed pages of 50 posts, %s bytes, 200 friends", thousands(len(page))),
			[]any{"what", "pages/s", "p50", "p99", "server's CPU each, us", "of plain fiber"},
			row("1 client", one, plainOne), row("16 clients", crowd, plainCrowd),
			row("plain fiber, 1 client", plainOne, plainOne), row("plain fiber, 16 clients", plainCrowd, plainCrowd))

		_, getFew := few.nextPage(50)
		_, getMany := many.nextPage(50)
		byFriends := []*load{node.load(same(1, 1000, getFew)), node.load(same(1, 1000, getMany))}
		whole := []*load{node.load(few.feed(200)), node.load(many.feed(200))}
		interleave(byFriends[0], byFriends[1], whole[0], whole[1])
		ratios("Feed page of 50 as friends grow, after the first", "friends", []string{"20", "2,000"}, byFriends)
		ratios("The first feed page, which tells of all streams", "friends", []string{"20", "2,000"}, whole)
	})
}

// BenchmarkFeedGrowth: the same page where 200 friends wrote 1,000 posts in all,
// and where they wrote 100,000.
func BenchmarkFeedGrowth(b *testing.B) {
	once(b, func() {
		var loads []*load
		for _, each := range []int{5, 500} {
			node := startNode(b, fmt.Sprint("node", each))
			authors, reader := newMembers(b, node, "author", 200), newMember(b, node, "reader")
			reader.befriends(authors)
			publish(authors, each)
			_, get := reader.nextPage(50)
			loads = append(loads, node.load(same(1, 1000, get)))
		}
		interleave(loads[0], loads[1])
		ratios("Feed page of 50 as posts grow, 200 friends", "posts", []string{"1,000", "100,000"}, loads)
	})
}

// feed is a round of pages that tell of all streams, for one client.
func (m *member) feed(times int) func() [][][]byte {
	return same(1, times, m.request("GET", wire.PathFeed+"?limit=50", nil))
}

// nextPage returns the bytes of the newest page of the feed for somebody who was
// told of all streams, and what asks for it: as soon as all that is readable by
// then has so many items.
func (m *member) nextPage(items int) (page, request []byte) {
	path := wire.PathFeed + fmt.Sprint("?limit=", items)
	for deadline := time.Now().Add(newsArrive); ; time.Sleep(nextLook) {
		var reply wire.FeedReply
		m.ask("GET", path, nil, &reply)
		path := path + "&since=" + reply.State
		if m.ask("GET", path, nil, &reply); len(reply.Items) == items && !reply.All {
			return wire.EncodeJSON(reply), m.request("GET", path, nil)
		}
		if time.Now().After(deadline) {
			m.Fatalf("a page of %d items, %d were expected", len(reply.Items), items)
		}
	}
}

func ratios(title, what string, names []string, loads []*load) {
	rows := [][]any{{what, "p50", "p99", "server's CPU each, us", "ratio of p50", "goal"}}
	for i, l := range loads {
		rows = append(rows, []any{names[i], l.percentile(50), l.percentile(99), l.micros(), float64(l.percentile(50)) / float64(loads[0].percentile(50)), "1.5"})
	}
	tabulate(title, rows...)
}

// BenchmarkTwoNodes: a post on one node until a friend on another reads it, who has
// an event stream; and the feed there of 200 friends elsewhere.
func BenchmarkTwoNodes(b *testing.B) {
	once(b, func() {
		left, right := startNode(b, "left"), startNode(b, "right")
		authors, reader := newMembers(b, left, "author", 200), newMember(b, right, "reader")
		reader.befriends(authors)
		publish(authors, 5)
		watching := must(reader.watches())
		defer watching.conn.Close()
		seen := func(author *member) {
			if err := watching.waitsFor(author, author.stream.Seq); err != nil {
				b.Fatal(err)
			}
		}
		seen(authors[199])
		var times []time.Duration
		for i := range 100 {
			author := authors[i]
			post := author.post()
			start := time.Now()
			author.publishes(post)
			seen(author)
			times = append(times, time.Since(start))
		}
		page, get := reader.nextPage(50)
		fiber := newPlain(b, page)
		copied, plain := right.load(same(16, 100, get)), fiber.load(same(16, 1000, get))
		interleave(copied, plain)
		tabulate("A post until a friend on another node has read it", []any{"p50", "p99", "goal p50", "goal p99"},
			[]any{percentile(times, 50), percentile(times, 99), "5 ms", "30 ms"})
		tabulate("Feed pages of 50 posts of 200 friends elsewhere, 16 clients", []any{"pages/s", "p50", "p99", "server's CPU each, us", "of plain fiber"},
			[]any{copied.rate(), copied.percentile(50), copied.percentile(99), copied.micros(), copied.rate() / plain.rate()})
	})
}

// BenchmarkLogin: both requests of a log-in, asked for over connections that stay, one
// after the other and at once, from devices that the node knows and from new ones,
// beside what nobody can leave out: two requests of plain fiber, of which the second
// has a signature verified and something synced.
func BenchmarkLogin(b *testing.B) {
	once(b, func() {
		node, fiber := startNode(b, "node"), newPlain(b, []byte("{}"))
		all := newMembers(b, node, "member", 64)
		crowds := []string{"1 person", "16 people at once", "64 people at once"}
		var list []*logins
		var least []*load
		raw := new(verifications)
		measured := []interface{ run() }{raw}
		for i, people := range [][]*member{all[:1], all[:16], all} {
			known := &logins{node: node, name: crowds[i] + ", known devices", people: people, known: true}
			fresh := &logins{node: node, name: crowds[i] + ", new devices", people: people}
			plain := fiber.load(same(len(people), loginsEach(len(people)), all[0].loginRequests()...))
			list, least, measured = append(list, known, fresh), append(least, plain), append(measured, known, fresh, plain)
		}
		interleave(measured...)
		rows := [][]any{{"what", "p50", "p99", "server's CPU each, us", "of a verification", "goal"}}
		for _, l := range list {
			cpu := median(l.cpu)
			rows = append(rows, []any{l.name, percentile(l.times, 50), percentile(l.times, 99), cpu, cpu / median(raw.cpu), 3.6})
		}
		for i, l := range least {
			rows = append(rows, []any{"plain fiber, as many requests, " + crowds[i], "", "", 2 * l.micros(), 2 * l.micros() / median(raw.cpu), ""})
		}
		rows = append(rows, []any{"a raw verification", "", "", median(raw.cpu), 1.0, ""})
		tabulate("Log-in, both requests", rows...)
	})
}

// logins are people who log in again and again.
type logins struct {
	node   *server
	name   string
	people []*member
	known  bool // from a device that the node knows

	times []time.Duration
	cpu   []float64 // us for each log-in, of each round
}

// loginsEach is how often each of so many people logs in, in one round.
func loginsEach(people int) int { return max(100, 400/people) }

func (l *logins) run() {
	each := loginsEach(len(l.people))
	times := make([][]time.Duration, len(l.people))
	before := cpuTime(l.node.pid())
	var all sync.WaitGroup
	for i, m := range l.people {
		all.Go(func() {
			c := dialFrom("127"+m.from[len("10"):], l.node.listen) // everybody has a budget of their own
			for range each {
				if m.token = (wire.Token{}); !l.known {
					m.device = nil
				}
				start := time.Now()
				m.logInBy(c)
				times[i] = append(times[i], time.Since(start))
			}
			must(0, c.Close())
		})
	}
	all.Wait()
	l.times = append(l.times, slices.Concat(times...)...)
	l.cpu = append(l.cpu, float64((cpuTime(l.node.pid())-before).Microseconds())/float64(each*len(l.people)))
}

// verifications are what an Ed25519 signature takes to be verified, and no more.
type verifications struct{ cpu []float64 } // us for each, of each round

func (v *verifications) run() {
	const count = 10_000
	secret, message := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), make([]byte, 200)
	public, signature := secret.Public().(ed25519.PublicKey), ed25519.Sign(secret, message)
	before := cpuTime(os.Getpid())
	for range count {
		if !ed25519.Verify(public, message, signature) {
			panic("a signature is not verified")
		}
	}
	v.cpu = append(v.cpu, float64((cpuTime(os.Getpid())-before).Microseconds())/count)
}

// BenchmarkProcess: how long a node takes to start, what it needs while nobody
// asks, and how large the binaries are.
func BenchmarkProcess(b *testing.B) {
	once(b, func() {
		node := startNode(b, "node")
		row := func(name string) []any {
			var starts []time.Duration
			for range rounds {
				must(0, node.stop())
				start := time.Now()
				must(0, node.begin())
				for !node.answers() {
					time.Sleep(100 * time.Microsecond)
				}
				starts = append(starts, time.Since(start))
			}
			return []any{name, percentile(starts, 50), resident(node.pid(), "VmRSS"), resident(node.pid(), "RssAnon")}
		}
		empty := row("empty")
		authors := newMembers(b, node, "author", 200)
		publish(authors, 100)
		tabulate("A node by itself", []any{"what", "start until it serves", "resident, MiB", "of it anonymous, MiB"}, empty, row("200 people, 20,000 posts"))
		sizes := func(name string) float64 { return float64(must(os.Stat(filepath.Join(built(b), name))).Size()) / 1e6 }
		tabulate("Binaries, stripped", []any{"what", "MB", "goal"},
			[]any{"peerbrain-node", sizes("peerbrain-node"), "20"}, []any{"peerbrain", sizes("peerbrain"), "12"})
	})
}

// answers reports whether the node takes connections, and waits until it serves
// the first.
func (s *server) answers() bool {
	probe, err := net.Dial("tcp", s.listen)
	if err != nil {
		return false
	}
	c := &connection{probe, bufio.NewReader(probe)}
	c.ask(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", wire.PathHealth, s.name))
	must(0, c.Close())
	return true
}

// BenchmarkUnfriend: what a client does to remove one of 500 friends, with the
// real SDK over HTTP: a wrap for each of the others.
func BenchmarkUnfriend(b *testing.B) {
	once(b, func() {
		node := startNode(b, "node")
		ada := register(b, node, "ada", newMeter(b))
		friends := newMembers(b, node, "friend", 500)
		for _, f := range friends {
			befriends(b, ada, f)
		}
		var times []time.Duration
		var cpu []float64
		for _, f := range friends[:2*rounds] {
			before, start := cpuTime(os.Getpid()), time.Now()
			must(ada.RemoveFriend(context.Background(), f.address()))
			times = append(times, time.Since(start))
			cpu = append(cpu, float64((cpuTime(os.Getpid()) - before).Milliseconds()))
		}
		tabulate("Unfriending with 500 friends", []any{"p50", "client's CPU, ms", "goal, ms"}, []any{percentile(times, 50), median(cpu), "150"})
	})
}
