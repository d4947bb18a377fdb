package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/peerbrain/peerbrain/node/store"
)

// How changes are made. What depends on nothing is an upsert or a deletion by
// key. IfAbsent is an insert, which fails with a duplicate key if there is a
// record. IfRevision is a replacement or deletion of {_id, r}, which quietly
// matches nothing if there is another revision, so the number of those that
// matched has to be looked at. An ordered bulk write stops at an error and not
// at what matches nothing: hence a step ends with such a change, and the next
// begins only after a look at the number.
//
// How they are made again. When an acknowledgement is lost, the step is sent
// again. Inserts and replacements under a condition carry the same revision
// as before: a record that has it is our own work (see confirm). A change
// without a condition is made once more, with a new revision. All attempts of
// an Apply share a session: a replica set refuses an attempt that arrives
// after a later one, and so what was cut off cannot undo what came behind it.
// A single server has no such memory; there, a deletion or an overwriting that
// was cut off may still happen a moment after it was made again.

// A step ends as well when it has grown large: what is made of a long Apply
// stays made when the next step has to be sent again.
const (
	maxStep      = 100     // changes
	maxStepBytes = 4 << 20 // of values, but for a single larger one
)

// A write is a change on its way.
type write struct {
	store.Change
	fresh int64 // the revision that the record gets
}

// newRevision draws one from 1 to 2^63-1.
func newRevision() int64 { return 1 + rand.Int64N(1<<63-1) }

// Apply implements store.Store. When ctx ends meanwhile, what it has begun gets
// another second to come to an end, and is not tried again.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) error {
	for _, c := range changes {
		if err := c.Check(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mongo: apply: %w", err)
	}
	if err := s.begin(&s.writes); err != nil {
		return fmt.Errorf("mongo: apply: %w", err)
	}
	defer s.writes.Done()
	session, err := s.client.StartSession(options.Session().SetCausalConsistency(false))
	if err != nil {
		return faultOf("apply", err)
	}
	attempts, cancel := outlive(ctx, s.cut)
	defer cancel()
	defer session.EndSession(attempts)
	attempts = mongo.NewSessionContext(attempts, session)
	for _, step := range steps(changes) {
		if err := s.try(ctx, attempts, "apply", func(ctx context.Context) error { return s.make(ctx, &step) }); err != nil {
			return err
		}
	}
	return nil
}

// steps splits changes where the outcome of one has to be known before the
// next is sent, and where they become many.
func steps(changes []store.Change) (all [][]write) {
	var step []write
	size := 0
	finish := func() {
		if len(step) > 0 {
			all, step, size = append(all, step), nil, 0
		}
	}
	for _, c := range changes {
		revision, bound := c.If.Revision()
		alone := bound && c.Value == nil
		if alone || len(step) == maxStep || size+len(c.Value) > maxStepBytes {
			finish()
		}
		step = append(step, write{c, newRevision()})
		size += len(c.Value)
		if alone || bound && revision != 0 {
			finish()
		}
	}
	finish()
	return all
}

// make makes the changes of a step, and takes away from it those that need
// not be made again.
func (s *Store) make(ctx context.Context, step *[]write) error {
	for len(*step) > 0 {
		if w := (*step)[0]; w.isBound() && w.Value == nil {
			return s.deleteIf(ctx, w)
		}
		result, err := s.collection.BulkWrite(ctx, models(*step))
		if err == nil {
			return s.matched(ctx, *step, result)
		}
		i, ok := duplicate(err)
		if !ok {
			return err
		}
		w := (*step)[i]
		*step = (*step)[i:]
		if !w.isBound() {
			continue // another created the record meanwhile: now it is there to be replaced
		}
		if err := s.confirm(ctx, w); err != nil {
			return err
		}
		*step = (*step)[1:]
	}
	return nil
}

func (w write) isBound() bool {
	_, bound := w.If.Revision()
	return bound
}

// models are what the driver sends for the changes of a step.
func models(step []write) (all []mongo.WriteModel) {
	for _, w := range step {
		var m mongo.WriteModel
		switch revision, bound := w.If.Revision(); {
		case w.Value == nil:
			m = mongo.NewDeleteOneModel().SetFilter(byKey(w.Key))
		case !bound:
			m = mongo.NewReplaceOneModel().SetFilter(byKey(w.Key)).SetReplacement(document{w.Key, w.Value, newRevision()}).SetUpsert(true)
		case revision == 0:
			m = mongo.NewInsertOneModel().SetDocument(document{w.Key, w.Value, w.fresh})
		default:
			m = mongo.NewReplaceOneModel().SetFilter(byRevision(w.Key, int64(revision))).SetReplacement(document{w.Key, w.Value, w.fresh})
		}
		all = append(all, m)
	}
	return all
}

// byRevision selects a record while it has the revision. Beyond 2^63-1, which
// no record has, it becomes a negative number, which none has either.
func byRevision(key string, revision int64) bson.D {
	return append(byKey(key), bson.E{Key: "r", Value: revision})
}

// duplicate returns which change met a record that is there, if that is all
// that went wrong.
func duplicate(err error) (index int, ok bool) {
	var e mongo.BulkWriteException
	if !errors.As(err, &e) || e.WriteConcernError != nil || len(e.WriteErrors) == 0 || e.WriteErrors[0].Code != codeDuplicateKey {
		return 0, false
	}
	return e.WriteErrors[0].Index, true
}

// matched looks whether the last change of a step, if it depends on a
// revision, found it. All others that replace match or create.
func (s *Store) matched(ctx context.Context, step []write, result *mongo.BulkWriteResult) error {
	var replacements int64
	for _, w := range step {
		if revision, bound := w.If.Revision(); w.Value != nil && (!bound || revision != 0) {
			replacements++
		}
	}
	last := step[len(step)-1]
	if !last.isBound() || result.MatchedCount+result.UpsertedCount == replacements {
		return nil
	}
	return s.confirm(ctx, last)
}

// confirm returns a conflict, unless the record is what an earlier attempt at
// the same change made of it. It writes, if nothing new, and does not read: so
// the answer is about what a majority has.
func (s *Store) confirm(ctx context.Context, w write) error {
	result, err := s.collection.UpdateOne(ctx, byRevision(w.Key, w.fresh), bson.D{{Key: "$set", Value: bson.D{{Key: "r", Value: w.fresh}}}})
	if err == nil && result.MatchedCount == 0 {
		err = &store.ConflictError{Key: w.Key}
	}
	return err
}

// deleteIf deletes a record that must have a revision, or finds that there is
// none where none may be.
func (s *Store) deleteIf(ctx context.Context, w write) error {
	if revision, _ := w.If.Revision(); revision != 0 {
		result, err := s.collection.DeleteOne(ctx, byRevision(w.Key, int64(revision)))
		if err == nil && result.DeletedCount == 0 {
			err = &store.ConflictError{Key: w.Key}
		}
		return err
	}
	err := s.collection.FindOne(ctx, byKey(w.Key)).Err()
	switch {
	case err == nil:
		return &store.ConflictError{Key: w.Key}
	case errors.Is(err, mongo.ErrNoDocuments):
		return nil
	}
	return err
}
