package load

import (
	"context"
	"crypto/rand"
	"time"
)

// A Load is a crowd that is ready.
type Load struct {
	o     Options
	crowd *crowd
	setUp time.Duration
}

// Open makes the crowd, or brings it back from the state. The caller closes it.
func Open(ctx context.Context, o Options) (*Load, error) {
	start := time.Now()
	kept, err := loadState(o.State)
	if err != nil {
		return nil, err
	}
	if kept != nil && o.People == 0 {
		o.People = len(kept.Accounts) / 32
	}
	if kept != nil && o.Friends < 0 {
		o.Friends = int(kept.Friends)
	}
	o.defaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	var seed [32]byte
	rand.Read(seed[:])
	if kept != nil {
		seed = kept.Seed.Reveal()
	}
	c, err := newCrowd(&o, seed)
	if err != nil {
		return nil, err
	}
	l := &Load{o: o, crowd: c}
	if err := l.gather(ctx, kept); err != nil {
		c.close()
		return nil, err
	}
	l.setUp = time.Since(start)
	return l, nil
}

// gather gets the people.
func (l *Load) gather(ctx context.Context, kept *stateFile) error {
	o, c := &l.o, l.crowd
	if err := checkFiles(o.connections(len(c.nodes))); err != nil {
		return err
	}
	if kept != nil {
		if err := kept.fits(o, c.nodes); err != nil {
			return err
		}
	}
	if err := c.inspect(ctx); err != nil {
		return err
	}
	switch {
	case kept == nil:
		var err error
		if c.setting, err = newSetting(c.box); err != nil {
			return err
		}
	case kept.Setting == nil:
		return c.restore(ctx, kept)
	default:
		c.setting = kept.Setting
		c.setting.again = true
		c.tell("the set-up that was interrupted goes on")
	}
	return c.setUp(ctx, o.People, o.Friends, l.Keep)
}

// Keep writes the state, if there is to be one.
func (l *Load) Keep() error {
	if l.o.State == "" {
		return nil
	}
	return l.crowd.save(l.o.State, l.o.Friends)
}

// Close closes all connections.
func (l *Load) Close() { l.crowd.close() }

// Run puts the load on the nodes, and checks what came of it. When ctx ends, the
// report is about what there was until then.
func (l *Load) Run(ctx context.Context) (*Report, error) {
	check := l.begin()
	if l.o.Presign {
		if err := l.crowd.presign(ctx, l.o.Posts); err != nil {
			return nil, err
		}
	}
	r := newRun(l, check)
	var err error
	if r.watch, err = l.newWatch(ctx, check); err != nil {
		return nil, err
	}
	report := r.all(ctx)
	l.finish(ctx, check, report)
	return report, nil
}

// begin notes where all streams are.
func (l *Load) begin() *checker {
	for _, p := range l.crowd.people {
		p.before = p.acked
	}
	return newChecker(l.crowd, l.o.CheckEvery, l.o.Settle)
}

// finish reads back what was acknowledged.
func (l *Load) finish(ctx context.Context, check *checker, report *Report) {
	report.Interrupted = ctx.Err() != nil
	if l.o.CheckEvery > 0 {
		check.readBack(ctx, l.o.CheckPosts)
		report.Check = check.report()
	}
}
