package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// world is a federation in memory: all nodes, which know everything of each
// other at once. It does what honest nodes do; lies are told by the hooks of a
// line (line_test.go).
type world struct {
	t        *testing.T
	mu       sync.Mutex
	clock    time.Time
	people   map[wire.AccountID]*resident
	handles  map[wire.Address]wire.AccountID
	sessions map[wire.Hash]opened
	nonces   map[wire.Nonce]bool
	uploaded []uploaded                     // wraps, those that others have replaced too
	states   map[string][]wire.StreamStatus // what readers were told
	logs     map[wire.NodeName]*fakeLog     // of key statements; use logOf
}

type uploaded struct {
	author     wire.AccountID
	audience   wire.AudienceID
	commitment wire.Commitment
	wrap       wire.Wrap
}

// resident is what the nodes have of one person.
type resident struct {
	chain   *keyservice.Chain
	address wire.Address
	heads   []wire.Signed
	record  wire.VaultRecord
	friends map[wire.AccountID]*bond
	streams map[wire.AudienceID][]placed
	wraps   map[string]wire.Wrap
	gone    wire.Signed // a tombstone
}

// bond is one side of a friendship.
type bond struct {
	wire.Friendship
	wire.FriendRecord
}

type placed struct {
	wire.FeedItem
	h    *wire.EntryHeader
	head wire.StreamHead // with it
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, clock: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		people: make(map[wire.AccountID]*resident), handles: make(map[wire.Address]wire.AccountID),
		sessions: make(map[wire.Hash]opened), nonces: make(map[wire.Nonce]bool),
		states: make(map[string][]wire.StreamStatus),
		logs:   make(map[wire.NodeName]*fakeLog),
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// clone returns a copy that goes its own way.
func (w *world) clone() *world {
	c := &world{t: w.t, clock: w.clock, people: make(map[wire.AccountID]*resident)}
	c.handles, c.sessions, c.nonces = maps.Clone(w.handles), maps.Clone(w.sessions), maps.Clone(w.nonces)
	c.states, c.logs = maps.Clone(w.states), w.logs // a log only grows
	c.uploaded = slices.Clone(w.uploaded)
	for id, r := range w.people {
		n := *r
		n.heads, n.wraps, n.streams = slices.Clone(r.heads), maps.Clone(r.wraps), maps.Clone(r.streams)
		for audience := range n.streams {
			n.streams[audience] = slices.Clone(n.streams[audience])
		}
		n.friends = make(map[wire.AccountID]*bond)
		for other, b := range r.friends {
			m := *b
			m.Friendship.Ended = slices.Clone(b.Friendship.Ended)
			m.EndsMade, m.EndsGot = slices.Clone(b.EndsMade), slices.Clone(b.EndsGot)
			n.friends[other] = &m
		}
		c.people[id] = &n
	}
	return c
}

// serve is what a node does with a request.
func (w *world) serve(r *Request) *Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond)
	out, err := w.route(r)
	if err != nil {
		p := wire.ProblemOf(err)
		return &Response{Status: p.Status, Body: wire.EncodeJSON(p), Date: w.clock}
	}
	if file, ok := out.([]byte); ok {
		return &Response{Status: 200, Body: file, Date: w.clock}
	}
	if out == nil {
		return &Response{Status: 204, Date: w.clock}
	}
	return &Response{Status: 200, Body: wire.EncodeJSON(out), Date: w.clock}
}

func (w *world) route(r *Request) (any, error) {
	path, query, _ := strings.Cut(r.Path, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, "query", "")
	}
	switch path {
	case wire.PathRegister:
		return decoded(r, w.register)
	case wire.PathChallenge:
		return decoded(r, func(in *wire.ChallengeRequest) (any, error) { return w.challenge(r.Node, in) })
	case wire.PathLogin:
		return decoded(r, func(in *wire.LoginRequest) (any, error) { return w.login(r.Node, in) })
	case wire.PathHeads:
		return decoded(r, w.headsOf)
	case wire.PathRecovery:
		return decoded(r, func(in *wire.RecoveryRequest) (any, error) { return w.recovery(r.Node, in) })
	}
	if path == wire.PathKeys {
		return decoded(r, w.keys)
	}
	if path == wire.PathDocument {
		return w.logOf(r.Node).document(w.clock.UnixMilli())
	}
	if strings.HasPrefix(path, "/v1/log/") {
		return found(w.logOf(r.Node).file(path))
	}
	token := r.Token.Hash(wire.LabelToken)
	s, ok := w.sessions[token]
	if !ok || w.people[s.id].address.Node != r.Node {
		return nil, wire.Errorf(wire.Unauthenticated, "", "")
	}
	me := &caller{w, s.id, w.people[s.id], token}
	return me.route(r, path, q)
}

func decoded[In any](r *Request, do func(*In) (any, error)) (any, error) {
	in := new(In)
	if err := wire.DecodeJSON(r.Body, in); err != nil {
		return nil, err
	}
	return do(in)
}

func (w *world) register(in *wire.RegisterRequest) (any, error) {
	chain, err := keyservice.ParseChain([]wire.Signed{in.KeyStatement})
	if err != nil {
		return nil, err
	}
	if _, _, err := chain.OpenVaultRecord(in.Vault); err != nil {
		return nil, err
	}
	if id, taken := w.handles[chain.Address()]; taken && id != chain.Account() {
		return nil, wire.Errorf(wire.Exist, "handle", "taken")
	} else if !taken {
		w.handles[chain.Address()] = chain.Account()
		w.people[chain.Account()] = &resident{
			chain: chain, address: chain.Address(), heads: []wire.Signed{in.Vault.Head}, record: in.Vault,
			friends: make(map[wire.AccountID]*bond), streams: make(map[wire.AudienceID][]placed), wraps: make(map[string]wire.Wrap),
		}
	}
	return &wire.RegisterReply{Account: chain.Account()}, nil
}

func (w *world) challenge(node wire.NodeName, in *wire.ChallengeRequest) (any, error) {
	reply := &wire.ChallengeReply{Argon2: wire.DefaultArgon2, Expires: w.clock.Add(wire.ChallengeLifetime).UnixMilli()}
	rand.Read(reply.Nonce[:])
	w.nonces[reply.Nonce] = true
	if id, ok := w.handles[wire.Address{Handle: in.Handle, Node: node}]; ok && len(w.people[id].gone) == 0 {
		slots, err := wire.DecodeSlots(w.people[id].record.Slots)
		if err != nil {
			return nil, err
		}
		reply.Random, reply.Argon2 = slots.Random, slots.Argon2
	}
	return reply, nil
}

func (w *world) login(node wire.NodeName, in *wire.LoginRequest) (any, error) {
	no := wire.Errorf(wire.Unauthenticated, "", "")
	id, ok := w.handles[wire.Address{Handle: in.Handle, Node: node}]
	if !ok || !w.nonces[in.Nonce] || len(w.people[id].gone) > 0 {
		return nil, no
	}
	slots, err := wire.DecodeSlots(w.people[id].record.Slots)
	if err != nil {
		return nil, err
	}
	key := slots.Login
	if in.Purpose == wire.PurposeRecovery {
		key = slots.RecoveryLogin
	}
	c, err := wire.OpenChallenge(in.Answer, key)
	if err != nil || c.Purpose != in.Purpose || c.Node != node || c.Handle != in.Handle || c.Nonce != in.Nonce || c.Expires != in.Expires {
		return nil, no
	}
	delete(w.nonces, in.Nonce)
	reply := &wire.LoginReply{Account: id, Token: wire.NewToken(random()), DeviceToken: wire.NewToken(random()), Expires: w.clock.Add(time.Hour).UnixMilli()}
	w.sessions[reply.Token.Hash(wire.LabelToken)] = opened{id, in.Device, w.clock.UnixMilli(), reply.Expires}
	return reply, nil
}

// headsOf answers with the head in the newest epoch entry: what a friend's node
// holds a copy of.
func (w *world) headsOf(in *wire.HeadsRequest) (any, error) {
	r := w.people[in.Account]
	if r == nil {
		return nil, wire.Errorf(wire.NotExist, "account", "")
	}
	if _, err := r.chain.OpenHeadQuery(in.Query); err != nil {
		return nil, err
	}
	var head wire.Signed
	for _, entries := range r.streams {
		before := uint64(0)
		for _, e := range entries {
			if e.h.Kind == wire.KindEpoch {
				b, _, err := r.chain.OpenEpoch(e.h, e.Entry.Body, before)
				if err != nil {
					return nil, err
				}
				head = b.VaultHead
			}
			before = e.h.Epoch
		}
	}
	if head == nil {
		return nil, wire.Errorf(wire.NotExist, "head", "")
	}
	return &wire.HeadsReply{Head: head}, nil
}

// recovery gives somebody's past to their recovery code, at nodes where friends of theirs
// live; on short pages.
func (w *world) recovery(node wire.NodeName, in *wire.RecoveryRequest) (any, error) {
	none := wire.Errorf(wire.NotExist, "address", "nothing of this account is here")
	r := w.people[w.handles[in.Address]]
	if r == nil || in.Address.Node == node {
		return nil, none
	}
	q, err := r.chain.OpenRecoveryQuery(in.Query)
	if err != nil || q.Node != node || w.clock.Sub(time.UnixMilli(q.Created)).Abs() > 5*time.Minute {
		return nil, none
	}
	has := false
	for other, b := range r.friends {
		has = has || w.people[other].address.Node == node && b.Friendship.State() == wire.StateFriend
	}
	if !has {
		return nil, none
	}
	reply := &wire.RecoveryReply{Statements: []wire.Signed{}, Streams: []wire.RecoveryStream{}, Friends: []wire.RecoveryFriend{}, Entries: []wire.Entry{}}
	if in.Stream != nil {
		for _, e := range r.streams[in.Stream.Audience] {
			if e.h.Seq > in.Stream.After && len(reply.Entries) < 2 {
				reply.Entries = append(reply.Entries, e.Entry)
			}
		}
		return reply, nil
	}
	for other, b := range r.friends {
		if w.people[other].address.Node == node && b.Friendship.State() == wire.StateFriend {
			reply.Friends = append(reply.Friends, wire.RecoveryFriend{OfferMade: b.OfferGot, OfferGot: b.OfferMade, AcceptGot: b.AcceptMade})
		}
	}
	reply.Statements = r.chain.Statements()
	for audience, entries := range r.streams {
		reply.Streams = append(reply.Streams, wire.RecoveryStream{Audience: audience, Head: uint64(len(entries)), AsOf: w.clock.UnixMilli()})
	}
	return reply, nil
}

func (w *world) keys(in *wire.KeysRequest) (any, error) {
	id, ok := w.handles[in.Address]
	if !ok || in.Account != nil && *in.Account != id || in.Account == nil && len(w.people[id].gone) > 0 {
		return nil, wire.Errorf(wire.NotExist, "address", "nobody has the address %s", in.Address)
	}
	proof, err := w.logOf(in.Address.Node).ProveChain(context.Background(), w.people[id].chain)
	return &wire.KeysReply{Statements: w.people[id].chain.Statements(), Proof: proof, AsOf: w.clock.UnixMilli(), Tombstone: w.people[id].gone}, err
}

// tombstone ends an account, and all that was between its owner and others.
func (c *caller) tombstone(in *wire.DeleteRequest) (any, error) {
	t, err := c.chain.OpenTombstone(in.Tombstone)
	if err != nil {
		return nil, err
	}
	c.gone, c.streams = in.Tombstone, nil
	for other := range c.friends {
		b := c.w.people[other].friends[c.id]
		b.Tombstone = in.Tombstone
		if err := b.AddTombstone(t); err != nil {
			return nil, err
		}
	}
	c.endSessions(nil)
	delete(c.w.sessions, c.token)
	return nil, nil
}

func found[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// caller is who asks.
type caller struct {
	w  *world
	id wire.AccountID
	*resident
	token wire.Hash
}

// opened is a session.
type opened struct {
	id               wire.AccountID
	device           string
	created, expires int64
}

func (c *caller) route(r *Request, path string, q url.Values) (any, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch r.Method + " " + strings.Join(parts[:2], "/") {
	case "DELETE v1/session":
		delete(c.w.sessions, c.token)
		return nil, nil
	case "GET v1/session":
		return &wire.SessionReply{Handle: c.address.Handle, Account: c.id}, nil
	case "POST v1/tombstone":
		return decoded(r, c.tombstone)
	case "GET v1/sessions":
		return c.sessions(), nil
	case "DELETE v1/sessions":
		return c.endSessions(parts[2:])
	case "GET v1/vault":
		return c.vault(q)
	case "PUT v1/vault":
		return decoded(r, c.putVault)
	case "GET v1/friends":
		reply := &wire.FriendsReply{Friends: []wire.FriendRecord{}}
		for _, b := range c.friends {
			reply.Friends = append(reply.Friends, b.shown())
		}
		return reply, nil
	case "POST v1/friends":
		return decoded(r, c.statement)
	case "POST v1/wraps":
		return decoded(r, c.putWraps)
	case "GET v1/wraps":
		return c.wrap(parts[2], parts[3], parts[4])
	case "POST v1/entries":
		return decoded(r, c.publish)
	case "GET v1/streams":
		return c.stream(parts[2], parts[3], q)
	case "GET v1/posts":
		return c.postByID(parts[2])
	case "GET v1/feed":
		return c.feed(q)
	}
	return nil, wire.Errorf(wire.NotExist, "path", "%s %s", r.Method, path)
}

func (b *bond) shown() wire.FriendRecord {
	r := b.FriendRecord
	r.State = b.Friendship.State()
	return r
}

func (c *caller) vault(q url.Values) (any, error) {
	after, err := strconv.ParseUint(q.Get("after"), 10, 53)
	if err != nil {
		return nil, wire.Errorf(wire.Invalid, "after", "")
	}
	reply := &wire.VaultReply{Heads: []wire.Signed{}}
	if n := uint64(len(c.heads)); after != n {
		reply.Heads, reply.Record = append(reply.Heads, c.heads[min(after, n):]...), &c.record
	}
	if len(reply.Heads) > wire.MaxHeads {
		reply.Heads = reply.Heads[:wire.MaxHeads]
	}
	return reply, nil
}

func (c *caller) putVault(in *wire.VaultUpdate) (any, error) {
	chain := c.chain
	if s := in.KeyStatement; len(s) > 0 && s.Hash(wire.LabelKeyStatement) != chain.NewestHash() {
		var err error
		if chain, err = chain.Append(s); err != nil {
			return nil, err
		}
	}
	head, slots, err := chain.OpenVaultRecord(in.VaultRecord)
	if err != nil {
		return nil, err
	}
	if head.KeySeq != chain.Newest().Seq {
		return nil, wire.Errorf(wire.Conflict, "vault", "")
	}
	last := c.heads[len(c.heads)-1]
	if slices.Equal(last, in.Head) {
		return nil, nil
	}
	prev, err := chain.OpenVaultHead(last)
	if err != nil {
		return nil, err
	}
	if err := head.Follows(prev, last.Hash(wire.LabelVaultHead)); err != nil {
		return nil, err
	}
	before, err := wire.DecodeSlots(c.record.Slots)
	if err != nil {
		return nil, err
	}
	c.heads, c.record, c.chain = append(c.heads, in.Head), in.VaultRecord, chain
	if slots.Login != before.Login || slots.RecoveryLogin != before.RecoveryLogin || len(in.KeyStatement) > 0 {
		c.endSessions(nil)
	}
	return nil, nil
}

func (c *caller) sessions() *wire.SessionsReply {
	reply := &wire.SessionsReply{Sessions: []wire.SessionInfo{}}
	for id, s := range c.w.sessions {
		if s.id == c.id {
			reply.Sessions = append(reply.Sessions, wire.SessionInfo{ID: id, Device: s.device, Created: s.created, Expires: s.expires, Current: id == c.token})
		}
	}
	slices.SortFunc(reply.Sessions, func(a, b wire.SessionInfo) int { return cmp.Compare(b.Created, a.Created) })
	return reply
}

// endSessions ends the session that is named, or all others.
func (c *caller) endSessions(named []string) (any, error) {
	count := len(c.w.sessions)
	for id, s := range c.w.sessions {
		if s.id == c.id && (len(named) == 0 && id != c.token || len(named) > 0 && named[0] == id.String()) {
			delete(c.w.sessions, id)
		}
	}
	if len(named) > 0 && len(c.w.sessions) == count {
		return nil, wire.Errorf(wire.NotExist, "session", "")
	}
	return nil, nil
}

func (c *caller) bond(other wire.AccountID) *bond {
	b := c.friends[other]
	if b == nil {
		b = &bond{Friendship: wire.Friendship{Me: c.id, Other: other}, FriendRecord: wire.FriendRecord{
			Account: other, Address: c.w.people[other].address, EndsMade: []wire.Signed{}, EndsGot: []wire.Signed{},
		}}
		c.friends[other] = b
	}
	return b
}

// statement takes a friendship statement and delivers it.
func (c *caller) statement(in *wire.FriendRequest) (any, error) {
	other, ok := c.w.handles[in.Address]
	if !ok {
		return nil, wire.Errorf(wire.NotExist, "address", "")
	}
	if in.Kind != wire.FriendOffer && c.friends[other] == nil {
		return nil, wire.Errorf(wire.NotExist, "statement", "")
	}
	mine := c.bond(other)
	theirs := (&caller{w: c.w, id: other, resident: c.w.people[other]}).bond(c.id)
	for _, b := range []*bond{mine, theirs} {
		if err := b.take(c.chain, in.Kind, in.Statement, b == mine); err != nil {
			return nil, err
		}
	}
	return &wire.FriendReply{Friend: mine.shown()}, nil
}

func (b *bond) take(chain *keyservice.Chain, kind wire.FriendKind, s wire.Signed, made bool) error {
	switch kind {
	case wire.FriendOffer:
		o, err := chain.OpenOffer(s)
		if err != nil {
			return err
		}
		*pick(made, &b.OfferMade, &b.OfferGot) = s
		return b.AddOffer(o, s.Hash(wire.LabelOffer))
	case wire.FriendAccept:
		a, err := chain.OpenAccept(s)
		if err != nil {
			return err
		}
		if err := b.AddAccept(a); err != nil {
			return err
		}
		if b.Friendship.State() != wire.StateFriend {
			return wire.Errorf(wire.NotExist, "statement", "this offer is not open")
		}
		*pick(made, &b.AcceptMade, &b.AcceptGot) = s
		return nil
	}
	e, err := chain.OpenEnd(s)
	if err != nil {
		return err
	}
	if ends := pick(made, &b.EndsMade, &b.EndsGot); !slices.ContainsFunc(*ends, func(h wire.Signed) bool { return slices.Equal(h, s) }) {
		*ends = append(*ends, s)
	}
	return b.AddEnd(e)
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func wrapKey(audience, commit, reader fmt.Stringer) string {
	return audience.String() + "/" + commit.String() + "/" + reader.String()
}

func (c *caller) putWraps(in *wire.WrapsRequest) (any, error) {
	if len(in.Wraps) == 0 || len(in.Wraps) > wire.MaxWrapBatch {
		return nil, wire.Errorf(wire.Invalid, "wraps", "")
	}
	for _, wr := range in.Wraps {
		if err := wr.Check(); err != nil {
			return nil, err
		}
		c.wraps[wrapKey(in.Audience, in.Commitment, wr.Reader)] = wr
		c.w.uploaded = append(c.w.uploaded, uploaded{c.id, in.Audience, in.Commitment, wr})
	}
	return nil, nil
}

// reads reports whether the caller is served a stream.
func (c *caller) reads(author wire.AccountID, audience wire.AudienceID) bool {
	a := c.w.people[author]
	if a == nil || author == c.id {
		return a != nil
	}
	b := c.friends[author]
	if b == nil || b.Friendship.State() != wire.StateFriend {
		return false
	}
	entries := a.streams[audience]
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].h.Kind == wire.KindEpoch {
			before := uint64(0)
			if i > 0 {
				before = entries[i-1].h.Epoch
			}
			body, _, err := a.chain.OpenEpoch(entries[i].h, entries[i].Entry.Body, before)
			_, ok := a.wraps[wrapKey(audience, body.Content, c.id)]
			return err == nil && ok
		}
	}
	return false
}

func (c *caller) wrap(author, audience, commit string) (any, error) {
	id, _ := wire.ParseAccountID(author)
	aud, _ := wire.ParseAudienceID(audience)
	com, _ := wire.ParseCommitment(commit)
	if !c.reads(id, aud) {
		return nil, wire.Errorf(wire.NotExist, "wrap", "")
	}
	wr, ok := c.w.people[id].wraps[wrapKey(aud, com, c.id)]
	if !ok {
		return nil, wire.Errorf(wire.NotExist, "wrap", "")
	}
	return &wr, nil
}

func (c *caller) publish(in *wire.PublishRequest) (any, error) {
	h, err := c.chain.OpenEntry(in.Entry)
	if err != nil {
		return nil, err
	}
	entries := c.streams[h.Audience]
	if n := uint64(len(entries)); h.Seq <= n && entries[h.Seq-1].head.ID == in.Entry.ID() {
		return &wire.PublishReply{ID: in.Entry.ID(), Arrival: entries[h.Seq-1].Position}, nil
	}
	var head wire.StreamHead
	if len(entries) > 0 {
		head = entries[len(entries)-1].head
	}
	if head, err = head.Next(h, in.Entry.ID()); err != nil {
		return nil, err
	}
	if h.Created > c.w.clock.Add(wire.MaxSkew).UnixMilli() {
		return nil, wire.Errorf(wire.Clock, "created", "")
	}
	arrival := c.w.clock.UnixMilli()
	c.streams[h.Audience] = append(entries, placed{
		wire.FeedItem{Author: c.id, Audience: h.Audience, Entry: in.Entry, Position: min(h.Created, arrival)}, h, head,
	})
	for _, end := range in.Ends {
		if _, err := c.statement(&end); err != nil {
			return nil, err
		}
	}
	return &wire.PublishReply{ID: in.Entry.ID(), Arrival: arrival}, nil
}

func (c *caller) stream(author, audience string, q url.Values) (any, error) {
	id, _ := wire.ParseAccountID(author)
	aud, _ := wire.ParseAudienceID(audience)
	if !c.reads(id, aud) {
		return nil, wire.Errorf(wire.NotExist, "stream", "")
	}
	entries := c.w.people[id].streams[aud]
	head := uint64(len(entries))
	limit, err := strconv.ParseUint(q.Get("limit"), 10, 53)
	if err != nil || limit < 1 || limit > wire.MaxPage {
		return nil, wire.Errorf(wire.Invalid, "limit", "")
	}
	from, to := uint64(0), head
	if q.Has("after") {
		after, _ := strconv.ParseUint(q.Get("after"), 10, 64)
		from = min(after, head)
		to = min(from+limit, head)
	} else {
		before, _ := strconv.ParseUint(q.Get("before"), 10, 64)
		to = min(before-1, head)
		from = to - min(limit, to)
	}
	reply := &wire.StreamReply{Entries: []wire.Entry{}, Head: head, AsOf: c.w.clock.UnixMilli()}
	for _, e := range entries[from:to] {
		reply.Entries = append(reply.Entries, e.Entry)
	}
	return reply, nil
}

func (c *caller) postByID(id string) (any, error) {
	for author, r := range c.w.people {
		for audience, entries := range r.streams {
			for _, e := range entries {
				if e.Entry.ID().String() == id && c.reads(author, audience) {
					return &e.FeedItem, nil
				}
			}
		}
	}
	return nil, wire.Errorf(wire.NotExist, "post", "")
}

func (c *caller) feed(q url.Values) (any, error) {
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > wire.MaxPage {
		return nil, wire.Errorf(wire.Invalid, "limit", "")
	}
	reply := &wire.FeedReply{Items: []wire.FeedItem{}, Streams: []wire.StreamStatus{}}
	var all []placed
	for author, r := range c.w.people {
		for audience, entries := range r.streams {
			if c.reads(author, audience) {
				all = append(all, entries...)
				reply.Streams = append(reply.Streams, wire.StreamStatus{Author: author, Audience: audience, Head: uint64(len(entries))})
			}
		}
	}
	c.w.changed(reply, q.Get("since"))
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(b.Position, a.Position), compareIDs(b.Author, a.Author), cmp.Compare(b.h.Seq, a.h.Seq))
	})
	key := func(e placed) string { return fmt.Sprintf("%x-%s-%x", e.Position, e.Author, e.h.Seq) }
	if before := q.Get("before"); before != "" {
		at := slices.IndexFunc(all, func(e placed) bool { return key(e) == before })
		if at < 0 {
			return nil, wire.Errorf(wire.Invalid, "before", "")
		}
		all = all[at+1:]
	}
	for i, e := range all {
		if i == limit {
			reply.Cursor = key(all[i-1])
			break
		}
		reply.Items = append(reply.Items, e.FeedItem)
	}
	return reply, nil
}

// changed leaves in reply, with all streams, those that changed since a state.
func (w *world) changed(reply *wire.FeedReply, since string) {
	all := reply.Streams
	reply.State = fmt.Sprintf("state_%p_%d", w, len(w.states)) // copies of a world do not share them
	w.states[reply.State] = all
	before, known := w.states[since]
	if reply.All = !known; reply.All {
		return
	}
	reply.Streams = slices.DeleteFunc(slices.Clone(all), func(s wire.StreamStatus) bool { return slices.ContainsFunc(before, same(s)) })
	for _, s := range before {
		if s.Head = 0; !slices.ContainsFunc(all, func(o wire.StreamStatus) bool { return o.Author == s.Author && o.Audience == s.Audience }) {
			reply.Streams = append(reply.Streams, s)
		}
	}
}

func same(s wire.StreamStatus) func(wire.StreamStatus) bool {
	return func(o wire.StreamStatus) bool {
		return o.Author == s.Author && o.Audience == s.Audience && o.Head == s.Head
	}
}

// Do makes world a Transport that neither lies nor fails.
func (w *world) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.serve(r), nil
}
