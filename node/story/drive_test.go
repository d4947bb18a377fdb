package story_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What drives nodes as hard as they go. Clients are bare connections with
// requests that were written beforehand: on the same machine, whatever they cost
// is taken from the node.

// A connection sends one request after the other.
type connection struct {
	net.Conn
	in *bufio.Reader
}

func dial(at string) *connection {
	return newConnection(must(net.Dial("tcp", at)))
}

// dialFrom dials from an address of this machine, of which there are many on Linux.
func dialFrom(from, at string) *connection {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return newConnection(must(d.Dial("tcp", at)))
}

func newConnection(c net.Conn) *connection {
	return &connection{c, bufio.NewReaderSize(c, 256<<10)}
}

// ask sends a request and reads the answer to its end. Any status but 200 panics.
func (c *connection) ask(request []byte) {
	status, length, err := c.begin(request)
	if must(status, err) != 200 {
		panic(fmt.Sprintf("%.60q: status %d", request, status))
	}
	must(c.in.Discard(length))
}

// exchange sends a request and returns the answer.
func (c *connection) exchange(request []byte) (status int, body []byte, err error) {
	status, length, err := c.begin(request)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return status, body, err
}

// begin sends a request and reads the head of the answer.
func (c *connection) begin(request []byte) (status, length int, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, 0, err
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		switch v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); {
		case status == 0:
			if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d ", &status); err != nil {
				return 0, 0, fmt.Errorf("%.60q: %w", line, err)
			}
		case ok:
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return 0, 0, err
			}
		case len(line) <= 2:
			return status, length, nil
		}
	}
}

// A load is one thing to be measured: what its clients ask for, client by client,
// in one round.
type load struct {
	at    string // host:port
	pid   int    // whose CPU is counted
	round func() [][][]byte

	rates, cpu []float64 // of each round: requests/s, and us for each request
	times      []time.Duration
}

// run measures one round.
func (l *load) run() {
	requests := l.round()
	total := 0
	clients := make([]*connection, len(requests))
	for i, list := range requests {
		clients[i], total = dial(l.at), total+len(list)
	}
	times := make([][]time.Duration, len(requests))
	before, start := cpuTime(l.pid), time.Now()
	var all sync.WaitGroup
	for i, list := range requests {
		all.Go(func() {
			for _, r := range list {
				sent := time.Now()
				clients[i].ask(r)
				times[i] = append(times[i], time.Since(sent))
			}
		})
	}
	all.Wait()
	took, used := time.Since(start), cpuTime(l.pid)-before
	for _, c := range clients {
		must(0, c.Close())
	}
	l.rates = append(l.rates, float64(total)/took.Seconds())
	l.cpu = append(l.cpu, float64(used.Microseconds())/float64(total))
	l.times = append(l.times, slices.Concat(times...)...)
}

const rounds = 5

// interleave runs all loads in turn, so that what disturbs one disturbs all.
func interleave(loads ...interface{ run() }) {
	for range rounds {
		for _, l := range loads {
			l.run()
		}
	}
}

func (l *load) rate() float64   { return median(l.rates) }
func (l *load) micros() float64 { return median(l.cpu) }

// percentile of the times of all rounds together.
func (l *load) percentile(p int) time.Duration { return percentile(l.times, p) }

func percentile(times []time.Duration, p int) time.Duration {
	slices.Sort(times)
	return times[(len(times)-1)*p/100]
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// same is a round in which so many clients ask the same so often, one request after
// the other.
func same(clients, times int, requests ...[]byte) func() [][][]byte {
	round := slices.Repeat([][][]byte{slices.Repeat(requests, times)}, clients)
	return func() [][][]byte { return round }
}

// An fsyncLoop writes and syncs the same bytes again and again at the end of a
// file, which is what the disk can do at best.
type fsyncLoop struct {
	path  string
	bytes []byte
	times []time.Duration
}

func (l *fsyncLoop) run() {
	f := must(os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	for range 500 {
		start := time.Now()
		must(f.Write(l.bytes))
		must(0, f.Sync())
		l.times = append(l.times, time.Since(start))
	}
	must(0, f.Close())
}

// cpuTime is what a process used so far, in user and kernel (proc(5), in ticks
// of 10 ms).
func cpuTime(pid int) time.Duration {
	text := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+2:])
	ticks := must(strconv.Atoi(fields[11])) + must(strconv.Atoi(fields[12]))
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is one figure of /proc/PID/status, in MiB.
func resident(pid int, name string) float64 {
	for line := range strings.Lines(string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))))) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return must(strconv.ParseFloat(strings.Fields(v)[0], 64)) / 1024
		}
	}
	panic("no " + name)
}

// once makes a benchmark of something that measures by itself. It needs what
// Linux tells of processes.
func once(b *testing.B, measure func()) {
	if runtime.GOOS != "linux" {
		b.Skip("what a process used is read as Linux tells it")
	}
	for range b.N {
		measure()
	}
}

// tabulate prints a table in Markdown: title, heads and rows.
func tabulate(title string, rows ...[]any) {
	fmt.Printf("\n### %s\n\n", title)
	for i, row := range rows {
		for _, cell := range row {
			fmt.Print("| ", show(cell), " ")
		}
		fmt.Println("|")
		if i == 0 {
			fmt.Println(strings.Repeat("| --- ", len(row)) + "|")
		}
	}
	fmt.Println()
}

// show writes figures as a reader wants them: three digits, and a unit.
func show(cell any) string {
	switch v := cell.(type) {
	case time.Duration:
		switch {
		case v < time.Millisecond:
			return show(float64(v)/1e3) + " us"
		case v < time.Second:
			return show(float64(v)/1e6) + " ms"
		}
		return show(v.Seconds()) + " s"
	case int:
		return thousands(v)
	case float64:
		switch {
		case v >= 1000:
			return thousands(int(v))
		case v >= 100:
			return fmt.Sprintf("%.0f", v)
		}
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprint(cell)
}

func thousands(v int) string {
	if v < 1000 {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%s,%03d", thousands(v/1000), v%1000)
}
