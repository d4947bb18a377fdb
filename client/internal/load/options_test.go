package load

import (
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

func TestParseMix(t *testing.T) {
	m, err := ParseMix("posts=10,feeds=80,logins=5,friendships=5")
	if err != nil || m != (Mix{10, 80, 5, 5}) || m.String() != "posts=10,feeds=80,logins=5,friendships=5" {
		t.Errorf("got %v, %v", m, err)
	}
	var picked Mix
	for n := range m.sum() {
		picked[m.pick(n)]++
	}
	if picked != m {
		t.Errorf("%v was picked of %v", picked, m)
	}
	for _, s := range []string{"", "posts", "posts=", "posts=-1", "posts=0", "posts=1,posts=2", "likes=3", "seen elsewhere=3", "posts=1,", "posts=1e3", "posts=9999999"} {
		if m, err := ParseMix(s); wire.KindOf(err) != wire.Invalid || m != (Mix{}) {
			t.Errorf("%q: got %v, %v", s, m, err)
		}
	}
}

func TestParseRamp(t *testing.T) {
	if r, err := ParseRamp("10:500:30"); err != nil || r != (Ramp{10, 500, 30 * time.Second}) {
		t.Errorf("got %v, %v", r, err)
	}
	for _, s := range []string{"", "10:500", "10:500:30:1", "a:500:30", "-1:500:30", "10:500:0", "10:1e9:30", "NaN:500:30", "10:Inf:30"} {
		if r, err := ParseRamp(s); wire.KindOf(err) != wire.Invalid || r != (Ramp{}) {
			t.Errorf("%q: got %v, %v", s, r, err)
		}
	}
}

// someOptions are in order.
func someOptions() Options {
	return Options{
		Nodes: []string{"http://localhost:8081"}, People: 10, Friends: 4, Loop: Loop{Clients: 2, Outstanding: 10},
		Length: time.Second, Size: 600, Mix: Mix{posts: 1}, Timeout: 10 * time.Second, Within: time.Second, CheckEvery: 1, CheckPosts: 1000,
	}
}

func TestOptions(t *testing.T) {
	fine := someOptions()
	if err := fine.Check(); err != nil {
		t.Fatal(err)
	}
	fine.Watch = 3
	for _, rate := range []float64{0, 5} { // of an open loop
		if fine.Rate = rate; fine.connections(2) != 2*setters+6 {
			t.Errorf("%d connections, want as many as set up on two nodes, and two for each who watches", fine.connections(2))
		}
	}
	for flag, change := range map[string]func(*Options){
		"node":        func(o *Options) { o.Nodes = nil },
		"people":      func(o *Options) { o.People = 1 },
		"friends":     func(o *Options) { o.Friends = 10 },
		"posts":       func(o *Options) { o.Posts = -1 },
		"size":        func(o *Options) { o.Size = 65001 },
		"clients":     func(o *Options) { o.Clients = 0 },
		"outstanding": func(o *Options) { o.Outstanding = 10_001 },
		"check-every": func(o *Options) { o.CheckEvery = -1 },
		"check-posts": func(o *Options) { o.CheckPosts = -1 },
		"seconds":     func(o *Options) { o.Length = 0 },
		"warmup":      func(o *Options) { o.Warmup = -time.Second },
		"within":      func(o *Options) { o.Within = 0 },
		"timeout":     func(o *Options) { o.Timeout = time.Hour },
		"rate":        func(o *Options) { o.Rate = -1 },
		"ramp":        func(o *Options) { o.Rate, o.Ramp = 1, Ramp{1, 2, time.Second} },
		"presign":     func(o *Options) { o.Presign = true },
		"mix":         func(o *Options) { o.Mix = Mix{} },
		"watch":       func(o *Options) { o.Watch = 11 },
		"watch ":      func(o *Options) { o.Watch, o.Friends = 1, 0 },
		"watch  ":     func(o *Options) { o.Watch, o.Mix = 1, Mix{feeds: 1} },
		"watch   ":    func(o *Options) { o.Watch, o.Varies = 1, true },
	} {
		o := someOptions()
		change(&o)
		if err := o.Check(); wire.KindOf(err) != wire.Invalid || !strings.HasPrefix(err.Error(), strings.TrimSpace(flag)+": ") {
			t.Errorf("%s: got %v", flag, err)
		}
	}
}

func TestParseNode(t *testing.T) {
	for text, want := range map[string]wire.NodeName{
		"http://localhost:8081": "localhost:8081", "localhost:8081": "localhost:8081", "http://localhost/": "localhost",
		"https://node.example": "node.example", "node.example": "node.example",
	} {
		if n, err := parseNode(text); err != nil || n.name != want {
			t.Errorf("%q: got %v, %v, want %s", text, n, err, want)
		}
	}
	for _, text := range []string{"", "http://", "http://127.0.0.1:8081", "http://localhost:8081/v1", "http://ada@localhost:8081", "http://localhost:8081?x=1", "http://Node.Example"} {
		if n, err := parseNode(text); wire.KindOf(err) != wire.Invalid {
			t.Errorf("%q: got %v, %v", text, n, err)
		}
	}
}
