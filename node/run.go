package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/bolt"
)

const (
	// A node that is told to end has 10 seconds: these for the requests that
	// are under way, then for its own work, and the rest for the disk.
	graceTime = 6 * time.Second
	closeTime = 2 * time.Second

	sweepInterval = time.Minute
)

// Run serves a node until ctx ends, and then ends it within 10 seconds: no new
// connections, health checks fail, requests under way are answered. ready, if
// not nil, is called with the address once requests are taken. The error is nil
// after a graceful end.
func Run(ctx context.Context, c Config, log *slog.Logger, ready func(addr string)) (err error) {
	if err := c.Check(); err != nil {
		return err
	}
	secured, err := openTLS(&c, log)
	if err != nil {
		return err
	}
	listener, err := listen(&c)
	if err != nil {
		return err
	}
	defer listener.Close()
	if c.Store.Kind == StoreBolt {
		if err := unfinishedRestore(c.Data); err != nil {
			return err
		}
	}
	own, copies, err := openStores(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close(), copies.Close()) }()
	watched, err := ParseWitnessedLogs(c.Witness.Logs)
	if err != nil {
		return fmt.Errorf("witness.logs: %w", err)
	}
	named, err := ParseNamedWitnesses(c.Witness.Ask, c.Dev)
	if err != nil {
		return fmt.Errorf("witness.ask: %w", err)
	}
	n, err := Open(ctx, Options{
		Name: c.Name, Host: c.Host, Development: c.Dev, Own: own, Copies: copies, MaxCopies: c.Copies.MaxBytes, Log: log,
		SyncInterval: c.SyncInterval, SessionLifetime: c.Sessions, PeersFile: c.PeersFile, Software: "peerbrain/" + Version(), Contact: c.Contact,
		Shared: c.Store.Kind == StoreMongoDB, KeyLifetime: c.Keys.Lifetime, WitnessedLogs: watched, NamedWitnesses: named,
	})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		err = errors.Join(err, n.Close(closing))
	}()
	if control, err := controlOf(c, n, own, log); err != nil {
		log.Warn("no control socket: a backup of this node, or another key, takes that it is stopped, and peers are not administered by command", "error", err)
	} else {
		defer control.close()
	}
	defer n.reloadOnHUP()()
	log.Info("serving", "name", c.Name, "address", listener.Addr().String(), "store", c.Store.Kind, "data", c.Data, "version", Version())
	return n.serve(ctx, c, listener, secured, ready)
}

// serve serves until ctx ends; without secured, plain HTTP.
func (n *Node) serve(ctx context.Context, c Config, l net.Listener, secured *secured, ready func(addr string)) error {
	a := &api{node: n, federation: n.federationServer(), closed: c.Registration == RegistrationClosed, log: n.log, site: c.Site}
	var err error
	if a.origins, err = ParseOrigins(c.Web.Origins); err != nil {
		return fmt.Errorf("web.origins: %w", err)
	}
	a.logSite()
	s := newServer(a, routes(), serverOptions{
		connections: c.Limits.Connections, requests: c.Limits.Requests, proxies: c.Proxies,
		read: c.Timeouts.Read, write: c.Timeouts.Write, idle: c.Timeouts.Idle,
	})
	capped := newCappedListener(l, c.Limits.Connections, c.Limits.PerAddress, c.Proxies)

	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work.Go(func() { n.sweepLoop(ctx) })
	served := make(chan error, 1)
	if secured == nil {
		work.Go(func() { served <- s.listen(capped) })
	} else { // on top of what counts connections, so that handshakes count too
		work.Go(func() { served <- s.listen(tls.NewListener(capped, secured.config)) })
		work.Go(func() { secured.tend(ctx) })
	}
	if ready != nil {
		ready(l.Addr().String())
	}
	select {
	case err := <-served:
		s.stop()
		capped.closeAll()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	a.draining.Store(true)
	n.live.end()
	n.log.Info("ending", "name", n.name)
	draining, done := context.WithTimeout(context.Background(), graceTime)
	defer done()
	if err := s.shutdown(draining); err != nil {
		n.log.Warn("requests were cut off", "error", err)
	}
	// Had the server not begun yet, there was nothing for it to shut down.
	l.Close()
	capped.closeAll()
	return nil
}

func (n *Node) sweepLoop(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.tidy(ctx)
		}
	}
}

// tidy forgets what is of no use any more, here and, if this process leads, in the
// store.
func (n *Node) tidy(ctx context.Context) {
	n.client.Sweep()
	if !n.leads() {
		return
	}
	if err := n.sweepAll(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("sweep failed", "error", err)
	}
}

// sweepAll deletes what has expired, and what other processes of this node left.
func (n *Node) sweepAll(ctx context.Context) error {
	if n.news == nil {
		return errors.Join(n.sweep(ctx), n.sweepPeers(ctx))
	}
	return errors.Join(n.sweep(ctx), n.sweepPeers(ctx), n.sweepNonces(ctx), n.sweepPurses(ctx), n.sweepProcesses(ctx))
}

// listen takes the address and, in development, the name that follows from it.
func listen(c *Config) (net.Listener, error) {
	l, err := net.Listen("tcp", c.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen: another program listens at %s; end it, or choose another address with --listen", c.Listen)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listen: %s is not permitted; choose a port of 1024 or above with --listen, and a reverse proxy in front", c.Listen)
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	if c.Name == "" {
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		c.Name = wire.NodeName("localhost:" + port)
	}
	return l, nil
}

// openFiles opens the two stores of the data folder, which belongs to one name
// and one process.
func openFiles(ctx context.Context, c Config) (own, copies store.Store, err error) {
	var opened []store.Store
	for _, file := range storeFiles {
		s, err := bolt.Open(filepath.Join(c.Data, file), bolt.Options{})
		if err == nil {
			opened = append(opened, s)
		} else {
			err = aboutFolder(c.Data, err)
		}
		if err == nil && len(opened) == 1 {
			err = ownedBy(ctx, s, c)
		}
		if err != nil {
			for _, s := range opened {
				err = errors.Join(err, s.Close())
			}
			return nil, nil, err
		}
	}
	return opened[0], opened[1], nil
}

// ownedBy refuses data of another name: everybody's keys and entries hold it.
func ownedBy(ctx context.Context, own store.Store, c Config) error {
	err := own.Apply(ctx, store.Change{Key: nameKey, Value: []byte(c.Name), If: store.IfAbsent()})
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	rec, err := own.Get(ctx, nameKey)
	if err != nil {
		return err
	}
	if string(rec.Value) != string(c.Name) {
		return c.belongsTo(string(rec.Value))
	}
	return nil
}

// Version returns the release, and for other builds the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	version := "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += "-modified"
		}
	}
	return version
}
