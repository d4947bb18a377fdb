package mongo

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

const canary = "canary-in-the-uri"

// TestOpenRefuses opens what cannot be opened: the error is of the right kind
// and holds nothing of the URI.
func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name, uri string
		want      error
	}{
		{"nothing", "", ErrURI},
		{"no scheme", "db.example:27017", ErrURI},
		{"another scheme", "http://ann:" + canary + "@db.example/", ErrURI},
		{"an unescaped slash in the password", "mongodb://ann:" + canary + "/x@127.0.0.1/", ErrURI},
		{"an unescaped at sign in the password", "mongodb://ann:" + canary + "@x@127.0.0.1/", ErrURI},
		{"a port that is none", "mongodb://ann:" + canary + "@127.0.0.1:port/", ErrURI},
		{"an option that is none", "mongodb://ann:" + canary + "@127.0.0.1/?w=" + canary + "&journal=" + canary, ErrURI},
		{"a host that is none", "mongodb://ann:" + canary + "@" + canary + ".invalid/", ErrHost},
		{"a name to look up that is none", "mongodb+srv://ann:" + canary + "@" + canary + ".invalid/", ErrHost},
		{"nobody listens", "mongodb://ann:" + canary + "@" + silent(t) + "/", ErrNoAnswer},
		{"what listens says nothing", "mongodb://ann:" + canary + "@" + mute(t) + "/", ErrNoAnswer},
		{"nobody of a set listens", "mongodb://ann:" + canary + "@" + silent(t) + "," + silent(t) + "/?replicaSet=" + canary, ErrNoAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), test.uri, "peerbrain", "own")
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("a part of the URI is in the error: %v", err)
			}
		})
	}
}

// silent is an address where nobody listens.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// mute is an address where somebody listens and never answers.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestOpenWithAWrongPassword(t *testing.T) {
	server := mongotest.Get(t)
	if server.Password() == "" {
		t.Skip("SKIPPED, NOT PROVED HERE: the server asks nobody who they are")
	}
	u, err := url.Parse(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), canary)
	if _, err = Open(t.Context(), u.String(), server.Database(t), "own"); !errors.Is(err, ErrLogin) {
		t.Errorf("got %v, want %v", err, ErrLogin)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, "mongodb://"+silent(t)+"/", "peerbrain", "own"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		version []int32
		want    error
	}{
		{nil, ErrOld}, {[]int32{4, 4, 29, 0}, ErrOld}, {[]int32{5, 0, 31, 0}, ErrOld}, {[]int32{6, 0, 0, 0}, nil}, {[]int32{8, 0, 4, 0}, nil},
	} {
		if err := (server{Version: test.version}).check(); !errors.Is(err, test.want) {
			t.Errorf("version %v: got %v, want %v", test.version, err, test.want)
		}
	}
}

// TestShardKey has no sharded cluster to try: it holds the command to what
// MongoDB's manual says, and its cause to what a mongos says of itself.
func TestShardKey(t *testing.T) {
	var s server
	answer, err := bson.Marshal(bson.D{{Key: "isWritablePrimary", Value: true}, {Key: "msg", Value: "isdbgrid"}})
	if err == nil {
		err = bson.Unmarshal(answer, &s)
	}
	if err != nil || !s.isSharded() || (server{}).isSharded() {
		t.Errorf("a mongos is not known by its answer: %v, %+v", err, s)
	}
	got, err := bson.MarshalExtJSON(shardCommand("peerbrain", "own"), false, false)
	if want := `{"shardCollection":"peerbrain.own","key":{"_id":1}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestStoresShareConnections closes one of two stores: the other goes on.
func TestStoresShareConnections(t *testing.T) {
	server := mongotest.Get(t)
	stores, err := Open(t.Context(), server.URI, server.Database(t), "own", "copies")
	if err != nil {
		t.Fatal(err)
	}
	if err := stores[0].Close(); err != nil {
		t.Error(err)
	}
	if err := stores[1].Apply(t.Context(), put("k", "v")); err != nil {
		t.Error(err)
	}
	if err := stores[1].Close(); err != nil {
		t.Error(err)
	}
}
