package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// Most tests call the node without HTTP. What they get is held to openapi.yaml
// all the same: as the answer that the route would have made of it.

// holdCall is hold for a call of what is behind a route; in is nil for no body. What
// was refused may be anything, so only the request of a success is looked at.
func holdCall[A any](t testing.TB, method, target string, in any, out A, err error) (A, error) {
	t.Helper()
	var request []byte
	if in != nil && err == nil {
		request = wire.EncodeJSON(in)
	}
	got := answered{status: 200}
	switch _, nothing := any(out).(struct{}); {
	case err != nil:
		p := wire.ProblemOf(err)
		got.status, got.body = p.Status, wire.EncodeJSON(p)
	case nothing:
		got.status = 204
	default:
		got.body = wire.EncodeJSON(out)
	}
	hold(t, method, target, request, got)
	return out, err
}

// target fills the words after colons of a path.
func target(pattern string, values ...string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i], values = values[0], values[1:]
		}
	}
	return strings.Join(parts, "/")
}

// held is a person whose answers are held to the file.
type held struct {
	*Person
	t testing.TB
}

func (h held) Vault(ctx context.Context, after uint64) (wire.VaultReply, error) {
	r, err := h.Person.Vault(ctx, after)
	return holdCall(h.t, "GET", fmt.Sprint(wire.PathVault, "?after=", after), nil, r, err)
}

func (h held) RenewKeys(ctx context.Context, u wire.VaultUpdate) error {
	_, err := holdCall(h.t, "PUT", wire.PathVault, u, struct{}{}, h.Person.RenewKeys(ctx, u))
	return err
}

func (h held) PutVault(ctx context.Context, v wire.VaultRecord) error {
	_, err := holdCall(h.t, "PUT", wire.PathVault, v, struct{}{}, h.Person.PutVault(ctx, v))
	return err
}

func (h held) Sessions(ctx context.Context) (wire.SessionsReply, error) {
	r, err := h.Person.Sessions(ctx)
	return holdCall(h.t, "GET", wire.PathSessions, nil, r, err)
}

func (h held) EndOneSession(ctx context.Context, id wire.Hash) error {
	_, err := holdCall(h.t, "DELETE", target(wire.PathOneOfAll, id.String()), nil, struct{}{}, h.Person.EndOneSession(ctx, id))
	return err
}

func (h held) EndOtherSessions(ctx context.Context) error {
	_, err := holdCall(h.t, "DELETE", wire.PathSessions, nil, struct{}{}, h.Person.EndOtherSessions(ctx))
	return err
}

func (h held) SecondFactor(ctx context.Context) (wire.SecondFactorReply, error) {
	r, err := h.Person.SecondFactor(ctx)
	return holdCall(h.t, "GET", wire.PathFactor, nil, r, err)
}

func (h held) PutSecondFactor(ctx context.Context, q wire.SecondFactorRequest) error {
	_, err := holdCall(h.t, "PUT", wire.PathFactor, q, struct{}{}, h.Person.PutSecondFactor(ctx, q))
	return err
}

func (h held) PutBackup(ctx context.Context, q wire.BackupRequest) error {
	_, err := holdCall(h.t, "PUT", wire.PathBackup, q, struct{}{}, h.Person.PutBackup(ctx, q))
	return err
}

func (h held) EndSecondFactor(ctx context.Context) error {
	_, err := holdCall(h.t, "DELETE", wire.PathFactor, nil, struct{}{}, h.Person.EndSecondFactor(ctx))
	return err
}

func (h held) Delete(ctx context.Context, q wire.DeleteRequest) error {
	_, err := holdCall(h.t, "POST", wire.PathTombstone, q, struct{}{}, h.Person.Delete(ctx, q))
	return err
}

func (h held) Keys(ctx context.Context, q wire.KeysRequest) (wire.KeysReply, error) {
	r, err := h.Person.Keys(ctx, q)
	return holdCall(h.t, "POST", wire.PathKeys, q, r, err)
}

func (h held) Friends(ctx context.Context) (wire.FriendsReply, error) {
	r, err := h.Person.Friends(ctx)
	return holdCall(h.t, "GET", wire.PathFriends, nil, r, err)
}

func (h held) Tell(ctx context.Context, q wire.FriendRequest) (wire.FriendReply, error) {
	r, err := h.Person.Tell(ctx, q)
	return holdCall(h.t, "POST", wire.PathFriends, q, r, err)
}

func (h held) PutWraps(ctx context.Context, q wire.WrapsRequest) error {
	_, err := holdCall(h.t, "POST", wire.PathWraps, q, struct{}{}, h.Person.PutWraps(ctx, q))
	return err
}

func (h held) Wrap(ctx context.Context, author wire.AccountID, audience wire.AudienceID, c wire.Commitment) (wire.Wrap, error) {
	r, err := h.Person.Wrap(ctx, author, audience, c)
	return holdCall(h.t, "GET", target(wire.PathWrap, author.String(), audience.String(), c.String()), nil, r, err)
}

func (h held) Publish(ctx context.Context, q wire.PublishRequest) (wire.PublishReply, error) {
	r, err := h.Person.Publish(ctx, q)
	return holdCall(h.t, "POST", wire.PathEntries, q, r, err)
}

// Stream has a limit of 0 for the most, which has another name in the API.
func (h held) Stream(ctx context.Context, author wire.AccountID, audience wire.AudienceID, after, before uint64, limit int) (wire.StreamReply, error) {
	r, err := h.Person.Stream(ctx, author, audience, after, before, limit)
	before = min(before, 1<<63-1) // of what a query can say
	at := target(wire.PathStream, author.String(), audience.String())
	return holdCall(h.t, "GET", fmt.Sprint(at, "?after=", after, "&before=", before), nil, r, err)
}

func (h held) Post(ctx context.Context, id wire.EntryID) (wire.FeedItem, error) {
	r, err := h.Person.Post(ctx, id)
	return holdCall(h.t, "GET", target(wire.PathPost, id.String()), nil, r, err)
}

func (h held) Feed(ctx context.Context, limit int, cursor, since string) (wire.FeedReply, error) {
	r, err := h.Person.Feed(ctx, limit, cursor, since)
	return holdCall(h.t, "GET", wire.PathFeed, nil, r, err)
}

// Register is Node's, held to the file.
func (n *testNode) Register(ctx context.Context, q wire.RegisterRequest) (wire.RegisterReply, error) {
	r, err := n.any().Register(ctx, q)
	return holdCall(n.world.t, "POST", wire.PathRegister, q, r, err)
}

// Recovery is Node's, held to the file.
func (n *testNode) Recovery(ctx context.Context, q wire.RecoveryRequest) (wire.RecoveryReply, error) {
	r, err := n.any().Recovery(ctx, q)
	return holdCall(n.world.t, "POST", wire.PathRecovery, q, r, err)
}

// SeenHead is Node's, held to the file.
func (n *testNode) SeenHead(ctx context.Context, q wire.HeadsRequest) (wire.HeadsReply, error) {
	r, err := n.any().SeenHead(ctx, q)
	return holdCall(n.world.t, "POST", wire.PathHeads, q, r, err)
}

// Challenge is Node's, held to the file.
func (l *loginNode) Challenge(ctx context.Context, q wire.ChallengeRequest, from netip.Addr) (wire.ChallengeReply, error) {
	r, err := l.Node.Challenge(ctx, q, from)
	return holdCall(l.t, "POST", wire.PathChallenge, q, r, err)
}

// Login is Node's, held to the file.
func (l *loginNode) Login(ctx context.Context, q wire.LoginRequest, from netip.Addr) (wire.LoginReply, error) {
	r, err := l.Node.Login(ctx, q, from)
	return holdCall(l.t, "POST", wire.PathLogin, q, r, err)
}

// peer is Node's, held to the file.
func (n *testNode) peer(name wire.NodeName) federation.API {
	return heldPeer{n.any().peer(name), n.world.t}
}

// heldPeer is what a node may ask, its answers held to the file.
type heldPeer struct {
	api federation.API
	t   testing.TB
}

func (h heldPeer) Keys(ctx context.Context, q wire.KeysRequest) (wire.KeysReply, error) {
	r, err := h.api.Keys(ctx, q)
	return holdCall(h.t, "POST", wire.PathPeerKeys, q, r, err)
}

func (h heldPeer) Deliver(ctx context.Context, q wire.PeerFriendRequest) (wire.PeerFriendReply, error) {
	r, err := h.api.Deliver(ctx, q)
	return holdCall(h.t, "POST", wire.PathPeerFriends, q, r, err)
}

func (h heldPeer) Notice(ctx context.Context, q wire.NoticeRequest) (wire.NoticeReply, error) {
	r, err := h.api.Notice(ctx, q)
	return holdCall(h.t, "POST", wire.PathPeerNotices, q, r, err)
}

func (h heldPeer) Sync(ctx context.Context, q wire.SyncRequest) (wire.SyncReply, error) {
	r, err := h.api.Sync(ctx, q)
	return holdCall(h.t, "POST", wire.PathPeerSync, q, r, err)
}
