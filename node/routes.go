package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	defaultPage      = 50
	federationPrefix = "/federation/"

	bodyLimit  = 1 << 20 // bytes of JSON, unless the route says more
	vaultLimit = 4 << 20 // a vault of wire.MaxVault in base64, and its head

	// requestTime bounds a request that waits for other nodes.
	requestTime = 30 * time.Second
)

// An api answers requests, whatever server received them.
type api struct {
	node       *Node
	federation *federation.Server
	closed     bool // to registrations
	draining   atomic.Bool
	log        *slog.Logger
	site       Site // nil for none
	origins    Origins
}

// A route is one method of one path.
type route struct {
	method  string // "*" for every one
	pattern string
	open    bool     // served without a session
	guarded bool     // served only to who shows a code, where the account has a second factor
	deaf    bool     // served without hearing what other processes of this node did
	limit   int      // bytes of the body; bodyLimit if 0
	query   []string // parameters it knows
	deep    bool     // the last parameter of the path may have slashes, and serve reads it
	foreign bool     // another specification says what else the query may have, and serve reads it
	head    bool     // HEAD is served as well, with the same headers
	serve   func(context.Context, *api, *incoming) (any, error)
}

// routes is everything that a node serves, in one table. What a route returns
// is sent as JSON, unless it is a reply; nothing is 204.
func routes() []route {
	return []route{
		{method: "GET", pattern: wire.PathDocument, open: true, serve: serveDocument},
		{method: "GET", pattern: wire.PathHealth, open: true, deaf: true, serve: serveHealth},
		{method: "GET", pattern: wire.PathNodeInfoLinks, open: true, serve: serveNodeInfoLinks},
		{method: "GET", pattern: wire.PathNodeInfo, open: true, serve: serveNodeInfo},
		{method: "GET", pattern: wire.PathWebFinger, open: true, query: []string{"resource", "rel"}, foreign: true, serve: serveWebFinger},
		{method: "POST", pattern: wire.PathRegister, open: true, limit: vaultLimit, serve: serveRegister},
		{method: "POST", pattern: wire.PathChallenge, open: true, serve: serveChallenge},
		{method: "POST", pattern: wire.PathLogin, open: true, serve: serveLogin},
		{method: "POST", pattern: wire.PathHeads, open: true, serve: serveHeads},
		{method: "POST", pattern: wire.PathRecovery, open: true, serve: serveRecovery},
		{method: "GET", pattern: wire.PathLogTop, open: true, serve: serveLogFile},
		{method: "GET", pattern: wire.PathCosigned, open: true, serve: serveLogFile},
		{method: "GET", pattern: wire.PathLogFile, open: true, deep: true, serve: serveLogFile},
		{method: "POST", pattern: wire.PathWitness, open: true, limit: witnessLimit, serve: serveAddCheckpoint},
		{method: "*", pattern: federationPrefix + "*", open: true, limit: federation.MaxRequest, serve: servePeer},

		{method: "GET", pattern: wire.PathPage, open: true, deaf: true, head: true, foreign: true, serve: servePage},
		{method: "GET", pattern: wire.PathPageSaved, open: true, deaf: true, head: true, serve: servePage},
		{method: "GET", pattern: wire.PathPageFile, open: true, deaf: true, head: true, deep: true, serve: servePage},
		{method: "GET", pattern: wire.PathPageNode, open: true, deaf: true, head: true, serve: servePageNode},

		{method: "POST", pattern: wire.PathTombstone, guarded: true, serve: serveDelete},
		{method: "GET", pattern: wire.PathSession, serve: serveGetSession},
		{method: "DELETE", pattern: wire.PathSession, serve: serveEndSession},
		{method: "GET", pattern: wire.PathSessions, serve: serveSessions},
		{method: "DELETE", pattern: wire.PathSessions, guarded: true, serve: serveEndOthers},
		{method: "DELETE", pattern: wire.PathOneOfAll, guarded: true, serve: serveEndOne},
		{method: "GET", pattern: wire.PathFactor, serve: serveGetFactor},
		{method: "PUT", pattern: wire.PathFactor, guarded: true, serve: servePutFactor},
		{method: "DELETE", pattern: wire.PathFactor, guarded: true, serve: serveEndFactor},
		{method: "PUT", pattern: wire.PathBackup, guarded: true, serve: servePutBackup},
		{method: "GET", pattern: wire.PathVault, query: []string{"after"}, serve: serveGetVault},
		{method: "PUT", pattern: wire.PathVault, limit: vaultLimit, serve: servePutVault},
		{method: "POST", pattern: wire.PathKeys, serve: serveKeys},
		{method: "GET", pattern: wire.PathFriends, serve: serveFriends},
		{method: "POST", pattern: wire.PathFriends, serve: serveTell},
		{method: "POST", pattern: wire.PathWraps, serve: servePutWraps},
		{method: "GET", pattern: wire.PathWrap, serve: serveWrap},
		{method: "POST", pattern: wire.PathEntries, serve: servePublish},
		{method: "GET", pattern: wire.PathStream, query: []string{"after", "before", "limit"}, serve: serveStream},
		{method: "GET", pattern: wire.PathPost, serve: servePost},
		{method: "GET", pattern: wire.PathFeed, query: []string{"limit", "before", "since"}, serve: serveFeed},
		{method: "GET", pattern: wire.PathEvents, serve: serveEvents},
	}
}

// A reply is what goes back.
type reply struct {
	status      int
	contentType string // empty without a body
	body        []byte
	value       any    // what the body is the JSON of, unless it is nil
	retryAfter  int64  // s, 0 for none
	cache       string // how long it may be kept; not at all if empty
	headers     [][2]string
	checkpoint  []byte // that a log has signed, and that does not go with what is asked

	events func(net.Conn) // writes an endless body, in place of all others
}

// admit finds out who asks, before the body is read.
func (a *api) admit(ctx context.Context, rt route, r *incoming) error {
	if err := rt.admits(r); err != nil || rt.deaf {
		return err
	}
	var token wire.Token
	var err error
	if !rt.open {
		if token, err = r.token(); err != nil {
			return err
		}
	}
	if err := a.node.hear(ctx); err != nil || rt.open {
		return err
	}
	if r.person, err = a.node.Authenticate(ctx, token); err != nil {
		return err
	}
	r.person.shown, err = r.shownCode()
	return err
}

func (rt route) admits(r *incoming) error {
	if rt.limit == 0 {
		rt.limit = bodyLimit
	}
	if r.length > rt.limit {
		return wire.Errorf(wire.TooLarge, "body", "at most %d bytes", rt.limit)
	}
	if rt.method == "*" || rt.foreign {
		return nil
	}
	return r.readQuery(rt.query)
}

// answer serves an admitted request.
func (a *api) answer(ctx context.Context, rt route, r *incoming) reply {
	if rt.guarded {
		if err := r.person.cleared(ctx); err != nil {
			return a.failure(r, err)
		}
	}
	v, err := rt.serve(ctx, a, r)
	switch v := v.(type) {
	case federation.RawResponse:
		return reply{status: v.Status, contentType: v.ContentType, body: v.Body, retryAfter: v.RetryAfter}
	case reply:
		return v
	case func(net.Conn):
		return reply{status: 200, contentType: wire.MediaEvents, events: v}
	case nil:
		if err == nil {
			return reply{status: 204}
		}
	}
	if err != nil {
		return a.failure(r, err)
	}
	return reply{status: 200, contentType: wire.MediaJSON, value: v}
}

// failure is the one place where errors become answers. Those without a kind
// are logged whole, and nothing is told of them.
func (a *api) failure(r *incoming, err error) reply {
	p := wire.ProblemOf(a.node.shortage.answer(a.log, time.Now(), err))
	if p.Code == wire.Internal {
		a.log.Error("request failed", "method", r.method, "route", r.pattern, "error", err)
	}
	return problemReply(p)
}

func problemReply(p wire.Problem) reply {
	return reply{status: p.Status, contentType: wire.MediaProblem, body: wire.EncodeJSON(p), retryAfter: p.Retry}
}

// panicked turns a recovered panic into an answer.
func (a *api) panicked(r *incoming, p any) reply {
	return a.failure(r, fmt.Errorf("panic: %v at %s", p, callers()))
}

// callers names the functions that are running, the innermost first. A stack
// trace of the runtime would have the first bytes of their arguments, keys among
// them.
func callers() string {
	counters := make([]uintptr, 64)
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters)])
	var s strings.Builder
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(&s, "\n\t%s %s:%d", f.Function, f.File, f.Line)
	}
	return s.String()
}

// record logs a request: never an id, an address, a token or a body.
func (a *api) record(r *incoming, status int, took time.Duration) {
	level := slog.LevelDebug
	if status >= 500 && status != 503 { // which who causes it logs, as often as it is news
		level = slog.LevelWarn
	}
	if a.log.Enabled(context.Background(), level) { // what is not logged is not put together either
		a.log.Log(context.Background(), level, "request", "method", r.method, "route", r.pattern, "status", status, "took", took)
	}
}
