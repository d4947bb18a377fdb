package load

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// A plot is two charts over one axis of time: what was done and refused each
// second, and the latency of what was done, on a logarithmic scale.
type plot struct {
	strings.Builder
	*Report
	seconds float64 // of the axis of time
}

// The picture, in pixels.
const (
	plotWidth, plotHeight = 960, 640
	plotLeft, plotRight   = 76, 936
	rateTop, rateBottom   = 104, 324
	timeTop, timeBottom   = 376, 576
)

// colours of the operations, which can be told apart on white and on black, and
// with any kind of eyes.
var colours = [kinds]string{posts: "#2f7ed8", feeds: "#1b9e6b", logins: "#d98200", friendships: "#a35bd1", seen: "#d4497e", seenAtHome: "#8a7a1f"}

const plotStyle = `
svg { background: #fff; --ink: #1c2024; --soft: #666d75; --grid: #e3e6ea; --shade: #f2f4f6; --bad: #d03030; --gone: #8a919a }
@media (prefers-color-scheme: dark) {
  svg { background: #14171a; --ink: #e6e9ec; --soft: #9aa2ab; --grid: #2c3238; --shade: #1c2125; --bad: #ff6b62; --gone: #7d858e }
}
text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.title { font-size: 17px; font-weight: 600; fill: var(--ink) }
.head { font-weight: 600; fill: var(--ink) }
.grid { stroke: var(--grid) }
.shade { fill: var(--shade) }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.half { stroke-width: 1.5; stroke-dasharray: 2 4 }
.ink { stroke: var(--soft) }
.bad { stroke: var(--bad); stroke-dasharray: 7 4 }
.gone { stroke: var(--gone); stroke-dasharray: 1 5 }
`

// Plot draws the report as SVG, for pages that are light and for dark ones.
func (r *Report) Plot() []byte {
	p := &plot{Report: r, seconds: float64(max(len(r.Series), 1))}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, plotWidth, plotHeight, plotWidth, plotHeight)
	latency, _, _ := strings.Cut(r.Latency, ":")
	p.add(`<title>%s</title><style>%s</style>`, p.escape(r.Loop), plotStyle)
	p.add(`<text class="title" x="%d" y="30">%s</text>`, plotLeft, p.escape(r.headline()))
	p.add(`<text x="%d" y="50">%s</text>`, plotLeft, p.escape(fmt.Sprintf("%d people with %d friends each on %s; latency %s", r.People, r.Friends, strings.Join(r.Nodes, ", "), latency)))
	if len(r.Steps) > 0 {
		note := "bars are rates that were tried: green ones held"
		if r.Overload != nil {
			note = "bars are what was due"
		}
		p.add(`<text x="%d" y="%d" text-anchor="end">%s</text>`, plotRight, rateTop-14, note)
	}
	p.warmup()
	p.rates()
	p.latencies()
	p.axis()
	p.add(`</svg>`)
	return []byte(p.String())
}

func (r *Report) headline() string {
	switch {
	case r.Overload != nil:
		return fmt.Sprintf("%g times as much as is done at best: %.0f %% of that is still done in time (%s)", r.Overload.Times, 100*r.Overload.Kept, r.Mix)
	case len(r.Steps) > 0:
		return fmt.Sprintf("Capacity: %.0f operations/s (%s)", r.Capacity, r.Mix)
	}
	return fmt.Sprintf("%s (%s)", strings.ToUpper(r.Loop[:1])+r.Loop[1:], r.Mix)
}

func (p *plot) add(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *plot) escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder fails never
	return b.String()
}

// x is where a time in seconds stands.
func (p *plot) x(second float64) float64 { return plotLeft + (plotRight-plotLeft)*second/p.seconds }

// warmup shades the seconds that are not measured.
func (p *plot) warmup() {
	for _, s := range p.Series {
		if s.Warmup {
			for _, at := range [][2]int{{rateTop, rateBottom}, {timeTop, timeBottom}} {
				p.add(`<rect class="shade" x="%.1f" y="%d" width="%.1f" height="%d"/>`, p.x(float64(s.Second)), at[0], p.x(1)-p.x(0)+.5, at[1]-at[0])
			}
		}
	}
}

// A curve is one line through the seconds; where it has no value it is broken.
type curve struct {
	name, class, colour string
	value               func(*Second) (v float64, ok bool)
}

// of is a curve of one operation.
func (o operation) curve(name, class string, value func(*OperationReport) float64) curve {
	return curve{name, class, colours[o], func(s *Second) (float64, bool) {
		if r := s.of(o); r != nil {
			return value(r), r.Done > 0
		}
		return 0, false
	}}
}

// of is what is told of one kind, nil for nothing.
func (s *Second) of(o operation) *OperationReport {
	for i := range s.Operations {
		if s.Operations[i].Operation == o.String() {
			return &s.Operations[i]
		}
	}
	switch {
	case o == seen && s.Seen != nil:
		return s.Seen.operation()
	case o == seenAtHome && s.SeenAtHome != nil:
		return s.SeenAtHome.operation()
	}
	return nil
}

func (p *plot) rates() {
	var curves []curve
	for o := range operations {
		if c := o.curve(o.String(), "", func(r *OperationReport) float64 { return float64(r.Done) }); p.any(c) {
			line := c.value
			c.value = func(s *Second) (float64, bool) { v, _ := line(s); return v, true } // nothing done is a rate of 0
			curves = append(curves, c)
		}
	}
	for _, c := range []curve{
		{name: "refused", class: "bad", value: func(s *Second) (float64, bool) { return float64(s.sum().Refused), true }},
		{name: "failed", class: "bad", value: func(s *Second) (float64, bool) { return float64(s.sum().Failed), true }},
		{name: "unsent", class: "gone", value: func(s *Second) (float64, bool) { return float64(s.sum().Unsent), true }},
	} {
		if p.most(c) > 0 {
			curves = append(curves, c)
		}
	}
	top := 1.0
	for _, c := range curves {
		top = max(top, p.most(c))
	}
	for _, s := range p.Steps {
		top = max(top, s.Rate)
	}
	step := niceStep(top)
	top = step * math.Ceil(top/step)
	y := func(v float64) float64 { return rateBottom - (rateBottom-rateTop)*v/top }
	for v := 0.0; v <= top; v += step {
		p.tick(y(v), thousands(v))
	}
	p.steps(y)
	p.draw("Operations each second", rateTop, curves, curves, y)
}

func (p *plot) latencies() {
	var curves []curve
	legend := []curve{{name: "p99", class: "ink"}, {name: "p50", class: "ink half"}}
	low, high := math.Inf(1), 0.0
	for o := range kinds {
		done := o.curve(o.String(), "", func(r *OperationReport) float64 { return float64(r.Done) })
		if !p.any(done) {
			continue
		}
		if o >= operations { // the others are named above the rates
			legend = append(legend, done)
		}
		half := o.curve("", "half", func(r *OperationReport) float64 { return r.P50 })
		most := o.curve("", "", func(r *OperationReport) float64 { return r.P99 })
		curves = append(curves, half, most)
		low, high = min(low, p.least(half)), max(high, p.most(most))
	}
	if len(curves) == 0 {
		low, high = 1, 10
	}
	from, to := math.Floor(math.Log10(max(low, 0.001))), math.Ceil(math.Log10(max(high, 0.001)))
	to = max(to, from+1)
	y := func(ms float64) float64 {
		return timeBottom - (timeBottom-timeTop)*(math.Log10(max(ms, 0.001))-from)/(to-from)
	}
	for e := from; e <= to; e++ {
		p.tick(y(math.Pow(10, e)), millis(math.Pow(10, e)))
	}
	p.draw("Latency (logarithmic)", timeTop, legend, curves, y)
}

// draw draws curves, with a head and a legend above them.
func (p *plot) draw(head string, top int, legend, curves []curve, y func(float64) float64) {
	p.add(`<text class="head" x="%d" y="%d">%s</text>`, plotLeft, top-14, head)
	at := plotLeft + 190
	for _, c := range legend {
		p.add(`<line class="line %s" x1="%d" x2="%d" y1="%d" y2="%d"%s/><text x="%d" y="%d">%s</text>`, c.class, at, at+24, top-18, top-18, c.style(), at+30, top-14, c.name)
		at += 46 + 7*len(c.name)
	}
	for _, c := range curves {
		var b strings.Builder
		pen := "M"
		for i := range p.Series {
			v, ok := c.value(&p.Series[i])
			if !ok {
				pen = "M"
				continue
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", pen, p.x(float64(p.Series[i].Second)+.5), y(v))
			if pen = "L"; i+1 == len(p.Series) || !c.has(&p.Series[i+1]) {
				b.WriteString("h.1") // one value alone is a dot
			}
		}
		p.add(`<path class="line %s"%s d="%s"/>`, c.class, c.style(), b.String())
	}
}

func (c *curve) style() string {
	if c.colour == "" {
		return ""
	}
	return fmt.Sprintf(` style="stroke:%s"`, c.colour)
}

func (c *curve) has(s *Second) bool { _, ok := c.value(s); return ok }

func (p *plot) any(c curve) bool {
	for i := range p.Series {
		if c.has(&p.Series[i]) {
			return true
		}
	}
	return false
}

func (p *plot) most(c curve) (most float64) {
	for i := range p.Series {
		if v, ok := c.value(&p.Series[i]); ok {
			most = max(most, v)
		}
	}
	return most
}

func (p *plot) least(c curve) float64 {
	least := math.Inf(1)
	for i := range p.Series {
		if v, ok := c.value(&p.Series[i]); ok {
			least = min(least, v)
		}
	}
	return least
}

// tick is one line of the grid, and what it stands for.
func (p *plot) tick(y float64, name string) {
	p.add(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, plotLeft, plotRight, y, y, plotLeft-8, y+4, name)
}

// steps marks the steps of a search for the capacity.
func (p *plot) steps(y func(float64) float64) {
	for _, s := range p.Steps {
		if s.Rate == 0 { // a closed loop has none
			continue
		}
		colour := colours[feeds]
		if !s.Held {
			colour = "var(--bad)"
		}
		p.add(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" style="stroke:%s;stroke-width:5;opacity:.35"/>`, p.x(float64(s.Begin)), p.x(float64(s.End)), y(s.Rate), y(s.Rate), colour)
	}
}

// axis is the time.
func (p *plot) axis() {
	step := niceStep(p.seconds)
	for s := 0.0; s <= p.seconds; s += step {
		p.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>`, p.x(s), p.x(s), timeBottom, timeBottom+5, p.x(s), timeBottom+20, s)
	}
	note := "seconds"
	if p.WarmupS > 0 {
		note += "; what is shaded is warm-up"
	}
	p.add(`<text x="%d" y="%d" text-anchor="end">%s</text>`, plotRight, timeBottom+40, note)
}

// niceStep divides an axis into 5 to 10 parts of 1, 2 or 5 times a power of ten.
func niceStep(top float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(top)))
	for _, m := range []float64{.1, .2, .5, 1} {
		if top/(m*unit) <= 10 {
			return max(m*unit, 1)
		}
	}
	return max(unit, 1)
}

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
