package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// oldest is the first major version of MongoDB that is served.
const oldest = 6

// A server is what one says of itself.
type server struct {
	Message string  `bson:"msg"`          // isdbgrid: a mongos, in front of a sharded cluster
	Version []int32 `bson:"versionArray"` // major first
}

// prepare checks the server, and makes what is missing.
func (c *client) prepare(ctx context.Context, database string, collections []string) error {
	var s server
	admin := c.Database("admin")
	for _, command := range []string{"hello", "buildInfo"} {
		if err := admin.RunCommand(ctx, bson.D{{Key: command, Value: 1}}).Decode(&s); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return err
	}
	for _, name := range collections {
		err := c.Database(database).CreateCollection(ctx, name)
		if err != nil && !hasCode(err, codeNamespaceExists) {
			return err
		}
		if !s.isSharded() {
			continue
		}
		if err := admin.RunCommand(ctx, shardCommand(database, name)).Err(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses servers that are too old, or no longer known.
func (s server) check() error {
	if len(s.Version) == 0 || s.Version[0] < oldest {
		return ErrOld
	}
	return nil
}

func (s server) isSharded() bool { return s.Message == "isdbgrid" }

// shardCommand spreads a collection by ranges of keys. For one that is spread
// so already, it does nothing.
func shardCommand(database, collection string) bson.D {
	return bson.D{{Key: "shardCollection", Value: database + "." + collection}, {Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}}
}

// hasCode reports whether a server answered with the code.
func hasCode(err error, code int) bool {
	e := serverError(err)
	return e != nil && e.HasErrorCode(code)
}
