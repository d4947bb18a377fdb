package node

import (
	"fmt"
	"math"
	"strings"
)

// A sizePicture is docs/size.svg: what a post costs, and what a node sends and takes in
// a day. It looks like the pictures of the load tool.
type sizePicture struct{ strings.Builder }

const (
	sizeWidth, sizeHeight = 960, 796
	sizeLeft, sizeRight   = 92, 936
	costTop, costBottom   = 124, 404
	dayTop, dayBottom     = 520, 740
)

// sizeColours can be told apart on white and on black, and with any kind of eyes.
var sizeColours = []string{"#2f7ed8", "#1b9e6b", "#d98200", "#a35bd1"}

const sizeStyle = `
svg { background: #fff; --ink: #1c2024; --soft: #666d75; --grid: #e3e6ea }
@media (prefers-color-scheme: dark) {
  svg { background: #14171a; --ink: #e6e9ec; --soft: #9aa2ab; --grid: #2c3238 }
}
text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.title { font-size: 17px; font-weight: 600; fill: var(--ink) }
.head { font-weight: 600; fill: var(--ink) }
.grid { stroke: var(--grid) }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.each { stroke: var(--soft); stroke-dasharray: 2 5 }
.guess { fill-opacity: .25; stroke-dasharray: 4 3 }
`

func (p *sizePicture) add(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// drawSizes draws networks that were played, and for days those that were estimated
// beyond them.
func drawSizes(reports []*sizeReport) []byte {
	p := new(sizePicture)
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, sizeWidth, sizeHeight, sizeWidth, sizeHeight)
	p.add(`<title>What a post costs, and a day of a node</title><style>%s</style>`, sizeStyle)
	p.add(`<text class="title" x="%d" y="30">A post is one request for each node with readers, however many read it there</text>`, sizeLeft)
	p.add(`<text x="%d" y="50">Simulated day; friendships and sizes of nodes by power laws; one in ten nodes is away for some hours</text>`, sizeLeft)
	var played, days []*sizeReport
	for _, r := range reports {
		if !r.estimated {
			played = append(played, r)
		}
		if !r.estimated || r.nodes > played[len(played)-1].nodes {
			days = append(days, r)
		}
	}
	p.costs(played)
	p.days(days)
	p.add(`</svg>`)
	return []byte(p.String())
}

// A logScale is an axis from one power of ten to another.
type logScale struct{ from, to, begin, end float64 }

func (s logScale) at(v float64) float64 {
	return s.begin + (s.end-s.begin)*(math.Log10(v)-s.from)/(s.to-s.from)
}

// costs draws how many requests bring a post, by how many readers it has elsewhere.
func (p *sizePicture) costs(played []*sizeReport) {
	p.add(`<text class="head" x="%d" y="%d">Requests between nodes for a post (logarithmic)</text>`, sizeLeft, costTop-36)
	x, y := logScale{0, 4, sizeLeft, sizeRight}, logScale{0, 4, costBottom, costTop}
	for e := 0.; e <= 4; e++ {
		v := math.Pow(10, e)
		p.grid(y.at(v), group(v))
		p.add(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, min(x.at(v), sizeRight-14), costBottom+20, group(v))
	}
	p.add(`<text x="%d" y="%d" text-anchor="end">readers at other nodes (logarithmic)</text>`, sizeRight, costBottom+40)
	p.add(`<path class="line each" d="M%.1f %.1fL%.1f %.1f"/>`, x.at(1), y.at(1), x.at(1e4), y.at(1e4))
	p.add(`<text x="%.1f" y="%.1f" text-anchor="end">one for each reader</text>`, x.at(2200), y.at(3000))
	at := sizeLeft
	for i, r := range played {
		name := fmt.Sprintf("%s nodes, %s people", group(float64(r.nodes)), group(float64(r.people)))
		p.add(`<line class="line" style="stroke:%s" x1="%d" x2="%d" y1="%d" y2="%d"/><text x="%d" y="%d">%s</text>`, sizeColours[i], at, at+20, costTop-18, costTop-18, at+26, costTop-14, name)
		at += 220
		var b strings.Builder
		pen := "M"
		for _, point := range r.curve {
			fmt.Fprintf(&b, "%s%.1f %.1f", pen, x.at(point[0]), y.at(max(point[1], 1)))
			pen = "L"
		}
		p.add(`<path class="line" style="stroke:%s" d="%s"/>`, sizeColours[i], b.String())
	}
}

// days draws what a node sends and takes in a day, by what for: the median of all.
func (p *sizePicture) days(days []*sizeReport) {
	p.add(`<text class="head" x="%d" y="%d">Bytes that a node sends and takes in a day: the median (logarithmic)</text>`, sizeLeft, dayTop-54)
	low, high := 15., 0.
	causes := []struct {
		name string
		of   func(*sizeReport) float64
	}{
		{"posts: notices with entries inside", func(r *sizeReport) float64 { return r.middle.posts }},
		{"looks at the feed: what is new", func(r *sizeReport) float64 { return r.middle.looks }},
		{"rounds: heads compared every 10 s", func(r *sizeReport) float64 { return r.middle.rounds }},
	}
	at := sizeLeft
	for i, c := range causes {
		p.add(`<rect x="%d" y="%d" width="14" height="10" style="fill:%s"/><text x="%d" y="%d">%s</text>`, at, dayTop-42, sizeColours[i], at+20, dayTop-33, c.name)
		at += 260
		for _, r := range days {
			low, high = min(low, math.Floor(math.Log10(max(c.of(r), 1)))), max(high, math.Floor(math.Log10(max(c.of(r), 1))))
		}
	}
	y := logScale{low - 1, high + 1, dayBottom, dayTop} // with room for what the bars say
	for e := y.from; e <= y.to; e++ {
		p.grid(y.at(math.Pow(10, e)), sizeUnit(math.Pow(10, e)))
	}
	width := float64(sizeRight-sizeLeft) / float64(len(days))
	for i, r := range days {
		left, note := sizeLeft+width*float64(i), ""
		if r.estimated {
			note = " (estimated)"
		}
		for j, c := range causes {
			class := ""
			if r.estimated {
				class = ` class="guess"`
			}
			x, top := left+width*(.14+.24*float64(j)), y.at(max(c.of(r), 1))
			p.add(`<rect%s x="%.1f" y="%.1f" width="%.1f" height="%.1f" style="fill:%s;stroke:%s"/>`, class, x, top, width*.22, dayBottom-top, sizeColours[j], sizeColours[j])
			p.add(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x+width*.11, top-5, sizeUnit(c.of(r)))
		}
		p.add(`<text class="head" x="%.1f" y="%d" text-anchor="middle">%s nodes%s</text>`, left+width/2, dayBottom+20, group(float64(r.nodes)), note)
		p.add(`<text x="%.1f" y="%d" text-anchor="middle">%s people</text>`, left+width/2, dayBottom+38, group(float64(r.people)))
	}
}

// grid is one line of a grid, and what it stands for.
func (p *sizePicture) grid(y float64, name string) {
	p.add(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, sizeLeft, sizeRight, y, y, sizeLeft-8, y+4, name)
}
