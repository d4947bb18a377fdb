package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/peerbrain/peerbrain/node/store"
)

// What fails for a time is tried again: for as long as electing a new primary
// may take, and with ever longer pauses, each drawn at random from a half to
// the whole of its length, so that not all come back at once.
const (
	attemptTime = 10 * time.Second // for one attempt
	patience    = 30 * time.Second // from the first attempt to the beginning of the last
	firstPause  = 20 * time.Millisecond
	longPause   = time.Second
	linger      = time.Second // that a write under way has left when its context ends
)

// try makes attempts until one succeeds, or fails for good, or ctx ends, or
// the store is closed. Attempts is the context for those.
func (s *Store) try(ctx, attempts context.Context, what string, attempt func(context.Context) error) error {
	started := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := once(attempts, attempt)
		var conflict *store.ConflictError
		switch {
		case err == nil, errors.Is(err, store.ErrNotExist), errors.As(err, &conflict):
			return err
		case s.ending.Err() != nil, errors.Is(err, mongo.ErrClientDisconnected):
			return fmt.Errorf("mongo: %s: %w", what, store.ErrClosed)
		case ctx.Err() != nil:
			return fmt.Errorf("mongo: %s: %w", what, ctx.Err())
		case !temporary(err), time.Since(started) > patience:
			return faultOf(what, err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-s.ending.Done():
		}
		timer.Stop()
	}
}

// once makes one attempt, which may take attemptTime.
func once(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return attempt(ctx)
}

// outlive returns a context that ends linger later than ctx, or with other. To
// cut off a write at once would leave open what came of it, and cost the
// connection.
func outlive(ctx, other context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := until(context.WithoutCancel(ctx), other)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// until returns ctx that ends with other as well.
func until(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() { stop(); cancel() }
}
