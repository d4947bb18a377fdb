package story_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/keyservice"
)

// A file of the log of a node, or its document, as anybody gets it.
func (s *server) public(path string) ([]byte, error) {
	r, err := http.Get("http://" + s.listen + path)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errGone, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %v", errGone, err)
	case r.StatusCode == http.StatusNotFound:
		return nil, wire.NotExist
	case r.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: status %d", path, r.StatusCode)
	}
	return b, nil
}

// checkLog verifies that the log of a node has grown out of what was seen of it before,
// and is nothing but the statements of different people. With whole it looks for
// everybody who was registered there.
func (c *crash) checkLog(s *server, whole bool) error {
	b, err := s.public(wire.PathDocument)
	if err != nil {
		return err
	}
	var reply wire.NodeDocumentReply
	if err := wire.DecodeJSON(b, &reply); err != nil {
		return err
	}
	d, err := reply.Open(wire.NodeName(s.name))
	if err != nil {
		return err
	}
	if b, err = s.public(d.Log.File(keyservice.CheckpointFile)); err != nil {
		return err
	}
	now, err := keyservice.OpenCheckpoint(b, d.Log.Origin(d.Name), d.LogKey())
	if err != nil {
		return err
	}
	r := keyservice.NewLogReader(context.Background(), now, func(_ context.Context, name string) ([]byte, error) { return s.public(d.Log.File(name)) })
	if err := r.Extends(c.logs[s]); err != nil {
		return fmt.Errorf("the log of %s: %w", s.name, err)
	}
	c.logs[s] = now
	if !whole {
		return nil
	}
	logged := map[wire.Hash]bool{}
	err = r.Leaves(0, now.Size, func(n uint64, leaf *wire.LogLeaf) error {
		if logged[leaf.Statement] {
			return fmt.Errorf("leaf %d of the log of %s stands twice", n, s.name)
		}
		logged[leaf.Statement] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, one := range c.couples {
		for _, w := range one.people {
			for _, o := range w.others {
				if w.home == s && !logged[wire.Hash(o.account)] {
					return w.fault(lost, "%s was registered, and is not in the log", o.handle)
				}
			}
		}
	}
	return nil
}
