package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
	"github.com/peerbrain/peerbrain/node/store"
)

func handleKey(h wire.Handle) string     { return "handle/" + string(h) }
func accountKey(a wire.AccountID) string { return keyOf("account/", a) }

// Register founds an account: the record of the handle commits it, and its key statement
// is in the log before it is answered. Doing it
// again with the same key statement succeeds. Kinds of errors: Invalid for what
// is malformed or does not fit together, Exist when somebody else has or had the
// handle, Clock for a time ahead of the node's, Conflict for another vault than
// at the first attempt.
func (n *Node) Register(ctx context.Context, r wire.RegisterRequest) (wire.RegisterReply, error) {
	chain, vault, err := n.checkRegistration(r)
	if err != nil {
		return wire.RegisterReply{}, refuse(err)
	}
	account, handle := chain.Account(), chain.Newest().Handle
	reply := wire.RegisterReply{Account: account}
	holder, err := n.holder(ctx, handle)
	switch {
	case err == nil && len(holder.Tombstone) == 0 && holder.Account == account:
		_, err := n.prove(ctx, chain)
		return reply, err
	case err == nil:
		return wire.RegisterReply{}, taken(handle)
	case !errors.Is(err, wire.NotExist):
		return wire.RegisterReply{}, err
	}
	if err := n.keyLog.Closed(); err != nil {
		return wire.RegisterReply{}, err
	}
	if _, err := n.ownKeys.Register(ctx, chain.Statements()); err != nil {
		return wire.RegisterReply{}, err
	}
	if err := n.prepareVault(ctx, account, r.Vault, vault); err != nil {
		return wire.RegisterReply{}, err
	}
	err = n.own.Apply(ctx,
		put(accountKey(account), &accountRecord{recordVersion, handle}),
		putIf(handleKey(handle), &handleRecord{Version: recordVersion, Account: account}, store.IfAbsent()))
	n.door.asked.forgetAll()
	if errors.Is(err, store.ErrConflict) {
		if holder, err = n.holder(ctx, handle); err == nil && holder.Account != account {
			err = taken(handle)
		}
	}
	if err != nil {
		return wire.RegisterReply{}, err
	}
	n.people.Add(account, handle)
	if _, err := n.prove(ctx, chain); err != nil {
		return wire.RegisterReply{}, err
	}
	return reply, nil
}

func taken(h wire.Handle) error {
	return wire.Errorf(wire.Exist, "handle", "%q is taken, or was once", h)
}

// checkRegistration returns what is founded, if everything fits together.
func (n *Node) checkRegistration(r wire.RegisterRequest) (*keyservice.Chain, *wire.VaultHead, error) {
	chain, err := keyservice.ParseChain([]wire.Signed{r.KeyStatement})
	if err != nil {
		return nil, nil, err
	}
	k := chain.Newest()
	switch {
	case k.Node != n.name:
		return nil, nil, wire.Errorf(wire.Invalid, "key_statement", "it is for node %q, this is %q", k.Node, n.name)
	case k.Handle.Reserved():
		return nil, nil, wire.Errorf(wire.Exist, "handle", "%q is reserved", k.Handle)
	}
	if err := n.ahead("key_statement", k.Created); err != nil {
		return nil, nil, err
	}
	head, _, err := chain.OpenVaultRecord(r.Vault)
	if err != nil {
		return nil, nil, err
	}
	if head.Counter != 1 {
		return nil, nil, wire.Errorf(wire.Invalid, "vault", "the first version was expected, not version %d", head.Counter)
	}
	return chain, head, n.ahead("vault", head.Created)
}

// holder returns who has or had a handle, deleted or not, or wire.NotExist.
func (n *Node) holder(ctx context.Context, handle wire.Handle) (handleRecord, error) {
	var r handleRecord
	_, err := read(ctx, n.own, handleKey(handle), &r)
	return r, err
}

// account returns who is registered under handle, or wire.NotExist, also where the
// account is deleted.
func (n *Node) account(ctx context.Context, handle wire.Handle) (wire.AccountID, error) {
	r, err := n.holder(ctx, handle)
	if err == nil && len(r.Tombstone) > 0 {
		return wire.AccountID{}, wire.NotExist
	}
	return r.Account, err
}

// person returns the handle under which an account is registered here, or
// wire.NotExist. What was answered once stays true until the account is deleted.
func (n *Node) person(ctx context.Context, account wire.AccountID) (wire.Handle, error) {
	if h, ok := n.people.Get(account); ok {
		return h, nil
	}
	var r accountRecord
	if _, err := read(ctx, n.own, accountKey(account), &r); err != nil {
		return "", err
	}
	holder, err := n.account(ctx, r.Handle)
	if err != nil {
		return "", err
	}
	if holder != account {
		return "", wire.NotExist // its registration came too late
	}
	n.people.Add(account, r.Handle)
	return r.Handle, nil
}

// isHere reports whether an account is registered here.
func (n *Node) isHere(ctx context.Context, account wire.AccountID) (bool, error) {
	_, err := n.person(ctx, account)
	return err == nil, ignoreAbsent(err)
}
