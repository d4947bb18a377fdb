package port

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Fault is an error as a page is told of it.
type Fault struct {
	Code   Cause     `json:"code"`   // picks the sentence
	Kind   wire.Kind `json:"kind"`   // of the SDK
	Field  string    `json:"field"`  // which parameter is meant, or ""
	Detail string    `json:"detail"` // an English sentence
}

// A Cause is one of a closed set, for each of which a page has a sentence.
type Cause string

// The codes.
const (
	codeWrongPassword Cause = "wrong-password"
	codeWrongCode     Cause = "wrong-code"
	codeNameTaken     Cause = "name-taken"
	codeBadInput      Cause = "bad-input"
	codeWeakPassword  Cause = "weak-password"
	codeSecondFactor  Cause = "second-factor"
	codeWrongFactor   Cause = "second-factor-wrong"
	codeSessionEnded  Cause = "session-ended"
	codeNodeAway      Cause = "node-away"
	codeNodeBusy      Cause = "node-busy"
	codeClock         Cause = "clock-wrong"
	codeKeysChanged   Cause = "keys-changed"
	codeOtherNumber   Cause = "other-number"
	codeSplitView     Cause = "split-view"
	codeNodeLies      Cause = "node-lies"
	codeNotFound      Cause = "not-found"
	codeNotFriend     Cause = "not-friend"
	codeTooLong       Cause = "too-long"
	CodeStorage       Cause = "storage-refused"
	codeClosed        Cause = "registration-closed"
	codeInternal      Cause = "internal"
)

// causes are errors that mean more than their kind.
var causes = []struct {
	err  error
	code Cause
}{
	{client.ErrStorage, CodeStorage},
	{client.ErrKeysChanged, codeKeysChanged},
	{client.ErrOtherNumber, codeOtherNumber},
	{client.ErrSplitView, codeSplitView},
	{errWrongFactor, codeWrongFactor},
	{client.ErrWrongPassword, codeWrongPassword},
	{client.ErrPresentPassword, codeWrongPassword},
	{client.ErrNewerPassword, codeWrongPassword},
	{client.ErrWrongCode, codeWrongCode},
	{client.ErrOldCode, codeWrongCode},
	{context.Canceled, codeNodeAway},
	{context.DeadlineExceeded, codeNodeAway},
}

// kinds are what the kinds mean for any method.
var kinds = map[wire.Kind]Cause{
	wire.Invalid: codeBadInput, wire.Exist: codeBadInput, wire.Unauthenticated: codeSessionEnded, wire.SecondFactor: codeSecondFactor,
	wire.NotExist: codeNotFound, wire.TooLarge: codeTooLong, wire.Throttled: codeNodeBusy, wire.Limit: codeNodeBusy, wire.Conflict: codeNodeBusy,
	wire.Clock: codeClock, wire.Unavailable: codeNodeAway, wire.Tampered: codeNodeLies,
}

func faultOf(method string, err error) *Fault {
	f := &Fault{Code: codeInternal, Kind: wire.KindOf(err), Detail: err.Error()}
	var e *wire.Error
	if errors.As(err, &e) {
		f.Field = e.Field
		if e.Detail != "" {
			f.Detail = e.Detail
		}
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			f.Code = c.code
			return f
		}
	}
	if code, ok := kinds[f.Kind]; ok {
		f.Code = code
	}
	switch {
	case f.Kind == wire.Unavailable && e != nil && e.RetryAfter > 0:
		f.Code = codeNodeBusy
	case f.Kind == wire.Invalid && f.Field == "password":
		f.Code = codeWeakPassword
	case f.Kind == wire.Invalid && f.Field == "code":
		f.Code = codeWrongFactor
	case f.Kind == wire.Conflict && f.Field == "session": // somebody else is logged in
		f.Code = codeBadInput
	case f.Kind == wire.Exist && f.Field == "handle":
		f.Code = codeNameTaken
	case f.Kind == wire.NotExist && f.Field == "friend" && method != "friend.add":
		f.Code = codeNotFriend
	case f.Kind == wire.Forbidden && method == "register":
		f.Code = codeClosed
	}
	return f
}
