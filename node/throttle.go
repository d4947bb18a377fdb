package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A budgetName names one thing that is rationed.
type budgetName string

const (
	// Failed log-ins. What a stranger burns with one of them, none of the
	// others has to pay: neither a device that logged in before, nor recovery. A
	// recovery code has 160 random bits, so its guesses are rationed by address only,
	// for the node's sake: by handle, a stranger could keep its owner out.
	guessAccount    budgetName = "failed log-ins for a handle"
	guessAddress    budgetName = "failed log-ins from an address"
	guessDevice     budgetName = "failed log-ins of a known device"
	recoveryAddress budgetName = "failed recoveries from an address"

	// Wrong codes of a second factor. Only who knows the password gets so far, or has a
	// session.
	guessCode        budgetName = "wrong codes for an account"
	guessCodeAddress budgetName = "wrong codes from an address"

	// Everything else that strangers may ask for, whether it succeeds or not.
	askChallenge budgetName = "challenges for an address"
	askLogin     budgetName = "log-ins from an address"
	askRegister  budgetName = "registrations from an address"
	askHeads     budgetName = "head queries from an address"
	askRecovery  budgetName = "recovery queries from an address"
	askKeys      budgetName = "key look-ups of an account"
	askPeerKeys  budgetName = "key look-ups of another node"
	askWebFinger budgetName = "WebFinger look-ups from an address"
	askLog       budgetName = "files of the log from an address"
	askWitness   budgetName = "checkpoints of other logs from an address"
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
	guessAccount:     guesses,
	guessAddress:     guesses,
	guessDevice:      guesses,
	recoveryAddress:  guesses,
	guessCode:        guesses,
	guessCodeAddress: guesses,
	askChallenge:     {rates: [2]rate{{60, time.Minute}}},
	askLogin:         {rates: [2]rate{{60, time.Minute}}},
	askRegister:      {rates: [2]rate{{10, time.Minute}, {100, 24 * time.Hour}}},
	askHeads:         {rates: [2]rate{{60, time.Minute}}},
	askRecovery:      {rates: [2]rate{{120, time.Minute}}},
	askKeys:          {rates: [2]rate{{120, time.Minute}}},
	askPeerKeys:      {rates: [2]rate{{3000, time.Minute}}},
	askLog:           {rates: [2]rate{{1200, time.Minute}}},
	askWitness:       {rates: [2]rate{{600, time.Minute}}},
	askWebFinger:     {rates: [2]rate{{60, time.Minute}, {1000, 24 * time.Hour}}},
}

const (
	maxBackoff = 15 * time.Minute
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

// A throttle rations requests.
type throttle struct {
	now      func() time.Time
	generous bool // where nothing is guessed
	purses   purses
}

func newThrottle(now func() time.Time, development bool, p purses) *throttle {
	return &throttle{now: now, generous: development, purses: p}
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
func (t *throttle) take(ctx context.Context, name budgetName, key string) error {
	scale := 1
	if t.generous {
		scale = generosity
	}
	return t.purses.change(ctx, claim{name, key}, func(p *purse) error {
		now, b := t.now(), budgets[name]
		if wait := p.wait(b, now, scale); wait > 0 {
			return throttled(wait)
		}
		p.take(b, now, scale)
		return nil
	})
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
	before, after time.Time // the purse's until
}

// attempt takes one from each budget, or from none and returns a wire.Throttled
// with the longest wait.
func (t *throttle) attempt(ctx context.Context, claims ...claim) (*attempt, error) {
	a := &attempt{t: t, paid: make([]payment, 0, len(claims))}
	now := t.now()
	if len(claims) > 1 { // so that what is refused leaves no trace
		if err := t.look(ctx, now, claims); err != nil {
			return nil, err
		}
	}
	for _, c := range claims {
		if err := a.pay(ctx, c, now); err != nil { // another was first
			return nil, errors.Join(err, a.undo(ctx, false))
		}
	}
	return a, nil
}

// look returns a wire.Throttled where one of the budgets does not allow one more.
func (t *throttle) look(ctx context.Context, now time.Time, claims []claim) error {
	var longest time.Duration
	for _, c := range claims {
		err := t.purses.change(ctx, c, func(p *purse) error {
			longest = max(longest, p.wait(budgets[c.name], now, 1))
			return errUnchanged
		})
		if !errors.Is(err, errUnchanged) {
			return err
		}
	}
	if longest > 0 {
		return throttled(longest)
	}
	return nil
}

var errUnchanged = errors.New("nothing was taken")

// pay takes one from a budget.
func (a *attempt) pay(ctx context.Context, c claim, now time.Time) error {
	paid := payment{claim: c}
	err := a.t.purses.change(ctx, c, func(p *purse) error {
		if wait := p.wait(budgets[c.name], now, 1); wait > 0 {
			return throttled(wait)
		}
		paid.before = p.until
		p.take(budgets[c.name], now, 1)
		paid.after = p.until
		return nil
	})
	if err == nil {
		a.paid = append(a.paid, paid)
	}
	return err
}

// succeeded gives everything back. The row of failures ends for all but
// addresses: there, an attacker would end it with an account of their own.
func (a *attempt) succeeded(ctx context.Context) error { return a.undo(ctx, true) }

// undo gives everything back, and if that is due ends the row of failures.
func (a *attempt) undo(ctx context.Context, succeeded bool) error {
	var failed error
	for _, c := range a.paid {
		err := a.t.purses.change(ctx, c.claim, func(p *purse) error {
			p.giveBack(budgets[c.name])
			switch {
			case succeeded && c.name != guessAddress && c.name != recoveryAddress && c.name != guessCodeAddress:
				p.failed, p.until = 0, time.Time{}
			case p.until.Equal(c.after): // nothing failed meanwhile
				p.until = c.before
			}
			return nil
		})
		failed = errors.Join(failed, err)
	}
	return failed
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

// wait returns how long it takes until one can be taken, 0 for now. Before there
// are as many failures as make one wait, until is only when the last one was: by a
// clock that may be a little ahead, that of another attempt or process.
func (p *purse) wait(b budget, now time.Time, scale int) time.Duration {
	longest := time.Duration(0)
	if p.failed >= b.rates[0].count {
		longest = max(0, p.until.Sub(now))
	}
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
