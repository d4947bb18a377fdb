package mongo

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

// TestWhatAURIDoesNotChoose: what a node promises does not depend on its URI.
func TestWhatAURIDoesNotChoose(t *testing.T) {
	o, err := clientOptions("mongodb://db.example/?w=1&journal=false&readConcernLevel=local&readPreference=secondaryPreferred" +
		"&retryWrites=false&retryReads=false&serverSelectionTimeoutMS=600000&connectTimeoutMS=600000")
	if err != nil {
		t.Fatal(err)
	}
	w := o.WriteConcern
	if w.W != "majority" || w.Journal == nil || !*w.Journal {
		t.Errorf("write concern: got %+v", w)
	}
	if o.ReadConcern.Level != readconcern.Majority().Level || o.ReadPreference.Mode() != readpref.PrimaryMode {
		t.Errorf("reads: got %+v, %s", o.ReadConcern, o.ReadPreference)
	}
	if !*o.RetryWrites || !*o.RetryReads || *o.ServerSelectionTimeout != selectTime || *o.ConnectTimeout != selectTime {
		t.Errorf("got retries %t and %t, %s, %s", *o.RetryWrites, *o.RetryReads, *o.ServerSelectionTimeout, *o.ConnectTimeout)
	}
}

// TestWhatIsAsked looks at requests on the wire: each write waits for a majority and
// its journals, each read asks for what a majority has. That a server does what it is
// asked needs a real mongod.
func TestWhatIsAsked(t *testing.T) {
	server := mongotest.Get(t)
	cut, uri := newCutter(t, server.URI)
	cut.seen = make(chan []byte, 1000)
	s := open(t, uri+"&w=0&readConcernLevel=local", server.Database(t))
	var before store.Record
	for _, do := range []func() error{
		func() error { return s.Apply(t.Context(), put("k", "v")) },
		func() (err error) { before, err = s.Get(t.Context(), "k"); return err },
		func() error {
			return s.Apply(t.Context(), store.Change{Key: "k", Value: []byte("w"), If: store.IfRevision(before.Revision)})
		},
		func() error {
			return s.Apply(t.Context(), store.Change{Key: "l", Value: []byte("v"), If: store.IfAbsent()})
		},
		func() error { return s.Apply(t.Context(), store.Change{Key: "k"}) },
		func() error {
			for _, err := range s.Scan(t.Context(), store.Query{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	cut.close()
	close(cut.seen)
	asked := map[string]int{}
	for request := range cut.seen {
		for command, want := range map[string]string{
			"insert": "\x02w\x00\x09\x00\x00\x00majority\x00\x08j\x00\x01", "update": "\x02w\x00\x09\x00\x00\x00majority\x00\x08j\x00\x01",
			"delete": "\x02w\x00\x09\x00\x00\x00majority\x00\x08j\x00\x01", "find": "\x02level\x00\x09\x00\x00\x00majority\x00",
		} {
			if !bytes.Contains(request, []byte("\x02"+command+"\x00\x04\x00\x00\x00own\x00")) {
				continue
			}
			asked[command]++
			if !bytes.Contains(request, []byte(want)) {
				t.Errorf("%s without its concern: %q", command, request)
			}
		}
	}
	for command, want := range map[string]int{"insert": 1, "update": 2, "delete": 1, "find": 2} {
		if asked[command] != want {
			t.Errorf("%s: seen %d times, want %d", command, asked[command], want)
		}
	}
}

// TestTLS connects with the certificates that a URI names, and says what is wrong with
// others.
func TestTLS(t *testing.T) {
	server := mongotest.Get(t)
	shown := httptest.NewUnstartedServer(nil)
	shown.StartTLS()
	shown.Close()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown.Certificate().Raw}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, uri := cutterAt(t, tls.NewListener(l, &tls.Config{Certificates: shown.TLS.Certificates}), server.URI)
	for _, test := range []struct {
		name, uri string
		want      error
	}{
		{"a certificate that is known", uri + "&tls=true&tlsCAFile=" + ca, nil},
		{"one that nobody vouches for", uri + "&tls=true", ErrTLS},
		{"another name", strings.Replace(uri, "127.0.0.1", "localhost", 1) + "&tls=true&tlsCAFile=" + ca, ErrTLS},
		{"no TLS", uri, ErrNoAnswer},
		{"a file that is not there", uri + "&tls=true&tlsCAFile=" + filepath.Join(dir, canary), ErrFile},
		{"a file of something else", uri + "&tls=true&tlsCAFile=" + write(canary+"2", []byte("no certificate")), ErrURI},
	} {
		t.Run(test.name, func(t *testing.T) {
			stores, err := Open(t.Context(), test.uri, server.Database(t), "own")
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("a part of the URI is in the error: %v", err)
			}
			if err == nil {
				if err := errors.Join(stores[0].Apply(t.Context(), put("k", "v")), stores[0].Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestExplain has answers of servers that cannot be tried here.
func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err        error
		distrusted bool
		want       string
	}{
		{mongo.CommandError{Code: codeNotWritablePrimary}, false, ErrNoAnswer.Error()}, // directConnection to one that is no primary
		{mongo.CommandError{Code: codeAuthenticationFailed}, true, ErrLogin.Error()},
		{mongo.CommandError{Code: codeUnauthorized}, false, ErrRights.Error()},
		{mongo.CommandError{Code: 23}, true, "mongo: open: the database refused, code 23"},
		{context.DeadlineExceeded, true, ErrTLS.Error()},
		{context.DeadlineExceeded, false, ErrNoAnswer.Error()},
	} {
		if got := explain(test.err, []string{"127.0.0.1:27017"}, test.distrusted).Error(); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}
