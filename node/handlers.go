package node

import (
	"context"
	"errors"
	"strings"

	"github.com/peerbrain/peerbrain/federation"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// What is behind the routes. A handler reads what it was sent, calls the node
// or the person, and does no more.

func serveDocument(_ context.Context, a *api, _ *incoming) (any, error) {
	return *a.node.document.Load(), nil
}

func serveHealth(_ context.Context, a *api, _ *incoming) (any, error) {
	if a.draining.Load() {
		return nil, wire.Errorf(wire.Unavailable, "", "the node is about to end")
	}
	return wire.Health{Status: "ok", Node: a.node.name}, nil
}

func serveRegister(ctx context.Context, a *api, r *incoming) (any, error) {
	if a.closed {
		return nil, wire.Errorf(wire.Forbidden, "", "this node takes no registrations")
	}
	if err := a.node.door.throttle.take(ctx, askRegister, network(r.from)); err != nil {
		return nil, err
	}
	req, err := decode[wire.RegisterRequest](r)
	if err != nil {
		return nil, err
	}
	return found(a.node.Register(ctx, req))
}

func serveChallenge(ctx context.Context, a *api, r *incoming) (any, error) {
	req, err := decode[wire.ChallengeRequest](r)
	if err != nil {
		return nil, err
	}
	return found(a.node.Challenge(ctx, req, r.from))
}

func serveLogin(ctx context.Context, a *api, r *incoming) (any, error) {
	req, err := decode[wire.LoginRequest](r)
	if err != nil {
		return nil, err
	}
	return found(a.node.Login(ctx, req, r.from))
}

func serveHeads(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askHeads, network(r.from)); err != nil {
		return nil, err
	}
	req, err := decode[wire.HeadsRequest](r)
	if err != nil {
		return nil, err
	}
	return found(a.node.SeenHead(ctx, req))
}

func serveRecovery(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askRecovery, network(r.from)); err != nil {
		return nil, err
	}
	req, err := decode[wire.RecoveryRequest](r)
	if err != nil {
		return nil, err
	}
	return found(a.node.Recovery(ctx, req))
}

// servePeer hands the request to package federation as it lay on the wire.
func servePeer(ctx context.Context, a *api, r *incoming) (any, error) {
	defer waiting(ctx)() // who asks may have to be found out from another node
	raw := federation.RawRequest{Method: r.method, Target: r.target, Headers: r.headers, Body: r.body}
	return a.federation.Serve(ctx, raw), nil
}

func serveGetSession(_ context.Context, _ *api, r *incoming) (any, error) {
	return r.person.Session(), nil
}

func serveEndSession(ctx context.Context, _ *api, r *incoming) (any, error) {
	return nil, r.person.EndSession(ctx)
}

func serveSessions(ctx context.Context, _ *api, r *incoming) (any, error) {
	return found(r.person.Sessions(ctx))
}

func serveEndOthers(ctx context.Context, _ *api, r *incoming) (any, error) {
	return nil, r.person.EndOtherSessions(ctx)
}

func serveEndOne(ctx context.Context, _ *api, r *incoming) (any, error) {
	var id wire.Hash
	if err := id.UnmarshalText([]byte(r.params["id"])); err != nil {
		return nil, err
	}
	return nil, r.person.EndOneSession(ctx, id)
}

func serveGetFactor(ctx context.Context, _ *api, r *incoming) (any, error) {
	return found(r.person.SecondFactor(ctx))
}

func servePutFactor(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.SecondFactorRequest](r)
	if err != nil {
		return nil, err
	}
	return nil, r.person.PutSecondFactor(ctx, req)
}

func serveEndFactor(ctx context.Context, _ *api, r *incoming) (any, error) {
	return nil, r.person.EndSecondFactor(ctx)
}

func servePutBackup(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.BackupRequest](r)
	if err != nil {
		return nil, err
	}
	return nil, r.person.PutBackup(ctx, req)
}

func serveGetVault(ctx context.Context, _ *api, r *incoming) (any, error) {
	after, err := r.number("after")
	if err != nil {
		return nil, err
	}
	return found(r.person.Vault(ctx, after))
}

func servePutVault(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.VaultUpdate](r)
	if err != nil {
		return nil, err
	}
	if len(req.KeyStatement) > 0 {
		return nil, r.person.RenewKeys(ctx, req)
	}
	return nil, r.person.PutVault(ctx, req.VaultRecord)
}

func serveKeys(ctx context.Context, a *api, r *incoming) (any, error) {
	if err := a.node.door.throttle.take(ctx, askKeys, r.person.account.String()); err != nil {
		return nil, err
	}
	req, err := decode[wire.KeysRequest](r)
	if err != nil {
		return nil, err
	}
	return found(r.person.Keys(ctx, req))
}

func serveDelete(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.DeleteRequest](r)
	if err != nil {
		return nil, err
	}
	return nil, r.person.Delete(ctx, req)
}

func serveFriends(ctx context.Context, _ *api, r *incoming) (any, error) {
	return found(r.person.Friends(ctx))
}

func serveTell(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.FriendRequest](r)
	if err != nil {
		return nil, err
	}
	return found(r.person.Tell(ctx, req))
}

func servePutWraps(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.WrapsRequest](r)
	if err != nil {
		return nil, err
	}
	return nil, r.person.PutWraps(ctx, req)
}

func serveWrap(ctx context.Context, _ *api, r *incoming) (any, error) {
	author, err1 := wire.ParseAccountID(r.params["author"])
	audience, err2 := wire.ParseAudienceID(r.params["audience"])
	commitment, err3 := wire.ParseCommitment(r.params["commit"])
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return found(r.person.Wrap(ctx, author, audience, commitment))
}

func servePublish(ctx context.Context, _ *api, r *incoming) (any, error) {
	req, err := decode[wire.PublishRequest](r)
	if err != nil {
		return nil, err
	}
	return found(r.person.Publish(ctx, req))
}

func serveStream(ctx context.Context, _ *api, r *incoming) (any, error) {
	author, err1 := wire.ParseAccountID(r.params["author"])
	audience, err2 := wire.ParseAudienceID(r.params["audience"])
	after, err3 := r.number("after")
	before, err4 := r.number("before")
	limit, err5 := r.limit()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	if r.query["after"] != "" && r.query["before"] != "" {
		return nil, wire.Errorf(wire.Invalid, "before", "after or before was expected, not both")
	}
	return found(r.person.Stream(ctx, author, audience, after, before, limit))
}

func servePost(ctx context.Context, _ *api, r *incoming) (any, error) {
	id, err := wire.ParseEntryID(r.params["id"])
	if err != nil {
		return nil, err
	}
	return found(r.person.Post(ctx, id))
}

func serveFeed(ctx context.Context, _ *api, r *incoming) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	return found(r.person.Feed(ctx, limit, r.query["before"], r.query["since"]))
}

func serveEvents(_ context.Context, a *api, r *incoming) (any, error) {
	if a.draining.Load() {
		return nil, wire.Errorf(wire.Unavailable, "", "the node is about to end")
	}
	last := r.all(wire.HeaderLastEvent)
	if len(last) > 1 {
		return nil, wire.Errorf(wire.Invalid, wire.HeaderLastEvent, "it is there more than once")
	}
	return found(r.person.Watch(strings.Join(last, "")))
}

// found makes an answer of what a method returns.
func found[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
