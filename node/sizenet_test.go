package node

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A sizePlan says how large a network is, and how busy. The network itself is drawn
// from the seed: real nodes play small ones, the model (sizemodel_test.go) all.
type sizePlan struct {
	seed          uint64
	nodes, people int
	friends       int           // that each person has at least; the mean is three times as many
	neighbours    float64       // share of friendships that are between people of one node
	length        time.Duration // from midnight, UTC
	every         time.Duration // Options.SyncInterval
	posts, visits float64       // of each person and day, on average
	away          float64       // share of nodes that are away once
	awayFrom      time.Duration // for as long as that at least, and four times that at most
	way           time.Duration // that a request or an answer takes
}

// A sizeNet is a network, and what its people do.
type sizeNet struct {
	sizePlan
	homes   []int32   // of people, by their number
	friends [][]int32 // of people, in order
	zones   []int     // of nodes, hours
	deeds   []sizeDeed
	outages []sizeOutage
}

// A sizeDeed is a post, or a look at the feed by somebody whose client does not
// watch for events.
type sizeDeed struct {
	at    time.Duration
	who   int32
	visit bool
}

type sizeOutage struct {
	node     int32
	from, to time.Duration
}

// sizeDay is how much people do in each hour of their day.
var sizeDay = [24]float64{3, 2, 1, 1, 1, 2, 4, 7, 9, 9, 9, 10, 12, 11, 9, 9, 10, 11, 13, 15, 15, 13, 9, 5}

func sizeName(node int32) wire.NodeName { return wire.NodeName(fmt.Sprintf("n%03d.example", node)) }

// draw makes the network of a plan.
func (p sizePlan) draw() *sizeNet {
	n := &sizeNet{sizePlan: p}
	d := rand.New(rand.NewPCG(p.seed, 5))
	n.settle(d)
	n.befriend(d)
	n.live(d)
	for node := range int32(p.nodes) {
		if d.Float64() < p.away {
			from := time.Duration(d.Float64() * float64(p.length))
			n.outages = append(n.outages, sizeOutage{node, from, from + time.Duration((1+3*d.Float64())*float64(p.awayFrom))})
		}
	}
	return n
}

// settle spreads people over nodes: the k-th largest has as many as k to the power of
// -0.8 says, and somebody. All people of a node live in one time zone.
func (n *sizeNet) settle(d *rand.Rand) {
	for range n.nodes {
		n.zones = append(n.zones, d.IntN(24)-12)
	}
	chance := newSizeChance(sizeWeights(n.nodes))
	for i := range n.people {
		if i < n.nodes {
			n.homes = append(n.homes, int32(i))
		} else {
			n.homes = append(n.homes, int32(chance.draw(d)))
		}
	}
	slices.Sort(n.homes)
}

func sizeWeights(nodes int) []float64 {
	weights := make([]float64, nodes)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -0.8)
	}
	return weights
}

// befriend pairs people at random, as many times as each wants: as a power law with
// exponent 2.5 says, and no more than may have a wrap. Who meets themselves or a friend
// again has one friend less.
func (n *sizeNet) befriend(d *rand.Rand) {
	near := make([][]int32, n.nodes)
	var far []int32
	for p := range int32(n.people) {
		for range n.wants(d) {
			if d.Float64() < n.neighbours {
				near[n.homes[p]] = append(near[n.homes[p]], p)
			} else {
				far = append(far, p)
			}
		}
	}
	n.friends = make([][]int32, n.people)
	for _, group := range append(near, far) {
		d.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for i := 0; i+1 < len(group); i += 2 {
			if a, b := group[i], group[i+1]; a != b {
				n.friends[a], n.friends[b] = append(n.friends[a], b), append(n.friends[b], a)
			}
		}
	}
	for p := range n.friends {
		slices.Sort(n.friends[p])
		n.friends[p] = slices.Compact(n.friends[p])
	}
}

// wants draws how many friends somebody wants.
func (p *sizePlan) wants(d *rand.Rand) int {
	return int(min(float64(p.friends)*math.Pow(1-d.Float64(), -1/1.5), wire.MaxWraps, float64(p.people)/4))
}

// live draws what people do. Few do much: by a power law as well.
func (n *sizeNet) live(d *rand.Rand) {
	weights := make([]float64, n.people)
	for i := range weights {
		weights[i] = min(math.Pow(1-d.Float64(), -1/1.5), 100)
	}
	busy, hours := newSizeChance(weights), newSizeChance(sizeDay[:])
	add := func(each float64, visit bool) {
		for range int(each * float64(n.people) * n.length.Hours() / 24) {
			who := int32(busy.draw(d))
			for {
				hour := (hours.draw(d) - n.zones[n.homes[who]] + 24) % 24
				at := time.Duration((float64(hour) + d.Float64()) * float64(time.Hour))
				if n.length < 24*time.Hour {
					at = time.Duration(d.Float64() * float64(n.length))
				}
				if at < n.length {
					n.deeds = append(n.deeds, sizeDeed{at, who, visit})
					break
				}
			}
		}
	}
	add(n.posts, false)
	add(n.visits, true)
	slices.SortFunc(n.deeds, func(a, b sizeDeed) int { return cmp.Compare(a.at, b.at) })
}

// nodesOf returns the nodes of others where somebody has friends, in order, and how
// many there are at each.
func (n *sizeNet) nodesOf(who int32) (nodes []int32, readers []int) {
	var at []int32
	for _, f := range n.friends[who] {
		if n.homes[f] != n.homes[who] {
			at = append(at, n.homes[f])
		}
	}
	slices.Sort(at)
	for i, node := range at {
		if i == 0 || node != at[i-1] {
			nodes, readers = append(nodes, node), append(readers, 0)
		}
		readers[len(readers)-1]++
	}
	return nodes, readers
}

// sizeChance draws indices by their weights.
type sizeChance []float64

func newSizeChance(weights []float64) sizeChance {
	c, sum := make(sizeChance, len(weights)), 0.0
	for i, w := range weights {
		sum += w
		c[i] = sum
	}
	return c
}

func (c sizeChance) draw(d *rand.Rand) int {
	return min(sort.SearchFloat64s(c, d.Float64()*c[len(c)-1]), len(c)-1)
}
