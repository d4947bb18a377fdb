package node

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A sizeReport is what a day of a network says.
type sizeReport struct {
	sizePlan
	estimated bool
	meanNodes float64           // requests for a post
	posts     map[string]spread // of each post, by what
	curve     [][2]float64      // readers elsewhere, and requests for a post: the median of those with about as many
	middle    sizeDaily         // the median of each of all nodes
	largest   sizeDaily
}

// A spread is the median, the 90th percentile and the most.
type spread struct{ half, most90, most float64 }

func spreadOf(list []float64) spread {
	slices.Sort(list)
	at := func(part float64) float64 { return list[int(part*float64(len(list)-1))] }
	return spread{at(.5), at(.9), at(1)}
}

// A sizeDaily is a day of a node. Bytes and requests are of what is sent and what is
// taken, together.
type sizeDaily struct {
	people, streams                 float64
	requests, busiest               float64 // each second: on average, in the busiest minute
	posts, looks, rounds, documents float64 // bytes
	stored                          float64 // bytes of records
	signed, verified                float64
	roundTakes                      time.Duration // where it is estimated
}

// report sums up what was counted.
func (c *sizeCounts) report() *sizeReport {
	r := &sizeReport{sizePlan: c.net.sizePlan, posts: map[string]spread{}}
	lists := map[string][]float64{}
	buckets := map[int][]float64{}
	for i := range c.posts {
		p := &c.posts[i]
		add := func(what string, n float64) { lists[what] = append(lists[what], n) }
		r.meanNodes += float64(p.nodes) / float64(len(c.posts))
		add("readers elsewhere", float64(p.readers))
		add("requests that bring it", float64(p.notices))
		add("bytes of these", float64(p.bytes))
		add("copies", float64(p.copies))
		if p.readers > 0 {
			b := int(math.Round(3 * math.Log2(float64(p.readers))))
			buckets[b] = append(buckets[b], float64(p.nodes))
		}
	}
	for what, list := range lists {
		r.posts[what] = spreadOf(list)
	}
	for b := range 64 {
		if list := buckets[b]; len(list) > 0 {
			r.curve = append(r.curve, [2]float64{math.Pow(2, float64(b)/3), spreadOf(list).half})
		}
	}
	people, most := make([]float64, c.net.nodes), 0
	for _, home := range c.net.homes {
		people[home]++
	}
	all := make([]sizeDaily, c.net.nodes)
	for i := range all {
		all[i] = c.nodes[i].daily(people[i], c.net.length)
		if people[i] > people[most] {
			most = i
		}
	}
	r.middle, r.largest = medianOf(all), all[most]
	return r
}

// fields are all numbers of a day.
func (d *sizeDaily) fields() []*float64 {
	return []*float64{
		&d.people, &d.streams, &d.requests, &d.busiest, &d.posts, &d.looks, &d.rounds, &d.documents, &d.stored, &d.signed, &d.verified,
	}
}

// medianOf is the median of each number by itself.
func medianOf(all []sizeDaily) (m sizeDaily) {
	for i, of := range m.fields() {
		var list []float64
		for j := range all {
			list = append(list, *all[j].fields()[i])
		}
		*of = spreadOf(list).half
	}
	return m
}

// daily sums up a node.
func (n *sizeNode) daily(people float64, length time.Duration) sizeDaily {
	both := func(kind int) (requests, bytes float64) {
		return float64(n.sent[kind].requests + n.took[kind].requests), float64(n.sent[kind].bytes + n.took[kind].bytes)
	}
	notices, posts := both(sizeNotice)
	asked, pulls := both(sizeSync)
	fetched, documents := both(sizeDocument)
	d := sizeDaily{people: people, streams: float64(n.streams), posts: posts, documents: documents, stored: float64(n.copyBytes)}
	d.rounds, d.looks = float64(n.rounds.bytes), pulls-float64(n.rounds.bytes)
	d.requests = (notices + asked + fetched) / length.Seconds()
	d.busiest = float64(n.busiest)/60 + float64(n.rounds.requests)/length.Seconds()
	d.signed = float64(n.sent[sizeNotice].requests + n.sent[sizeSync].requests)
	d.verified = float64(n.took[sizeNotice].requests+n.took[sizeSync].requests+n.copies) + float64(n.sent[sizeDocument].requests)
	return d
}

// estimate says what a network comes to that is too large to be drawn, from the friends
// of some of its people: like a model's that has one (TestSize).
func (p sizePlan) estimate(b *sizeBytes) *sizeReport {
	r := &sizeReport{sizePlan: p, estimated: true, posts: map[string]spread{}}
	d := rand.New(rand.NewPCG(p.seed, 7))
	chance := newSizeChance(sizeWeights(p.nodes))
	shares := sizeWeights(p.nodes)
	for i := range shares {
		shares[i] /= chance[len(chance)-1]
	}
	const sample = 20_000
	var nodes, readers, bytes []float64
	for range sample {
		home, met, far := chance.draw(d), map[int]bool{}, 0.0
		for range p.wants(d) {
			if at := chance.draw(d); d.Float64() >= p.neighbours && at != home {
				met[at] = true
				far++
			}
		}
		r.meanNodes += float64(len(met)) / sample
		nodes, readers = append(nodes, float64(len(met))), append(readers, far)
		bytes = append(bytes, float64(len(met))*float64(b.heads[sizeNotice]+b.notice(1, 1)))
	}
	r.posts["readers elsewhere"], r.posts["requests that bring it"], r.posts["bytes of these"] = spreadOf(readers), spreadOf(nodes), spreadOf(bytes)
	r.posts["copies"] = r.posts["requests that bring it"]
	r.middle = p.estimateNode(b, shares, p.nodes/2, readers, r.meanNodes)
	return r
}

// estimateNode says what a node with a share of all people comes to, if each has so many
// friends elsewhere, at so many nodes on average.
func (p sizePlan) estimateNode(b *sizeBytes, shares []float64, node int, friends []float64, nodes float64) (o sizeDaily) {
	every := p.every
	if every == 0 {
		every = newNode(Options{}).every
	}
	share, day := shares[node], p.length.Seconds()
	others := (1 - share) * float64(p.people)
	o.people = share * float64(p.people)
	for _, far := range friends {
		o.streams += others * (1 - math.Pow(1-share, far)) / float64(len(friends))
	}
	pairs := 0.0 // of somebody here and a friend elsewhere
	for _, far := range friends {
		pairs += o.people * far / float64(len(friends))
	}
	head, stream, reader := float64(b.heads[sizeSync]+b.sync(0, 0)), float64(b.sync(1, 0)-b.sync(0, 0)), float64(b.sync(1, 1)-b.sync(1, 0))
	since, full := float64(b.heads[sizeSync]+b.since(0)), min(1, every.Seconds()/syncInFull.Seconds())
	peers, round, looks, looked := 0.0, 0.0, 0.0, 0.0 // nodes that are asked, requests for that, and those of people who look, with their bytes
	for i, s := range shares {
		if i == node {
			continue
		}
		from := s / (1 - share)
		requests := max(1-math.Exp(-o.streams*from), o.streams*from/wire.MaxSyncStreams)
		peers += 1 - math.Exp(-o.streams*from)
		round += full*requests + (1-full)*min(1, requests)
		look := min(o.people*p.visits*reach(friends, s), day/pullStale.Seconds())
		looks += 2 * look
		looked += 2 * look * since
	}
	perSecond := min(round/every.Seconds(), pullAtOnce/(2*p.way).Seconds())
	o.roundTakes = time.Duration(round / perSecond * float64(time.Second))
	pulls := 2 * perSecond * day
	copies := o.streams * p.posts
	notices := o.people*p.posts*nodes + copies
	o.posts, o.looks = notices*float64(b.heads[sizeNotice]+b.notice(1, 1)), looked
	asked := 2 * perSecond * day * full * (o.streams*stream + pairs*reader) / round
	o.rounds = pulls*(full*head+(1-full)*since) + asked + 2*copies*float64(b.heads[sizeSync]+b.sync(1, 1)+b.since(1)-b.since(0))
	fetched := 2 * peers * day / b.documentFresh.Seconds()
	o.documents = fetched * float64(b.heads[sizeDocument]+b.document)
	pulls += 2 * copies // of what changed
	o.requests = (notices + looks + pulls + fetched) / day
	o.stored = copies * float64(b.copySize)
	o.signed = (notices + looks + pulls) / 2
	o.verified = o.signed + copies + fetched/2
	return o
}

// reach is how likely it is that somebody has a friend at a node with a share of all
// people; friends are in order.
func reach(friends []float64, share float64) (sum float64) {
	const some = 200
	for i := range some {
		far := friends[(2*i+1)*len(friends)/(2*some)]
		sum += (1 - math.Pow(1-share, far)) / some
	}
	return sum
}

// sizeTable is the table of docs/benchmarks.md.
func sizeTable(reports []*sizeReport, sign, verify time.Duration) string {
	var b strings.Builder
	row := func(what string, of func(*sizeReport) string) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, r := range reports {
			fmt.Fprintf(&b, " %s |", of(r))
		}
		b.WriteString("\n")
	}
	row("", func(r *sizeReport) string {
		what := fmt.Sprintf("%s nodes, %s people", group(float64(r.nodes)), group(float64(r.people)))
		if r.estimated {
			what += ", estimated"
		}
		return what
	})
	row("---", func(*sizeReport) string { return "---" })
	for _, what := range []string{"readers elsewhere", "requests that bring it", "bytes of these", "copies"} {
		row("a post: "+what+", median, p90, most", func(r *sizeReport) string {
			s := r.posts[what]
			return fmt.Sprintf("%s, %s, %s", group(s.half), group(s.most90), group(s.most))
		})
	}
	row("a post: signatures made and verified, median", func(r *sizeReport) string {
		n := r.posts["requests that bring it"].half
		return fmt.Sprintf("%s, %s", group(1+n), group(1+2*n))
	})
	daily := func(what string, of func(sizeDaily) string) {
		row(what, func(r *sizeReport) string {
			if r.estimated {
				return of(r.middle)
			}
			return of(r.middle) + "; " + of(r.largest)
		})
	}
	daily("a node: people", func(d sizeDaily) string { return group(d.people) })
	daily("streams that it copies", func(d sizeDaily) string { return group(d.streams) })
	daily("requests/s", func(d sizeDaily) string { return fmt.Sprintf("%.3g", d.requests) })
	daily("in the busiest minute", func(d sizeDaily) string {
		if d.busiest == 0 {
			return ""
		}
		return fmt.Sprintf("%.3g", d.busiest)
	})
	daily("bytes a day for posts", func(d sizeDaily) string { return sizeUnit(d.posts) })
	daily("for looks at the feed", func(d sizeDaily) string { return sizeUnit(d.looks) })
	daily("for rounds of comparing heads", func(d sizeDaily) string { return sizeUnit(d.rounds) })
	daily("for documents", func(d sizeDaily) string { return sizeUnit(d.documents) })
	daily("records of copies a day", func(d sizeDaily) string { return sizeUnit(d.stored) })
	daily(fmt.Sprintf("CPU for signatures a day (%.0f us to make one, %.0f us to check)", float64(sign.Nanoseconds())/1e3, float64(verify.Nanoseconds())/1e3), func(d sizeDaily) string {
		return fmt.Sprintf("%s s", group(d.signed*sign.Seconds()+d.verified*verify.Seconds()))
	})
	row("a round takes", func(r *sizeReport) string {
		if r.middle.roundTakes == 0 {
			return ""
		}
		return r.middle.roundTakes.Round(time.Second).String()
	})
	return b.String()
}

// group writes a number with commas.
func group(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sizeUnit writes bytes in powers of 1000.
func sizeUnit(v float64) string {
	for _, u := range []struct {
		name string
		of   float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if v >= u.of {
			return fmt.Sprintf("%.3g %s", v/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", v)
}
