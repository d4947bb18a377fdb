// Package mongo keeps a node's records in MongoDB, for nodes that are more
// than one process, or whose database lies elsewhere.
//
// A store is one collection. Each record is one document:
//
//	{_id: "post/ann/7", v: BinData(0, "aGk="), r: NumberLong("42")}     (revision 42, "hi")
//
// The index on _id, which every collection has, is the only one: records are
// found by key and by ranges of keys, and by nothing else. Strings sort there
// byte by byte. On a sharded cluster, _id is also the shard key.
//
// Revisions are drawn at random, 63 bits, so that no counter is shared. Writes
// wait for a majority of the servers and for their journals; reads ask the
// primary, for what a majority has. There are no transactions and no change
// streams: see Apply for how changes are made, and made again when their
// acknowledgement was lost.
//
// It refuses to repeat what the driver says: errors here name a kind of
// trouble and never a part of the URI, which holds a password.
package mongo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/peerbrain/peerbrain/node/store"
)

const (
	openTime    = 8 * time.Second // for Open, all in all
	selectTime  = 5 * time.Second // until a server that takes writes is found
	closingTime = time.Second     // that Close leaves to writes, and half of it to the connections
)

// A Store is a store.Store in one collection. Open makes it.
type Store struct {
	client     *client
	collection *mongo.Collection

	mu     sync.Mutex
	closed bool
	reads  sync.WaitGroup
	writes sync.WaitGroup
	ending context.Context // ends when Close begins: nothing is tried again
	end    context.CancelFunc
	cut    context.Context // ends when writes have had their time
	cutOff context.CancelFunc

	closing  sync.Once
	closeErr error
}

var _ store.Store = (*Store)(nil)

// A client is the connections that the stores of one Open share.
type client struct {
	*mongo.Client
	users atomic.Int64
}

// Open connects to the database behind a URI, such as
// mongodb://user:password@db.example/?replicaSet=rs0, and returns a store for
// each collection. What is missing is made: the collections, and on a sharded
// cluster their shard key. What the URI says of read and write concerns does
// not count. It gives up after some 8 seconds; errors match one of the Err
// values of this package, or that of ctx.
func Open(ctx context.Context, uri, database string, collections ...string) ([]*Store, error) {
	c, err := connect(ctx, uri, func(ctx context.Context, c *client) error { return c.prepare(ctx, database, collections) })
	if err != nil {
		return nil, err
	}
	var stores []*Store
	for _, name := range collections {
		s := &Store{client: c, collection: c.Database(database).Collection(name)}
		s.ending, s.end = context.WithCancel(context.Background())
		s.cut, s.cutOff = context.WithCancel(context.Background())
		stores = append(stores, s)
	}
	c.users.Store(int64(len(stores)))
	return stores, nil
}

// Collections lists the collections of a database, in no order, and makes nothing.
// Of a database that is not there, there are none. Time and errors are those of
// Open.
func Collections(ctx context.Context, uri, database string) (names []string, err error) {
	c, err := connect(ctx, uri, func(ctx context.Context, c *client) (err error) {
		names, err = c.Database(database).ListCollectionNames(ctx, bson.D{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, c.disconnect()
}

// connect makes the connections, and begins with something.
func connect(ctx context.Context, uri string, begin func(context.Context, *client) error) (*client, error) {
	opening, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	o, err := clientOptions(uri)
	if err != nil {
		return nil, err
	}
	var distrusted atomic.Bool
	connected, err := mongo.Connect(o.SetServerMonitor(&event.ServerMonitor{ServerHeartbeatFailed: func(e *event.ServerHeartbeatFailedEvent) {
		if distrusts(e.Failure) {
			distrusted.Store(true)
		}
	}}))
	if err != nil {
		return nil, ErrURI
	}
	c := &client{Client: connected}
	if err := begin(opening, c); err != nil {
		c.disconnect()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("mongo: open: %w", ctx.Err())
		}
		return nil, explain(err, o.Hosts, distrusted.Load())
	}
	return c, nil
}

// clientOptions are what the URI says, but for what must not be chosen.
func clientOptions(uri string) (*options.ClientOptions, error) {
	journal := true
	o := options.Client().ApplyURI(uri)
	if err := o.Validate(); err != nil {
		return nil, explainURI(err)
	}
	return o.
		SetAppName("peerbrain-node").
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).
		SetRetryReads(true).
		SetServerSelectionTimeout(selectTime).
		SetConnectTimeout(selectTime), nil
}

// begin counts a call in, unless the store is closed.
func (s *Store) begin(calls *sync.WaitGroup) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	calls.Add(1)
	return nil
}

// Close implements store.Store. Writes get a second to come to an end, and are
// not tried again. The last store of an Open closes the connections.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.end()
		timer := time.AfterFunc(closingTime, s.cutOff)
		s.reads.Wait()
		s.writes.Wait()
		timer.Stop()
		s.cutOff()
		if s.client.users.Add(-1) == 0 {
			s.closeErr = s.client.disconnect()
		}
	})
	return s.closeErr
}

// disconnect ends all connections.
func (c *client) disconnect() error {
	ctx, cancel := context.WithTimeout(context.Background(), closingTime/2)
	defer cancel()
	if err := c.Disconnect(ctx); err != nil {
		return fmt.Errorf("mongo: close: %w", ErrNoAnswer)
	}
	return nil
}
