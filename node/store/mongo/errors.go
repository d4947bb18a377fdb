package mongo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/peerbrain/peerbrain/node/store"
)

// What Open finds wrong, each in one sentence that fits behind the name of the
// setting. None names a part of the URI.
var (
	ErrURI      = errors.New("a URI such as mongodb://user:password@db.example/?replicaSet=rs0 was expected, with special characters of the password percent-encoded")
	ErrHost     = errors.New("no host of the URI is known; check their names")
	ErrFile     = errors.New("a file of certificates that the URI names cannot be read")
	ErrTLS      = errors.New("a server shows no certificate that fits, or refuses that of the node; check tls, tlsCAFile and tlsCertificateKeyFile of the URI, and whether the hosts have the names in the certificate")
	ErrNoAnswer = errors.New("no server that takes writes answers; check the hosts, the replicaSet and tls of the URI, and whether it runs")
	ErrLogin    = errors.New("the server refuses the user or the password of the URI; check them, and authSource, the database that the user was made in")
	ErrRights   = errors.New("the user of the URI may not do what a node does; it needs the role readWrite on the database, and on a sharded cluster enableSharding as well")
	ErrOld      = fmt.Errorf("the server is too old; MongoDB %d.0 or later was expected", oldest)
)

// Codes of the server's errors, from its file error_codes.yml.
const (
	codeInternal             = 1
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeNamespaceExists      = 48
	codeNotWritablePrimary   = 10107
	codeDuplicateKey         = 11000
	codeOutOfDiskSpace       = 14031
)

// temporaryCodes are those after which the same may work a little later: a
// primary that steps down or is not there yet, a server that shuts down, a
// majority that does not answer, and what is over its time.
var temporaryCodes = []int{
	6, 7, 50, 64, 89, 91, 112, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436,
}

// serverError returns what the server itself said, or nil where there is no
// answer of it, as with lost connections.
func serverError(err error) mongo.ServerError {
	var e mongo.ServerError
	if !errors.As(err, &e) {
		return nil
	}
	var c mongo.CommandError
	if errors.As(err, &c) && c.Code == 0 {
		return nil
	}
	return e
}

// temporary reports whether it makes sense to try again what failed so. Where
// the server said nothing, it does.
func temporary(err error) bool {
	e := serverError(err)
	if e == nil {
		return true
	}
	if e.HasErrorLabel("RetryableWriteError") {
		return true
	}
	for _, code := range temporaryCodes {
		if e.HasErrorCode(code) {
			return true
		}
	}
	return e.HasErrorCodeWithMessage(codeInternal, "interrupted") // so FerretDB says that something is over its time
}

// A Fault is trouble with the database, told without the driver's words.
type fault struct {
	what string // get, scan, apply
	code int    // of the server, or 0 where it did not answer
}

// Error implements error.
func (f fault) Error() string {
	if f.code == 0 {
		return fmt.Sprintf("mongo: %s: the database does not answer", f.what)
	}
	return fmt.Sprintf("mongo: %s: the database refused, code %d", f.what, f.code)
}

// Is makes a database without room match store.ErrFull.
func (f fault) Is(target error) bool { return target == store.ErrFull && f.code == codeOutOfDiskSpace }

// faultOf makes a fault of an error of the driver.
func faultOf(what string, err error) error { return fault{what, codeOf(err)} }

// codeOf returns the code of what the server said, 0 if nothing and -1 if
// there is no code in it.
func codeOf(err error) int {
	e := serverError(err)
	if e == nil {
		return 0
	}
	var command mongo.CommandError
	var bulk mongo.BulkWriteException
	var write mongo.WriteException
	switch {
	case errors.As(err, &command):
		return int(command.Code)
	case errors.As(err, &bulk) && len(bulk.WriteErrors) > 0:
		return bulk.WriteErrors[0].Code
	case errors.As(err, &bulk) && bulk.WriteConcernError != nil:
		return bulk.WriteConcernError.Code
	case errors.As(err, &write) && len(write.WriteErrors) > 0:
		return write.WriteErrors[0].Code
	case errors.As(err, &write) && write.WriteConcernError != nil:
		return write.WriteConcernError.Code
	}
	return -1
}

// explain says why Open failed. Distrusted is that certificates did not fit.
func explain(err error, hosts []string, distrusted bool) error {
	switch {
	case errors.Is(err, ErrOld):
		return err
	case hasCode(err, codeAuthenticationFailed):
		return ErrLogin
	case hasCode(err, codeUnauthorized):
		return ErrRights
	case hasCode(err, codeNotWritablePrimary):
		return ErrNoAnswer
	case serverError(err) != nil:
		return faultOf("open", err)
	case distrusted:
		return ErrTLS
	case unknown(hosts):
		return ErrHost
	}
	return ErrNoAnswer
}

// unknown reports whether the names of all hosts do not exist.
func unknown(hosts []string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	for _, h := range hosts {
		name, _, err := net.SplitHostPort(h)
		if err != nil {
			name = h
		}
		var e *net.DNSError
		if _, err := net.DefaultResolver.LookupHost(ctx, name); !errors.As(err, &e) || !e.IsNotFound {
			return false
		}
	}
	return len(hosts) > 0
}

// explainURI says why a URI cannot be used. One that names a host to look
// others up at may be well formed and still fail.
func explainURI(err error) error {
	var name *net.DNSError
	var file *fs.PathError
	switch {
	case errors.As(err, &name):
		return ErrHost
	case errors.As(err, &file):
		return ErrFile
	}
	return ErrURI
}

// distrusts reports whether a connection failed for a certificate, of either side.
func distrusts(err error) bool {
	var ours *tls.CertificateVerificationError
	var theirs *net.OpError
	return errors.As(err, &ours) || errors.As(err, &theirs) && theirs.Op == "remote error" // so package tls tells an alert
}
