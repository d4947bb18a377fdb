package federation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// ServerOptions configure a Server. All but Host, Now and Log are required.
type ServerOptions struct {
	Self   wire.NodeName
	Host   wire.NodeName // where the API is served, if not at Self
	Client *Client       // knows the keys of other nodes
	Replay ReplayStore
	Now    func() time.Time // as in ClientOptions
	Log    *slog.Logger     // slog.Default() if nil
	// For returns the API for a node that asks. It is called for each request.
	For func(VerifiedRequest) API
}

// A Server answers other nodes. It is safe for concurrent use, starts no
// goroutine and needs no end.
type Server struct {
	self   wire.NodeName
	hosts  []wire.NodeName
	client *Client
	replay *replay
	now    func() time.Time
	log    *slog.Logger
	bind   func(VerifiedRequest) API
}

// NewServer makes a Server. It reads the replay mark. Of two Servers of one node
// that run at the same time neither knows the nonces of the other, unless
// ServerOptions.Replay is a NonceStore.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Client == nil || o.Replay == nil || o.For == nil {
		return nil, wire.Errorf(wire.Invalid, "federation", "a client, a replay store and an API are required")
	}
	if o.Self != o.Client.self {
		return nil, wire.Errorf(wire.Invalid, "node", "the client belongs to %q, not to %q", o.Client.self, o.Self)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	hosts := []wire.NodeName{o.Self}
	if o.Host != "" && o.Host != o.Self {
		if _, err := wire.ParseNodeName(string(o.Host)); err != nil {
			return nil, err
		}
		hosts = append(hosts, o.Host)
	}
	r, err := newReplay(o.Replay, o.Now(), o.Log)
	if err != nil {
		return nil, err
	}
	return &Server{self: o.Self, hosts: hosts, client: o.Client, replay: r, now: o.Now, log: o.Log, bind: o.For}, nil
}

// Paths returns the targets that are to be led to Serve, all of them by POST.
func (s *Server) Paths() []string { return slices.Clone(paths) }

// Serve verifies r and answers it. Everything that is not the verified request
// of a node gets the same answer of kind wire.Unauthenticated.
func (s *Server) Serve(ctx context.Context, r RawRequest) RawResponse {
	if len(r.Body) > MaxRequest {
		return problem(wire.Errorf(wire.TooLarge, "", "at most %d bytes", MaxRequest))
	}
	from, err := s.verify(ctx, r)
	if err != nil {
		return s.refuse(ctx, err)
	}
	out, err := s.handle(ctx, s.bind(from), r)
	if err != nil {
		if wire.KindOf(err) == wire.Internal {
			s.log.ErrorContext(ctx, "a request of a node failed", "peer", from.node, "path", r.Target, "error", err)
		}
		return problem(err)
	}
	return RawResponse{Status: 200, ContentType: wire.MediaJSON, Body: wire.EncodeJSON(out)}
}

// refuse answers a request that was not verified. Only a proved node is told
// that it has to wait; the rest learn nothing.
func (s *Server) refuse(ctx context.Context, err error) RawResponse {
	s.log.DebugContext(ctx, "a request between nodes is refused", "reason", err)
	var late *admission
	if errors.As(err, &late) {
		return problem(late.err)
	}
	return problem(wire.Unauthenticated)
}

// admission is a failure after the signature was found to be good.
type admission struct{ err error }

func (a *admission) Error() string { return a.err.Error() }

// verify proves who sent r, and that it counts for the first time. Nothing is
// fetched for a request whose form or times are wrong, and no nonce is
// remembered for one whose signature is.
func (s *Server) verify(ctx context.Context, r RawRequest) (VerifiedRequest, error) {
	c, err := readClaim(r, s.hosts)
	if err != nil {
		return VerifiedRequest{}, err
	}
	now := s.now()
	if err := c.checkTimes(now); err != nil {
		return VerifiedRequest{}, err
	}
	if s.replay.beforeStart(c) {
		return VerifiedRequest{}, errors.New("created before this process started")
	}
	if err := s.client.checkPeer(c.node); err != nil {
		return VerifiedRequest{}, err
	}
	if err := s.client.directory.hasKey(ctx, c.node, c.key); err != nil {
		return VerifiedRequest{}, err
	}
	if err := c.checkSignature(); err != nil {
		return VerifiedRequest{}, err
	}
	if err := s.replay.admit(ctx, c, now); errors.Is(err, errReplayed) {
		return VerifiedRequest{}, err
	} else if err != nil {
		return VerifiedRequest{}, &admission{err}
	}
	if err := c.checkTimes(s.now()); err != nil { // its nonce may be forgotten by now
		return VerifiedRequest{}, err
	}
	s.client.heard(c.node, time.Unix(c.created, 0), now)
	return VerifiedRequest{c.node}, nil
}

// handle decodes the body, asks api and returns what is to be encoded.
func (s *Server) handle(ctx context.Context, api API, r RawRequest) (any, error) {
	switch r.Target {
	case wire.PathPeerKeys:
		return answerWith(ctx, r.Body, api.Keys)
	case wire.PathPeerFriends:
		return answerWith(ctx, r.Body, api.Deliver)
	case wire.PathPeerSync:
		return answerWith(ctx, r.Body, func(ctx context.Context, in wire.SyncRequest) (wire.SyncReply, error) {
			if err := checkSync(in); err != nil {
				return wire.SyncReply{}, err
			}
			return api.Sync(ctx, in)
		})
	case wire.PathPeerNotices:
		return answerWith(ctx, r.Body, api.Notice)
	}
	return nil, wire.Errorf(wire.NotExist, "", "no such path")
}

func answerWith[In, Out any](ctx context.Context, body []byte, method func(context.Context, In) (Out, error)) (any, error) {
	var in In
	if err := wire.DecodeJSON(body, &in); err != nil {
		return nil, err
	}
	return method(ctx, in)
}

// checkSync holds the limits of a sync request.
func checkSync(in wire.SyncRequest) error {
	readers := 0
	for _, s := range in.Streams {
		readers += len(s.Readers)
	}
	if len(in.Streams) > wire.MaxSyncStreams || readers > wire.MaxSyncReaders {
		return wire.Errorf(wire.TooLarge, "streams", "at most %d streams with %d readers in all", wire.MaxSyncStreams, wire.MaxSyncReaders)
	}
	return nil
}
