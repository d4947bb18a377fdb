package node

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A budgetName names one thing that is rationed.
type budgetName string

const (
	// Failed log-ins. What a stranger burns with one of them, none of the
	// others has to pay: neither a device that logged in before, nor recovery.
	guessAccount    budgetName = "failed log-ins for a handle"
	guessAddress    budgetName = "failed log-ins from an address"
	guessDevice     budgetName = "failed log-ins of a known device"
	recoveryAccount budgetName = "failed recoveries for a handle"
	recoveryAddress budgetName = "failed recoveries from an address"

	// Everything else that strangers may ask for, whether it succeeds or not.
	askChallenge budgetName = "challenges for an address"
	askLogin     budgetName = "log-ins from an address"
	askRegister  budgetName = "registrations from an address"
	askHeads     budgetName = "head queries from an address"
	askKeys      budgetName = "key look-ups of an account"
	askPeerKeys  budgetName = "key look-ups of another node"
)

// A rate allows count at once, and count more in each span, evenly.
type rate struct {
	count int
	span  time.Duration
}

// A budget is one or two rates that hold together. With backoff, each failure
// in a row beyond those the first rate allows at once doubles the wait.
type budget struct {
	rates   [2]rate // a zero rate sets no limit
	backoff bool
}

var guesses = budget{rates: [2]rate{{10, time.Minute}, {100, 24 * time.Hour}}, backoff: true}

// budgets is the only place where numbers of requests stand (TestBudgets).
var budgets = map[budgetName]budget{
	guessAccount:    guesses,
	guessAddress:    guesses,
	guessDevice:     guesses,
	recoveryAccount: guesses,
	recoveryAddress: guesses,
	askChallenge:    {rates: [2]rate{{60, time.Minute}}},
	askLogin:        {rates: [2]rate{{60, time.Minute}}},
	askRegister:     {rates: [2]rate{{10, time.Minute}, {100, 24 * time.Hour}}},
	askHeads:        {rates: [2]rate{{60, time.Minute}}},
	askKeys:         {rates: [2]rate{{120, time.Minute}}},
	askPeerKeys:     {rates: [2]rate{{3000, time.Minute}}},
}

const (
	// throttleCap is how many purses of one budget are remembered, about 300
	// bytes each. Who is forgotten first is who was seen least recently.
	throttleCap = 10_000
	maxBackoff  = 15 * time.Minute
	// generosity multiplies what may be asked for in development, where one
	// machine plays all people. Failed log-ins are rationed as ever.
	generosity = 100
)

// A purse is what is left of a budget for one key, kept as the time at which
// each rate would be whole again (the generic cell rate algorithm, ITU-T I.371).
type purse struct {
	whole  [2]time.Time
	failed int       // failures in a row
	until  time.Time // no attempt before
}

// A throttle rations requests. It holds no more than throttleCap purses of
// each budget and starts no goroutine.
type throttle struct {
	now      func() time.Time
	generous bool // where nothing is guessed

	mu     sync.Mutex
	purses map[budgetName]*simplelru.LRU[string, *purse]
}

func newThrottle(now func() time.Time, development bool) *throttle {
	t := &throttle{now: now, generous: development, purses: map[budgetName]*simplelru.LRU[string, *purse]{}}
	for name := range budgets {
		t.purses[name], _ = simplelru.NewLRU[string, *purse](throttleCap, nil) // fails for no positive size
	}
	return t
}

// network is what counts as one address: an IPv4 address, or the /64 that an
// IPv6 host can choose freely from. An unknown address is one of its own.
func network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64) // fails for no IPv6 address
		return p.String()
	}
	return a.String()
}

// take takes one from the budget of key, or returns a wire.Throttled.
func (t *throttle) take(name budgetName, key string) error {
	scale := 1
	if t.generous {
		scale = generosity
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now, p, b := t.now(), t.purse(name, key), budgets[name]
	if wait := p.wait(b, now, scale); wait > 0 {
		return throttled(wait)
	}
	p.take(b, now, scale)
	t.purses[name].Add(key, p)
	return nil
}

// A claim says that something is about to be tried at the cost of a budget.
type claim struct {
	name budgetName
	key  string
}

// An attempt was paid for as if it had failed, so that many at once are not
// cheaper than one by one.
type attempt struct {
	t    *throttle
	paid []payment
}

type payment struct {
	claim
	purse         *purse
	before, after time.Time // the purse's until
}

// attempt takes one from each budget, or from none and returns a wire.Throttled.
func (t *throttle) attempt(claims ...claim) (*attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a := &attempt{t: t}
	var longest time.Duration
	for _, c := range claims {
		p := t.purse(c.name, c.key)
		longest = max(longest, p.wait(budgets[c.name], now, 1))
		a.paid = append(a.paid, payment{claim: c, purse: p, before: p.until})
	}
	if longest > 0 {
		return nil, throttled(longest)
	}
	for i := range a.paid {
		c := &a.paid[i]
		c.purse.take(budgets[c.name], now, 1)
		c.after = c.purse.until
		t.purses[c.name].Add(c.key, c.purse)
	}
	return a, nil
}

// succeeded gives everything back. The row of failures ends for all but
// addresses: there, an attacker would end it with an account of their own.
func (a *attempt) succeeded() {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	for _, c := range a.paid {
		c.purse.giveBack(budgets[c.name])
		switch {
		case c.name != guessAddress && c.name != recoveryAddress:
			c.purse.failed, c.purse.until = 0, time.Time{}
		case c.purse.until.Equal(c.after): // nothing failed meanwhile
			c.purse.until = c.before
		}
	}
}

// purse returns the purse of key, which is kept only once something was taken
// from it. It must be called with mu held.
func (t *throttle) purse(name budgetName, key string) *purse {
	if p, ok := t.purses[name].Get(key); ok {
		return p
	}
	return new(purse)
}

func (r rate) interval(scale int) time.Duration { return r.span / time.Duration(r.count*scale) }

// wholeAt returns when rate i would be whole if one more were taken now.
func (p *purse) wholeAt(i int, r rate, now time.Time, scale int) time.Time {
	from := now
	if p.whole[i].After(now) {
		from = p.whole[i]
	}
	return from.Add(r.interval(scale))
}

// wait returns how long it takes until one can be taken, 0 for now.
func (p *purse) wait(b budget, now time.Time, scale int) time.Duration {
	longest := max(0, p.until.Sub(now))
	for i, r := range b.rates {
		if r.count > 0 {
			longest = max(longest, p.wholeAt(i, r, now, scale).Sub(now)-r.span)
		}
	}
	return longest
}

func (p *purse) take(b budget, now time.Time, scale int) {
	for i, r := range b.rates {
		if r.count > 0 {
			p.whole[i] = p.wholeAt(i, r, now, scale)
		}
	}
	if b.backoff {
		p.backOff(b, now)
	}
}

// backOff counts a failure, after a day without any as the first.
func (p *purse) backOff(b budget, now time.Time) {
	if now.Sub(p.until) > b.rates[1].span {
		p.failed = 0
	}
	p.failed++
	var wait time.Duration
	if over := p.failed - b.rates[0].count; over >= 0 {
		wait = min(maxBackoff, b.rates[0].interval(1)<<min(over, 20))
	}
	p.until = now.Add(wait)
}

func (p *purse) giveBack(b budget) {
	for i, r := range b.rates {
		if r.count > 0 {
			p.whole[i] = p.whole[i].Add(-r.interval(1))
		}
	}
	p.failed = max(0, p.failed-1)
}

func throttled(wait time.Duration) error {
	err := wire.Errorf(wire.Throttled, "", "too many requests; try again later")
	err.RetryAfter = wait
	return err
}
