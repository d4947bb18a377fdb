package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// The exit statuses.
const (
	done       = 0
	failed     = 1
	wrongUsage = 2
)

// A fault is an error as a person reads it: what happened, and what to do.
type fault struct {
	what, hint string
	status     int
	cause      error // nil where the person's own words were wrong
}

func (f *fault) Error() string { return f.what }
func (f *fault) Unwrap() error { return f.cause }

// usage is a fault in the command as it was typed.
func usage(what, hint string) error { return &fault{what: what, hint: hint, status: wrongUsage} }

// failure is a fault in everything else.
func failure(what, hint string) error { return &fault{what: what, hint: hint, status: failed} }

// status reports err on standard error and returns the exit status for it.
func (a *app) status(err error) int {
	if err == nil {
		return done
	}
	var f *fault
	if !errors.As(err, &f) {
		f = a.explain(err, about{}).(*fault)
	}
	fmt.Fprintf(a.err, "peerbrain: %s\n", oneLine(f.what))
	if f.hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", oneLine(f.hint))
	}
	return f.status
}

// about says what a command was trying when an error came, and has words for
// the kinds of failure that mean something particular there.
type about struct {
	doing string // "log in"
	words map[wire.Kind][2]string
}

// explain finds the sentence and the hint for err. It returns a *fault, or nil for nil.
func (a *app) explain(err error, at about) error {
	var f *fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return &fault{what: "interrupted", hint: "run the same command again; nothing is done twice", status: failed, cause: err}
	case errors.Is(err, client.ErrNoSession):
		return &fault{what: "nobody is logged in here",
			hint: "peerbrain login NAME@NODE, or for a new account: peerbrain register NAME@NODE", status: failed, cause: err}
	}
	kind := wire.KindOf(err)
	f = &fault{status: failed, cause: err}
	if words, ok := at.words[kind]; ok {
		f.what, f.hint = words[0], words[1]
		return f
	}
	f.what, f.hint = a.general(kind, err)
	if at.doing != "" {
		f.what = "cannot " + at.doing + ": " + f.what
	}
	return f
}

// general explains a kind of failure wherever it comes from.
func (a *app) general(kind wire.Kind, err error) (what, hint string) {
	if what = err.Error(); isPlain(err) {
		what = detail(err)
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var details []string
		for _, err := range all.Unwrap() {
			details = append(details, detail(err))
		}
		what = strings.Join(details, "; ")
	}
	switch kind {
	case wire.Invalid:
		return detail(err), hintForField(err)
	case wire.Unauthenticated:
		return detail(err), "log in again: peerbrain login " + cmp.Or(a.who, "NAME@NODE")
	case wire.SecondFactor:
		return detail(err), "each code works once; wait for the next one, or use another backup code"
	case wire.Forbidden:
		return what, "ask the operator of the node"
	case wire.Throttled:
		return "too many attempts", "wait " + when(retryAfter(err)) + " and try again"
	case wire.Unavailable:
		return what, "is the node running, and its name right? Run the same command again later; nothing is done twice"
	case wire.Clock:
		return "this device's clock and the node's do not agree: " + what, "set the clock of this device (a time service does it for you) and try again"
	case wire.Conflict:
		return "another device of yours was faster: " + what, "run the same command again"
	case wire.Update:
		return what, "install a newer release of peerbrain"
	case wire.Tampered:
		if errors.Is(err, client.ErrRolledBack) {
			return "the node shows less than this device has seen, or something else: " + detail(err),
				"if its operator says that an old copy was restored, this hands in what was lost: peerbrain login " + cmp.Or(a.who, "NAME@NODE") + "; else tell the operator"
		}
		if errors.Is(err, client.ErrKeysChanged) {
			return what, "when you meet or call them: peerbrain friend verify NAME@NODE"
		}
		if errors.Is(err, client.ErrSplitView) {
			return what, "nothing of it was taken; tell your friend, and the operator of your own node: whose keys are right, only the two of you can find out (peerbrain friend verify NAME@NODE)"
		}
		return "what the node sent contradicts what was signed: " + what, "nothing of it was taken; tell your friend, and the operator of the node"
	case wire.Limit:
		return "a limit of the node is reached: " + what, "ask the operator of the node"
	case wire.Internal:
		return what, hintFor(err)
	}
	return what, ""
}

// hintForField helps with words that the client or the node refuse.
func hintForField(err error) string {
	var e *wire.Error
	if !errors.As(err, &e) {
		return ""
	}
	return map[string]string{
		"handle":   "choose another name",
		"password": "type that password, or begin anew in another folder: --home DIR",
		"friend":   "friends are other people",
		"device":   "--device NAME, with a short name",
	}[e.Field]
}

// hintFor helps with failures of the local system, which have no kind, and with
// those of a node that does not say what went wrong.
func hintFor(err error) string {
	var e *wire.Error
	switch {
	case errors.As(err, &e) && e.Field == "node":
		return "the same command again later does nothing twice; if it goes on failing, tell the operator of the node"
	case errors.Is(err, fs.ErrPermission):
		return "choose a folder that you may write to: --home DIR"
	case errors.Is(err, context.DeadlineExceeded):
		return "the node took too long; try again later"
	}
	return ""
}

func retryAfter(err error) (d time.Duration) {
	var e *wire.Error
	if errors.As(err, &e) {
		d = e.RetryAfter
	}
	return d
}

// isPlain tells whether err is an error of package wire and nothing around it.
func isPlain(err error) bool {
	_, ok := err.(*wire.Error)
	return ok
}

// detail is what err says without the name of the field, where the words that
// were typed make clear which one is meant.
func detail(err error) string {
	var e *wire.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}
