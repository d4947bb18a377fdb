package federation

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// unreachable tells that node could not be asked, in plain words.
func unreachable(node wire.NodeName, err error) error {
	var known *wire.Error
	if errors.As(err, &known) {
		return known
	}
	return wire.Errorf(wire.Unavailable, "", "node %s cannot be reached: %s", node, reason(err))
}

func reason(err error) string {
	var (
		timeout interface{ Timeout() bool }
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, errAddress):
		return errAddress.Error()
	case errors.As(err, &cert):
		return "its certificate is not valid"
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	case errors.As(err, &dns):
		return "its name was not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it takes no connections"
	}
	return "the connection failed"
}

// problem turns an answer that is no success into an error, nil if it is one.
//
// Some kinds would be mistaken for the caller's own: when the peer does not know
// us, fails inside or does not speak our dialect, nobody but the two operators
// can do something about it. What the peer says in its own words was made fit to
// be shown by Problem.Err.
func (a answer) problem(node wire.NodeName) error {
	if a.status == http.StatusOK && a.contentType == wire.MediaJSON {
		return nil
	}
	var p wire.Problem
	if a.contentType != wire.MediaProblem || wire.DecodeJSON(a.body, &p) != nil || p.Code.Status() != a.status {
		return wire.Errorf(wire.Unavailable, "", "node %s gave an answer that is not understood here (status %d)", node, a.status)
	}
	e := p.Err()
	switch e.Kind {
	case wire.Unauthenticated:
		return wire.Errorf(wire.Unavailable, "", "node %s does not accept requests of this node: clocks or keys may differ", node)
	case wire.Internal:
		return wire.Errorf(wire.Unavailable, "", "node %s failed inside", node)
	case wire.Method, wire.Media:
		return wire.Errorf(wire.Unavailable, "", "node %s does not serve this request", node)
	}
	return e
}
