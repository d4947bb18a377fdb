package wire

import (
	"errors"
	"fmt"
	"time"
	"unicode"
)

// A Kind is one of a small closed set of failures that survives the network:
// errors.Is(err, wire.NotExist) holds on both sides of a request. Each stands as
// "code" in an application/problem+json answer (RFC 9457).
type Kind string

// The vocabulary. The HTTP status of each is in Status.
const (
	Invalid         Kind = "invalid"           // the request is malformed: the field tells where
	Unauthenticated Kind = "unauthenticated"   // who asks could not be proved; never with detail
	SecondFactor    Kind = "second_factor"     // who asks has to show a code, or another one
	Forbidden       Kind = "forbidden"         // who asks is known and may not
	NotExist        Kind = "not_exist"         // no such thing, or not for the one who asks
	Exist           Kind = "exist"             // the name is taken, or was once
	Conflict        Kind = "conflict"          // somebody else was first: read again and retry
	TooLarge        Kind = "too_large"         // over a limit
	Media           Kind = "unsupported_media" // wrong content type or encoding
	Method          Kind = "method_not_allowed"
	Throttled       Kind = "throttled"   // too many requests; RetryAfter says how long
	Update          Kind = "update"      // a version this release does not know
	Clock           Kind = "clock"       // a time claim too far ahead of the node's clock
	Limit           Kind = "limit"       // an account's or a pair's quota is used up
	Unavailable     Kind = "unavailable" // another node, or this one, cannot answer now
	Internal        Kind = "internal"    // unexpected; the log of the node has it

	// Tampered is made by readers only: signed bytes contradict each other, or
	// an answer contradicts what was verified before.
	Tampered Kind = "tampered"
)

// Error makes a kind usable as a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// Status returns the HTTP status that carries k.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Forbidden, SecondFactor:
		return 403
	case NotExist:
		return 404
	case Method:
		return 405
	case Exist, Conflict, Clock:
		return 409
	case TooLarge:
		return 413
	case Media:
		return 415
	case Update:
		return 426
	case Throttled, Limit:
		return 429
	case Unavailable:
		return 503
	}
	return 500
}

// An Error is a failure that can be told over the network.
type Error struct {
	Kind       Kind
	Field      string        // which input is meant, or ""
	Detail     string        // for people, lower case; never a secret
	RetryAfter time.Duration // for Throttled and Unavailable, else 0
}

// Errorf makes an Error about field.
func Errorf(k Kind, field, format string, args ...any) *Error {
	return &Error{Kind: k, Field: field, Detail: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	switch {
	case e.Field != "" && e.Detail != "":
		return e.Field + ": " + e.Detail
	case e.Detail != "":
		return e.Detail
	case e.Field != "":
		return e.Field + ": " + string(e.Kind)
	}
	return string(e.Kind)
}

// Is reports whether target is e's kind.
func (e *Error) Is(target error) bool { return target == error(e.Kind) }

// KindOf returns the kind of err, Internal for errors that have none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Internal
}

// A Problem is the body of every error answer (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   Kind   `json:"code"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
	Retry  int64  `json:"retry_after_s,omitzero"`
}

// ProblemOf turns err into what may be told of it: unknown errors and failed
// authentication carry no detail.
func ProblemOf(err error) Problem {
	k := KindOf(err)
	if k == Tampered { // to the one who sent such bytes they are a malformed request
		k = Invalid
	}
	p := Problem{Type: "about:blank", Title: title(k), Status: k.Status(), Code: k}
	var e *Error
	if k != Internal && k != Unauthenticated && errors.As(err, &e) {
		p.Field, p.Detail = e.Field, e.Detail
		p.Retry = int64((e.RetryAfter + time.Second - 1) / time.Second)
	}
	return p
}

func title(k Kind) string {
	if k == Internal {
		return "internal error"
	}
	b := []byte(k)
	for i, c := range b {
		if c == '_' {
			b[i] = ' '
		}
	}
	return string(b)
}

// Err turns an answer back into the error it tells of. A kind this release does
// not know, or that readers alone make, becomes Internal. What the node says is
// cut to what can be shown on a terminal.
func (p Problem) Err() *Error {
	k := p.Code
	if k.Status() == 500 {
		k = Internal
	}
	retry := time.Duration(min(max(p.Retry, 0), maxRetry)) * time.Second
	return &Error{Kind: k, Field: showable(p.Field, 80), Detail: showable(p.Detail, 400), RetryAfter: retry}
}

// maxRetry bounds how long a node can ask to be left alone, in seconds.
const maxRetry = 24 * 60 * 60

// showable cuts a stranger's text to n characters and replaces control and
// format characters, which could forge what else stands on a terminal.
func showable(s string, n int) string {
	shown := make([]rune, 0, min(len(s), n))
	for _, r := range s {
		if len(shown) == n {
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		shown = append(shown, r)
	}
	return string(shown)
}
