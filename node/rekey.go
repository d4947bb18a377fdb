package node

import (
	"context"
	"errors"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

// rekey lets change do something to the keys of the node that c is about. If a
// process serves that node from c.Data, it is asked to do so, by request, and its
// answer returned.
func rekey(ctx context.Context, c Config, request string, change func(store.Store, wire.NodeName) error) (running *controlReply, err error) {
	if c.Store.Kind == StoreMongoDB {
		return nil, rekeyDatabase(ctx, c, change)
	}
	running, own, err := reachNode(ctx, c.Data, request)
	if err != nil || running != nil {
		return running, err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	return nil, rekeyStored(ctx, c, own, change)
}

func rekeyDatabase(ctx context.Context, c Config, change func(store.Store, wire.NodeName) error) (err error) {
	own, copies, err := visitDatabase(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close(), copies.Close()) }()
	return rekeyTold(ctx, c, own, change)
}

// rekeyTold changes the keys of a node of several processes, and lets them hear of
// it as if one of them had.
func rekeyTold(ctx context.Context, c Config, own store.Store, change func(store.Store, wire.NodeName) error) (err error) {
	news := newNews(own, usualPace)
	news.forget = func(bool, string) {} // nothing is remembered here
	go news.run()                       // until end
	defer func() { err = errors.Join(err, news.end()) }()
	return rekeyStored(ctx, c, &toldStore{own, news, false}, change)
}

// rekeyStored changes the keys of a node that this process does not serve.
func rekeyStored(ctx context.Context, c Config, own store.Store, change func(store.Store, wire.NodeName) error) error {
	if err := checkSchema(ctx, own); err != nil {
		return err
	}
	name, err := own.Get(ctx, nameKey)
	if err != nil {
		return err
	}
	if err := ofNode(c, wire.NodeName(name.Value)); err != nil {
		return err
	}
	return change(own, wire.NodeName(name.Value))
}
