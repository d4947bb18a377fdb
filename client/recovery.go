package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/client/internal/seal"
	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// The past of somebody whose home node is gone. Friends' nodes have copies of their key
// statements and streams, and give them to the recovery code. What the code opens there is
// the self key, and with it all that they wrote; the vault, with the private keys and the
// list of friends, was at the home alone. Nothing is taken on trust: docs/protocol.md,
// "When the home is gone", says what is verified, and what a lying node can still do.

// MaxRecoverFrom is how many nodes are asked at most.
const MaxRecoverFrom = 16

const (
	maxPast     = 1 << 30 // bytes of entries that are read, of all nodes together
	pageTries   = 5       // for a page, where the node is busy or says when to come again
	maxPageWait = time.Minute
)

// RecoverPastOptions say whose past is looked for, and where.
type RecoverPastOptions struct {
	Address wire.Address
	Code    RecoveryCode
	From    []wire.NodeName // 1 to MaxRecoverFrom nodes of friends, which are asked in this order
}

func (o *RecoverPastOptions) check() error {
	if len(o.From) < 1 || len(o.From) > MaxRecoverFrom {
		return wire.Errorf(wire.Invalid, "from", "1 to %d nodes of friends were expected", MaxRecoverFrom)
	}
	for i, node := range o.From {
		if node == o.Address.Node {
			return wire.Errorf(wire.Invalid, "from", "%s is the home of %s: nodes of friends were expected", node, o.Address)
		}
		if slices.Contains(o.From[:i], node) {
			return wire.Errorf(wire.Invalid, "from", "%s is named twice", node)
		}
	}
	return nil
}

// A Past is what nodes had copied of somebody, as far as it was found, verified and opened.
type Past struct {
	Address    wire.Address
	Account    wire.AccountID
	Statements []wire.Signed      // of keys, first to newest
	Keys       *wire.KeyStatement // the newest of them
	Posts      []Post             // the oldest first; of each, Audience is empty: its name was in the vault
	Friends    []PastFriend       // at the nodes that were asked, as these say
	Nodes      []PastNode         // as they were named
	Missing    []PastGap          // that no node has shown
	Problems   []error            // what was refused of an answer, and what does not open
}

// Half is the person's half of each safety number that friends of theirs see: six groups
// of digits. Where a friend sees others, the node has made the account up.
func (p *Past) Half() string {
	digits := appendHalf(nil, fingerprint(p.Account, p.Keys))
	var groups []string
	for group := range slices.Chunk(digits, numberGroup) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// A PastNode is what became of one node.
type PastNode struct {
	Node    wire.NodeName
	Entries int       // that were taken from it, or compared with the same of another one
	AsOf    time.Time // when it last heard the home; zero where it shows no stream
	Err     error     // why it shows nothing: NotExist where it has nothing for this code, or none that it says
}

// A PastFriend is somebody at a node that was asked, whom the person has asked for friendship
// or accepted. That it has not ended is what the node says.
type PastFriend struct {
	Address wire.Address
	Account wire.AccountID
}

// A PastGap are entries of a stream between those that were shown, or before them.
type PastGap struct {
	Audience wire.AudienceID
	From, To uint64 // seq of the first and the last
}

// RecoverPast asks nodes of friends for what they have copied of somebody whose home is
// gone. Of what they show it takes what verifies, and tells what does not. Kinds of
// errors: Invalid for options; Tampered where two nodes show different accounts, for
// then neither is believed; and where no node shows anything, why the first does not:
// NotExist, Unavailable, Tampered and so on, with all of Nodes in the Past.
func (c *Client) RecoverPast(ctx context.Context, o RecoverPastOptions) (*Past, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &pastReader{c: c, o: o, by: newByCode(o.Code), room: maxPast, past: &Past{Address: o.Address}, shown: make(map[wire.NodeName]wire.RecoveryReply)}
	for _, node := range o.From {
		err := r.list(ctx, node)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errTwoAccounts) {
			return nil, err
		}
		r.past.Nodes = append(r.past.Nodes, PastNode{Node: node, Err: err})
	}
	if r.chain == nil {
		return r.past, r.past.Nodes[0].Err
	}
	r.past.Account, r.past.Statements, r.past.Keys = r.chain.Account(), r.chain.Statements(), r.chain.Newest()
	r.friends()
	selfs := r.selfKeys()
	for _, audience := range r.audiences() {
		s := newPastStream(stream{streamID{r.chain.Account(), audience}, o.Address, r.chain, true})
		if err := r.read(ctx, s); err != nil {
			return nil, err
		}
		posts, problems := s.open(selfs)
		r.past.Posts, r.past.Problems = append(r.past.Posts, posts...), append(r.past.Problems, problems...)
		r.past.Missing = append(r.past.Missing, s.gaps()...)
	}
	slices.SortStableFunc(r.past.Posts, func(a, b Post) int { return cmp.Compare(a.Created.UnixMilli(), b.Created.UnixMilli()) })
	return r.past, nil
}

// A pastReader asks the nodes.
type pastReader struct {
	c     *Client
	o     RecoverPastOptions
	by    *byCode
	room  int // bytes that may still be read
	past  *Past
	chain *keyservice.Chain // the best that was shown
	from  wire.NodeName     // by this node
	shown map[wire.NodeName]wire.RecoveryReply
}

// ask sends one query to a node. Each is dated anew, since a long past takes long.
func (r *pastReader) ask(ctx context.Context, node wire.NodeName, at *wire.RecoveryPlace) (reply wire.RecoveryReply, err error) {
	a := r.o.Address
	q := &wire.RecoveryQuery{
		Version: wire.Version, Suite: wire.Suite, Handle: a.Handle, Home: a.Node, Node: node, Created: r.c.now().UnixMilli(),
	}
	signed, err := q.SignRecovery(r.by.signs)
	if err != nil {
		return reply, err
	}
	_, err = r.c.call(ctx, &Request{Method: "POST", Node: node, Path: wire.PathRecovery}, &wire.RecoveryRequest{Address: a, Query: signed, Stream: at}, &reply)
	return reply, err
}

// page asks for entries, and again where the node says that it will have them later.
func (r *pastReader) page(ctx context.Context, node wire.NodeName, at *wire.RecoveryPlace) (entries []wire.Entry, err error) {
	for range pageTries {
		var reply wire.RecoveryReply
		if reply, err = r.ask(ctx, node, at); err == nil {
			return reply.Entries, nil
		}
		if k := wire.KindOf(err); k != wire.Throttled && k != wire.Unavailable {
			return nil, err
		}
		wait := time.Second
		if e := new(wire.Error); errors.As(err, &e) {
			wait = max(wait, min(e.RetryAfter, maxPageWait))
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// errTwoAccounts ends it all: one of two nodes has made up what it shows.
var errTwoAccounts = errors.New("nodes show different accounts")

type twoAccountsError struct{ cause error }

func (e *twoAccountsError) Error() string   { return reason(e.cause) }
func (e *twoAccountsError) Unwrap() []error { return []error{e.cause, errTwoAccounts} }

// list asks a node what it has, and takes the key statements.
func (r *pastReader) list(ctx context.Context, node wire.NodeName) error {
	reply, err := r.ask(ctx, node, nil)
	if err != nil {
		return err
	}
	chain, err := keyservice.ParseChain(reply.Statements)
	if err != nil {
		return wire.Errorf(wire.Tampered, "keys", "the keys that %s shows for %s do not verify: %s", node, r.o.Address, reason(err))
	}
	if chain.Address() != r.o.Address {
		return wire.Errorf(wire.Tampered, "keys", "%s shows the keys of %s for %s", node, chain.Address(), r.o.Address)
	}
	if !r.by.fits(chain) {
		return wire.Errorf(wire.Tampered, "keys", "the account that %s shows is not the one that the recovery code was made for", node)
	}
	if len(reply.Friends) > wire.MaxRecoveryFriends {
		return wire.Errorf(wire.Tampered, "friends", "%s names more than %d friends", node, wire.MaxRecoveryFriends)
	}
	seen := make(map[wire.AudienceID]bool)
	for _, s := range reply.Streams {
		if seen[s.Audience] || s.Audience.IsZero() || len(reply.Streams) > wire.MaxStreams {
			return wire.Errorf(wire.Tampered, "streams", "the list of streams that %s shows is none: each of at most %d once was expected", node, wire.MaxStreams)
		}
		seen[s.Audience] = true
	}
	if err := r.take(node, chain); err != nil {
		return err
	}
	r.shown[node] = reply
	return nil
}

// take compares the keys that a node shows with those that were shown before.
func (r *pastReader) take(node wire.NodeName, chain *keyservice.Chain) error {
	if r.chain == nil {
		r.chain, r.from = chain, node
		return nil
	}
	if chain.Account() != r.chain.Account() {
		return &twoAccountsError{wire.Errorf(wire.Tampered, "keys", "%s and %s show different accounts for %s, and one of them makes it up: nothing of either was taken", r.from, node, r.o.Address)}
	}
	if r.chain.Extends(chain) == nil {
		return nil
	}
	if chain.Extends(r.chain) != nil {
		r.problem(wire.Errorf(wire.Tampered, "keys", "%s and %s show keys of %s that fork: somebody else has signed with one of them", r.from, node, r.o.Address))
		if !recoveryWins(chain, r.chain) {
			return nil
		}
	}
	r.chain, r.from = chain, node
	return nil
}

// recoveryWins reports whether the recovery key has signed the first statement of a that is
// not in b, and not that of b.
func recoveryWins(a, b *keyservice.Chain) bool {
	for seq := uint64(0); ; seq++ {
		ka, ha, err1 := a.At(seq)
		kb, hb, err2 := b.At(seq)
		if err1 != nil || err2 != nil || ha != hb {
			return err1 == nil && err2 == nil && ka.Signer == wire.ByRecovery && kb.Signer != wire.ByRecovery
		}
	}
}

func (r *pastReader) problem(err error) { r.past.Problems = append(r.past.Problems, err) }

// friends takes the friends that nodes name and that the person has wanted.
func (r *pastReader) friends() {
	for _, n := range r.past.Nodes {
		for _, f := range r.shown[n.Node].Friends {
			friend, err := r.friend(f)
			if err == nil && friend.Address.Node != n.Node {
				err = wire.Errorf(wire.Tampered, "friend", "%s is at another node", friend.Address)
			}
			if err != nil {
				r.problem(wire.Errorf(wire.Tampered, "friend", "%s names a friend who is none: %s", n.Node, reason(err)))
			} else if !slices.Contains(r.past.Friends, friend) {
				r.past.Friends = append(r.past.Friends, friend)
			}
		}
	}
}

// friend opens what the person has signed about a friend: an offer, or the acceptance of
// theirs.
func (r *pastReader) friend(f wire.RecoveryFriend) (PastFriend, error) {
	if o, err := r.chain.OpenOffer(f.OfferGot); err == nil {
		return PastFriend{o.ToAddress(), o.To}, nil
	}
	a, err := r.chain.OpenAccept(f.AcceptGot)
	if err != nil {
		return PastFriend{}, err
	}
	o, err := wire.OpenAcceptedOffer(f.OfferMade, a)
	if err != nil {
		return PastFriend{}, err
	}
	return PastFriend{o.FromAddress(), o.From}, nil
}

// selfKeys opens the self keys of all statements that name the keys of the code, the
// newest first.
func (r *pastReader) selfKeys() (keys []seal.SelfKey) {
	for seq := r.chain.Newest().Seq + 1; seq > 0; seq-- {
		k, _, err := r.chain.At(seq - 1)
		if err != nil || !r.by.names(k) {
			continue
		}
		self, err := seal.OpenSelfKey(r.by.opens, seal.SelfKeyPlace{Address: k.Address(), Identity: k.Identity}, k.SealedSelfKey)
		if err != nil {
			r.problem(wire.Errorf(wire.Tampered, "keys", "the self key in key statement %d of %s does not open", k.Seq, r.o.Address))
			continue
		}
		keys = append(keys, self)
	}
	return keys
}

// audiences are those of all streams that nodes show.
func (r *pastReader) audiences() (list []wire.AudienceID) {
	for _, n := range r.past.Nodes {
		for _, s := range r.shown[n.Node].Streams {
			if !slices.Contains(list, s.Audience) {
				list = append(list, s.Audience)
			}
		}
	}
	return list
}

// read puts a stream together: whoever says that it has most of it is asked first.
func (r *pastReader) read(ctx context.Context, s *pastStream) error {
	type offer struct {
		*PastNode
		wire.RecoveryStream
	}
	var offers []offer
	for i := range r.past.Nodes {
		n := &r.past.Nodes[i]
		for _, one := range r.shown[n.Node].Streams {
			if one.Audience == s.Audience {
				offers = append(offers, offer{n, one})
			}
		}
	}
	slices.SortStableFunc(offers, func(a, b offer) int { return cmp.Compare(b.Head, a.Head) })
	for _, o := range offers {
		taken, err := r.readFrom(ctx, s, o.Node, o.Head)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.problem(err)
		}
		o.Entries += taken
		if asOf := time.UnixMilli(o.RecoveryStream.AsOf); asOf.After(o.PastNode.AsOf) {
			o.PastNode.AsOf = asOf
		}
	}
	return nil
}

// readFrom takes what a node has of a stream, up to the first entry that is wrong.
func (r *pastReader) readFrom(ctx context.Context, s *pastStream, node wire.NodeName, head uint64) (taken int, err error) {
	after := uint64(0)
	for {
		entries, err := r.page(ctx, node, &wire.RecoveryPlace{Audience: s.Audience, After: after})
		if err != nil {
			return taken, wire.Errorf(wire.KindOf(err), "posts", "%s does not show all that it has: %s", node, reason(err))
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if r.room -= e.Size(); r.room < 0 {
				return taken, wire.Errorf(wire.TooLarge, "posts", "%s shows more than can be read at once", node)
			}
			v, err := s.stream.open(e)
			if err == nil && v.Seq <= after {
				err = s.tampered(wire.Errorf(wire.Tampered, "entry", "entry %d comes after entry %d", v.Seq, after))
			}
			if err == nil {
				err = s.add(node, v)
			}
			if err != nil {
				return taken, wire.Errorf(wire.KindOf(err), "posts", "of what %s shows, nothing behind entry %d was taken: %s", node, after, reason(err))
			}
			after = v.Seq
			taken++
		}
	}
	if after < head {
		return taken, wire.Errorf(wire.Tampered, "posts", "%s says that it has %d entries, and shows none after entry %d", node, head, after)
	}
	return taken, nil
}
