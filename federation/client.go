package federation

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	callTimeout     = 10 * time.Second // a call, retries included
	documentTimeout = 5 * time.Second
	maxAtOnce       = 4 // requests to one peer

	// Bodies of answers, in bytes.
	maxKeysReply     = 8 << 20
	maxFriendReply   = 64 << 10
	maxSyncReply     = 16 << 20
	maxNoticeReply   = 1 << 10
	maxProblem       = 16 << 10
	maxDocumentReply = wire.MaxNodeDocument*4/3 + 1024
)

// ClientOptions configure a Client. All but Keys, Blocked, Now, Log and Transport
// are required.
type ClientOptions struct {
	Self        wire.NodeName
	Secrets     Secrets
	Development bool // names on localhost, and loopback addresses
	Peers       PeerStore
	// Keys returns the request keys as they are to be tried, one after the other
	// where a peer refuses: there is at least one. It is called for each request. If
	// nil, there is the one of Secrets.
	Keys func() []wire.NodeRequestSecret
	// Blocked reports whether nothing is to be sent to a node, nor taken from it;
	// nobody is if nil. It is asked for each request.
	Blocked func(wire.NodeName) bool
	// Now is the clock of rules and caches, time.Now if nil. The library that
	// signs and verifies reads the clock of the machine as well: tests move both
	// with testing/synctest.
	Now func() time.Time
	Log *slog.Logger // slog.Default() if nil
	// Transport carries the requests. If nil they go to public addresses alone, and
	// to loopback in development.
	Transport http.RoundTripper
}

// A Client asks other nodes, and knows which keys they have. It is safe for
// concurrent use.
type Client struct {
	self        wire.NodeName
	keys        func() []wire.NodeRequestSecret
	development bool
	blocked     func(wire.NodeName) bool
	now         func() time.Time
	http        *http.Client
	directory   *directory
	gates       gates
	troubles    *lru[troubles]
	rests       map[string]*lru[rest] // by path
	noticing    sync.Mutex            // held to change one of states
	states      *lru[PeerState]
	end         context.CancelFunc
	work        sync.WaitGroup // document fetches
}

// NewClient makes a Client; Close ends it.
func NewClient(o ClientOptions) (*Client, error) {
	if _, err := wire.ParseNodeName(string(o.Self)); err != nil {
		return nil, err
	}
	if o.Self.Development() && !o.Development {
		return nil, wire.Errorf(wire.Invalid, "node", "%q is a name for development mode only", o.Self)
	}
	if o.Secrets.Request.IsZero() || o.Peers == nil {
		return nil, wire.Errorf(wire.Invalid, "federation", "a request key and a store of peers are required")
	}
	if o.Blocked == nil {
		o.Blocked = func(wire.NodeName) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Keys == nil {
		only := []wire.NodeRequestSecret{o.Secrets.Request}
		o.Keys = func() []wire.NodeRequestSecret { return only }
	}
	if o.Transport == nil {
		o.Transport = newTransport(newDialer(o.Development))
	}
	ctx, end := context.WithCancel(context.Background())
	c := &Client{
		self:        o.Self,
		keys:        o.Keys,
		development: o.Development,
		blocked:     o.Blocked,
		now:         o.Now,
		http:        newHTTP(o.Transport),
		gates:       gates{m: map[wire.NodeName]*gate{}},
		troubles:    newLRU[troubles](1024),
		rests:       newRests(),
		states:      newLRU[PeerState](maxStates),
		end:         end,
	}
	c.directory = newDirectory(ctx, &c.work, o.Peers, c.fetchDocument, o.Now, o.Log)
	return c, nil
}

// Close ends what is under way and waits for it.
func (c *Client) Close() {
	c.end()
	c.directory.close()
	c.work.Wait()
	c.http.CloseIdleConnections()
}

// To returns the API of another node. Nothing is sent before a call.
func (c *Client) To(node wire.NodeName) API { return remote{c, node} }

// Document returns what node says of itself: verified, under the root key of the
// first contact, at most a few minutes old while the node can be reached.
//
// Errors: wire.Invalid for what cannot be another node, wire.Unavailable, also for
// one that is blocked, wire.Tampered while node is in quarantine.
func (c *Client) Document(ctx context.Context, node wire.NodeName) (*wire.NodeDocument, error) {
	if err := c.checkPeer(node); err != nil {
		return nil, err
	}
	return c.directory.forCall(ctx, node)
}

// Known returns the document of a node that is known already, where that is good by the
// judgement of the caller, or else is not any better after it was asked for anew: as often
// as strangers may make that happen. The last document does for a while where the node
// cannot be reached.
//
// Errors: wire.NotExist for a node never met, or in quarantine, and those of Document.
func (c *Client) Known(ctx context.Context, node wire.NodeName, good func(*wire.NodeDocument) bool) (*wire.NodeDocument, error) {
	if err := c.checkPeer(node); err != nil {
		return nil, err
	}
	return c.directory.met(ctx, node, good)
}

// checkPeer refuses names that can be no other node, and those that are blocked:
// as sender and as receiver, before anything is fetched or verified. What waits for
// a blocked node goes on waiting.
func (c *Client) checkPeer(node wire.NodeName) error {
	if _, err := wire.ParseNodeName(string(node)); err != nil {
		return err
	}
	if node == c.self {
		return wire.Errorf(wire.Invalid, "node", "%q is this node", node)
	}
	if node.Development() && !c.development {
		return wire.Errorf(wire.Invalid, "node", "%q is a name for development mode only", node)
	}
	if c.blocked(node) {
		return wire.Errorf(wire.Unavailable, "", "node %s is blocked by the operator of this node", node)
	}
	return nil
}

type remote struct {
	c    *Client
	node wire.NodeName
}

func (r remote) Keys(ctx context.Context, in wire.KeysRequest) (wire.KeysReply, error) {
	return call[wire.KeysReply](ctx, r, wire.PathPeerKeys, in, maxKeysReply)
}

func (r remote) Deliver(ctx context.Context, in wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
	return call[wire.PeerFriendReply](ctx, r, wire.PathPeerFriends, in, maxFriendReply)
}

func (r remote) Sync(ctx context.Context, in wire.SyncRequest) (wire.SyncReply, error) {
	return call[wire.SyncReply](ctx, r, wire.PathPeerSync, in, maxSyncReply)
}

func (r remote) Notice(ctx context.Context, in wire.NoticeRequest) (wire.NoticeReply, error) {
	return call[wire.NoticeReply](ctx, r, wire.PathPeerNotices, in, maxNoticeReply)
}

// call sends in to path and reads the answer of at most limit bytes. A node that
// wants to be left alone is, and what it said is the answer.
func call[T any](ctx context.Context, r remote, path string, in any, limit int64) (T, error) {
	if err := r.c.checkPeer(r.node); err != nil {
		return *new(T), err
	}
	if err := r.c.resting(r.node, path); err != nil {
		return *new(T), err
	}
	out, err := ask[T](ctx, r, path, in, limit)
	r.c.came(ctx, r.node, err)
	return out, err
}

func ask[T any](ctx context.Context, r remote, path string, in any, limit int64) (out T, err error) {
	body := wire.EncodeJSON(in)
	if len(body) > MaxRequest {
		return out, wire.Errorf(wire.TooLarge, "", "a request to node %s has at most %d bytes", r.node, MaxRequest)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doc, err := r.c.Document(ctx, r.node)
	if err != nil {
		return out, err
	}
	g := r.c.gates.join(r.node)
	defer r.c.gates.leave(r.node, g)
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return out, unreachable(r.node, ctx.Err())
	}
	a, err := r.c.send(ctx, message{r.node, doc.Host, path, body, limit})
	if err != nil {
		return out, unreachable(r.node, err)
	}
	if err := a.problem(r.node); err != nil {
		r.c.noteRest(r.node, path, err)
		return out, err
	}
	if err := wire.DecodeJSON(a.body, &out); err != nil {
		return *new(T), wire.Errorf(wire.Unavailable, "", "node %s gave an answer that is not understood here", r.node)
	}
	return out, nil
}

// newNonce never fails: crypto/rand ends the process instead.
func newNonce() (n wire.Nonce) {
	rand.Read(n[:])
	return n
}
