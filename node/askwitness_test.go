package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

// brings asks all witnesses of a node once, as cosignLoop does, and returns what is known
// of them then.
func (n *testNode) brings(all map[string]*asking) map[string]*asking {
	if all == nil {
		all = map[string]*asking{}
	}
	for name, ask := range n.witnessesNow() {
		if all[name] == nil {
			all[name] = new(asking)
		}
		n.bring(name, all[name], ask)
	}
	return all
}

// file gets a file of the log of a node as others do.
func (s *served) file(t *testing.T, name string) (status int, body string) {
	t.Helper()
	path := s.logID.File(name)
	got := s.sends("GET", path, nil)
	hold(t, "GET", path, nil, answered{status: got.status, body: []byte(got.body)})
	return got.status, got.body
}

// cosigners returns the nodes of a list that have cosigned a checkpoint, by the keys in
// their documents.
func cosigners(t *testing.T, checkpoint string, of ...*served) (names []wire.NodeName) {
	t.Helper()
	for _, s := range of {
		if _, ok := keyservice.NodeWitness(s.name, witnessKeyOf(t, s.testNode)).Cosigned([]byte(checkpoint)); ok {
			names = append(names, s.name)
		}
	}
	return names
}

// TestLogIsCosigned: the nodes at which people of a node have friends cosign its log, and
// that is seen wherever its checkpoint is.
func TestLogIsCosigned(t *testing.T) {
	w := newLiveWorld(t)
	home, second, third := w.host(), w.host(), w.host()
	ann, ben, cid := home.person("ann"), second.person("ben"), third.person("cid")
	for _, p := range []*testPerson{ben, cid} {
		ann.befriend(p)
		p.wants(ann, wire.StateFriend, wire.StateFriend)
	}
	if status, _ := home.file(t, cosignedFile); status != 404 {
		t.Errorf("before anybody was asked: %d", status)
	}
	known := home.brings(nil)
	both := []wire.NodeName{second.name, third.name}
	for _, name := range []string{cosignedFile, keyservice.CheckpointFile} {
		if _, checkpoint := home.file(t, name); !slices.Equal(cosigners(t, checkpoint, second, third), both) {
			t.Errorf("%s is %s", name, checkpoint)
		}
	}
	reply := must(ann.as().Person.Keys(t.Context(), wire.KeysRequest{Address: ann.address}))
	if !slices.Equal(keyservice.WitnessNodes(reply.Proof), both) && len(keyservice.WitnessNodes(reply.Proof)) != 2 {
		t.Errorf("a proof is %s", reply.Proof)
	}
	d := documentOf(t, home.Node)
	must(keyservice.OpenProof(reply.Proof, d.Log.Origin(home.name), d.LogKey()))

	_, before := home.file(t, cosignedFile)
	home.person("dan")
	if _, checkpoint := home.file(t, keyservice.CheckpointFile); cosigners(t, checkpoint, second, third) != nil || !strings.Contains(checkpoint, "\n2\n") {
		t.Errorf("the newest checkpoint is %s", checkpoint)
	}
	if _, now := home.file(t, cosignedFile); now != before {
		t.Errorf("what is cosigned is %s", now)
	}
	if err := home.SetRule(t.Context(), string(third.name), RuleBlock); err != nil {
		t.Fatal(err)
	}
	home.brings(known)
	if _, checkpoint := home.file(t, keyservice.CheckpointFile); !slices.Equal(cosigners(t, checkpoint, second, third), both[:1]) {
		t.Errorf("by one: %s", checkpoint)
	}
	if _, now := home.file(t, cosignedFile); now != before {
		t.Errorf("what one has cosigned is shown in place of what two have: %s", now)
	}
	if err := home.DropRule(t.Context(), string(third.name)); err != nil {
		t.Fatal(err)
	}
	home.brings(known)
	_, checkpoint := home.file(t, keyservice.CheckpointFile)
	if _, now := home.file(t, cosignedFile); now != checkpoint || len(cosigners(t, now, second, third)) != 2 {
		t.Errorf("by both: %s and %s", now, checkpoint)
	}
	for name, a := range known {
		if a.size != 2 || a.pause != 0 || a.begins(2, time.Now()) || !a.begins(3, time.Now()) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	lines := strings.Count(checkpoint, "\n")
	time.Sleep(1100 * time.Millisecond) // another second, so another line
	home.brings(nil)                    // as after a start
	_, again := home.file(t, keyservice.CheckpointFile)
	if strings.Count(again, "\n") != lines || again == checkpoint || len(cosigners(t, again, second, third)) != 2 {
		t.Errorf("once more: %s", again)
	}
	home.close()
	reopened := w.open(home.name, home.own, home.copies)
	if got := must(reopened.keyLog.File(t.Context(), keyservice.CheckpointFile)); string(got) != again {
		t.Errorf("after a start: %s", got)
	}
	if got := must(reopened.cosignedCheckpoint()); string(got) != again {
		t.Errorf("after a start: %s", got)
	}
}

// TestNamedWitness asks a witness that the operator names, and meets each of its answers.
func TestNamedWitness(t *testing.T) {
	undetected(t) // it sets what loops have read by then
	secret := wire.NewNodeWitnessSecret([32]byte{7})
	var answers []func(asked *keyservice.AddCheckpoint) (int, string)
	var olds []uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := keyservice.ParseAddCheckpoint(must(io.ReadAll(r.Body)))
		if err != nil || r.Method != "POST" || r.URL.Path != "/w/add-checkpoint" {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		olds = append(olds, asked.Old)
		status, body := answers[0](asked)
		answers = answers[1:]
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer server.Close()
	says := func(status int, body string) func(*keyservice.AddCheckpoint) (int, string) {
		return func(*keyservice.AddCheckpoint) (int, string) { return status, body }
	}
	signs := func(by wire.NodeWitnessSecret) func(*keyservice.AddCheckpoint) (int, string) {
		return func(asked *keyservice.AddCheckpoint) (int, string) {
			return 200, string(must(keyservice.Cosign(asked.Signed, "out.example", by, time.Now())))
		}
	}
	type all = []func(*keyservice.AddCheckpoint) (int, string)
	for name, c := range map[string]struct {
		answers all
		kept    bool
		longest time.Duration // of the pause; 0 for none
		olds    string
	}{
		"it cosigns":              {all{signs(secret)}, true, 0, "[0]"},
		"it saw the log before":   {all{says(409, "1\n"), signs(secret)}, true, 0, "[0 1]"},
		"it always saw another":   {all{says(409, "1\n"), says(409, "0\n")}, false, longestRefusal, "[0 1]"},
		"it saw a larger one":     {all{says(409, "3\n")}, false, longestRefusal, "[0]"},
		"it says no size":         {all{says(409, "many\n")}, false, longestRefusal, "[0]"},
		"with another key":        {all{signs(wire.NewNodeWitnessSecret([32]byte{8}))}, false, longestRefusal, "[0]"},
		"with nothing":            {all{says(200, "")}, false, longestRefusal, "[0]"},
		"it sees a contradiction": {all{says(422, "no\n")}, false, longestRefusal, "[0]"},
		"it does not know us":     {all{says(404, "")}, false, longestRefusal, "[0]"},
		"it redirects":            {all{says(302, "")}, false, longestRefusal, "[0]"},
		"it is busy":              {all{says(503, "")}, false, longestSilence, "[0]"},
		"it wants to be left":     {all{says(429, "")}, false, longestSilence, "[0]"},
		"it says too much":        {all{says(200, strings.Repeat("a", 1<<15))}, false, longestSilence, "[0]"},
	} {
		w := newLiveWorld(t)
		n := w.host()
		n.person("ann")
		n.every = time.Second
		n.named = must(ParseNamedWitnesses(keyservice.NodeWitness("out.example", secret.Public()).String()+" "+server.URL+"/w", true))
		answers, olds = c.answers, nil
		known := n.brings(nil)
		a := known[n.named[0].String()]
		_, err := n.cosignedCheckpoint()
		if (err == nil) != c.kept || len(answers) > 0 || fmt.Sprint(olds) != c.olds {
			t.Errorf("%s: kept %t, asked from %v, %d answers left", name, err == nil, olds, len(answers))
		}
		if (a.pause > 0) != (c.longest > 0) || a.begins(1, n.now()) || a.pause > 0 && !a.begins(1, n.now().Add(c.longest)) {
			t.Errorf("%s: %+v", name, a)
		}
		for range 20 {
			if c.longest > 0 {
				answers = []func(*keyservice.AddCheckpoint) (int, string){c.answers[len(c.answers)-1], c.answers[len(c.answers)-1]}
				n.brings(known)
			}
		}
		if a.pause > c.longest {
			t.Errorf("%s: it is asked again after %v, want at most %v", name, a.pause, c.longest)
		}
	}
}

// TestCosignLoop lets the loop do it: a log that grows is cosigned by itself.
func TestCosignLoop(t *testing.T) {
	undetected(t) // it sets what loops have read by then
	w := newWorld(t)
	n := w.open(north, nil, nil)
	n.every = 50 * time.Millisecond
	other := w.open(south, nil, nil)
	other.knows(t, n.Node)
	n.witnesses = neighbour{other}
	n.person("ann")
	ann, ben := n.person("ada"), other.person("ben")
	ann.befriend(ben)
	n.work.Go(n.cosignLoop)
	for size := range uint64(3) {
		eventually(t, "the newest checkpoint is cosigned", func() bool {
			b := must(n.keyLog.File(t.Context(), keyservice.CheckpointFile))
			return must(keyservice.ReadCheckpoint(b)).Size == size+2 && len(keyservice.WitnessNodes(b)) == 1
		})
		n.person(wire.Handle(fmt.Sprint("more", size)))
	}
}

// TestCosignedIsTidied keeps the cosignatures of few sizes, and that which is shown.
func TestCosignedIsTidied(t *testing.T) {
	w := newWorld(t)
	own := storetest.NewMemory()
	n := w.open(north, own, nil)
	for i := range 20 {
		n.person(wire.Handle(fmt.Sprint("p", i)))
		q := n.asked(t, 0)
		for k := range 2 {
			if k == 0 || i == 3 {
				line := must(keyservice.Cosign(q.Signed, wire.NodeName(fmt.Sprintf("w%d.example", k)), wire.NewNodeWitnessSecret([32]byte{byte(k)}), w.clock.now()))
				if err := n.keepCosignature(t.Context(), q.New.Size, q.Signed, line); err != nil {
					t.Fatal(err)
				}
			}
		}
		if keys := keysOf(t, own, cosignedPrefix); len(keys) > maxCosigned+1 || keys[len(keys)-1] != cosignedKey(q.New.Size) {
			t.Fatalf("%d sizes are kept, the last is %s", len(keys), keys[len(keys)-1])
		}
		if c := must(keyservice.ReadCheckpoint(must(n.cosignedCheckpoint()))); i < 3 && c.Size != uint64(i+1) || i >= 3 && c.Size != 4 {
			t.Errorf("of %d, that of %d is shown", i+1, c.Size)
		}
	}
	must(Fsck(t.Context(), FsckOptions{Own: own, Now: w.clock.now, Found: func(f Finding) { t.Errorf("%+v", f) }}))
}

// TestNearest: those with most friendships come first.
func TestNearest(t *testing.T) {
	var f follows
	f.init()
	for i, node := range []wire.NodeName{"a.example", "b.example", "b.example", "c.example", "c.example", "c.example", "d.example"} {
		f.follow(pair{wire.AccountID{byte(i)}, wire.AccountID{100}}, friendLink{node: node, stream: streamName{author: wire.AccountID{byte(i % 2)}}})
	}
	if got := fmt.Sprint(f.nearest(3), f.nearest(9)); got != "[c.example b.example a.example] [c.example b.example a.example d.example]" {
		t.Error(got)
	}
}

// A neighbour is a node that is asked without a network.
type neighbour struct{ *testNode }

func (n neighbour) AddCheckpoint(ctx context.Context, _ wire.NodeName, body []byte) (a federation.WitnessAnswer, err error) {
	asked, err := keyservice.ParseAddCheckpoint(body)
	if err != nil {
		return a, err
	}
	if a.By, err = wire.OpenNodeDocument(n.Document(), n.name); err != nil {
		return a, err
	}
	line, err := n.cosign(ctx, asked)
	var stale staleSize
	var not *notCosigned
	switch {
	case errors.As(err, &not) && errors.As(err, &stale):
		return federation.WitnessAnswer{Status: 409, Body: fmt.Appendln(nil, uint64(stale)), Seen: not.seen, By: a.By}, nil
	case errors.As(err, &not):
		return federation.WitnessAnswer{Status: 422, Body: []byte(err.Error()), Seen: not.seen, By: a.By}, nil
	}
	if err != nil {
		return a, err
	}
	return federation.WitnessAnswer{Status: 200, Body: line, By: a.By}, nil
}

func (n neighbour) AddCheckpointAt(context.Context, *url.URL, []byte) (federation.WitnessAnswer, error) {
	return federation.WitnessAnswer{}, away
}
