package mongo

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/peerbrain/peerbrain/node/store"
)

// A document is a record as it is stored.
type document struct {
	Key      string `bson:"_id"`
	Value    []byte `bson:"v"`
	Revision int64  `bson:"r"`
}

func (d document) record() store.Record {
	if d.Value == nil {
		d.Value = []byte{}
	}
	return store.Record{Key: d.Key, Value: d.Value, Revision: uint64(d.Revision)}
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Record{}, err
	}
	var d document
	err := s.read(ctx, "get", func(ctx context.Context) error {
		err := s.collection.FindOne(ctx, byKey(key)).Decode(&d)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return store.ErrNotExist
		}
		return err
	})
	if err != nil {
		return store.Record{}, err
	}
	return d.record(), nil
}

func byKey(key string) bson.D { return bson.D{{Key: "_id", Value: key}} }

// read makes a call that reads: it ends when ctx does, or with Close.
func (s *Store) read(ctx context.Context, what string, attempt func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mongo: %s: %w", what, err)
	}
	if err := s.begin(&s.reads); err != nil {
		return fmt.Errorf("mongo: %s: %w", what, err)
	}
	defer s.reads.Done()
	attempts, cancel := until(ctx, s.ending)
	defer cancel()
	return s.try(ctx, attempts, what, attempt)
}

// Scan implements store.Store. Each batch is a query of its own.
func (s *Store) Scan(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return store.Pages(ctx, q, func(ctx context.Context, rest store.Query) (records []store.Record, more bool, err error) {
		err = s.read(ctx, "scan", func(ctx context.Context) error {
			records, more, err = s.batch(ctx, rest)
			return err
		})
		return records, more, err
	})
}

// batch returns what the server sends at once, which is up to 16 MiB, and
// closes the cursor if there is more.
func (s *Store) batch(ctx context.Context, q store.Query) (records []store.Record, more bool, err error) {
	order := 1
	if q.Reverse {
		order = -1
	}
	o := options.Find().SetSort(bson.D{{Key: "_id", Value: order}}).SetLimit(int64(q.Limit)).SetBatchSize(int32(q.Limit))
	cursor, err := s.collection.Find(ctx, within(q), o)
	if err != nil {
		return nil, false, err
	}
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		var d document
		if err := cursor.Decode(&d); err != nil {
			return nil, false, err
		}
		records = append(records, d.record())
		if cursor.RemainingBatchLength() == 0 {
			return records, len(records) == q.Limit || cursor.ID() != 0, nil
		}
	}
	return records, false, cursor.Err()
}

// within is the filter of a query.
func within(q store.Query) bson.D {
	bounds := bson.D{{Key: "$gte", Value: q.From}}
	if q.To != "" {
		bounds = append(bounds, bson.E{Key: "$lt", Value: q.To})
	}
	return bson.D{{Key: "_id", Value: bounds}}
}
