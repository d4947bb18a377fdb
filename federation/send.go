package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// retryWaits are the pauses before a request is signed anew and sent again, after
// a broken connection or a 401. Together they outlast a peer that was killed,
// came back at once and refuses what was created before its replay mark: at most
// one second ahead, rounded up to the next (replay.go, TestRestartedPeer).
var retryWaits = []time.Duration{600 * time.Millisecond, 1500 * time.Millisecond}

// troubleMemory is how long a peer that failed in spite of retries is asked once
// only.
const troubleMemory = 30 * time.Second

// troubles tell when retries were last in vain, by the kind of failure.
type troubles struct{ broken, refused time.Time }

// A message is a request before it is signed.
type message struct {
	node, host wire.NodeName
	path       string
	body       []byte
	limit      int64 // bytes of the answer
}

// An answer is a response that was read to its end.
type answer struct {
	status      int
	contentType string
	seen        string // wire.HeaderCheckpoint
	body        []byte
}

// send signs and sends m, again after failures that a restart of the peer
// explains, and at once after that of a kept connection. All requests between nodes
// are idempotent. While this node changes its
// request key, a peer that refuses one is shown the next.
func (c *Client) send(ctx context.Context, m message) (answer, error) {
	keys, refusals := c.keys(), 0
	for i := 0; ; i++ {
		key := keys[refusals%len(keys)]
		a, err := c.attempt(ctx, m, key)
		if errors.Is(err, errStale) {
			a, err = c.attempt(ctx, m, key)
		}
		refused := err == nil && a.status == http.StatusUnauthorized
		if refused {
			refusals++
		}
		if !refused && !broken(err) {
			if err == nil {
				c.troubles.drop(m.node)
			}
			return a, err
		}
		if !c.mayRetry(m.node, refused, i) {
			return a, err
		}
		select {
		case <-time.After(retryWaits[i]):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// mayRetry decides after attempt i, and remembers when retrying was in vain.
func (c *Client) mayRetry(node wire.NodeName, refused bool, i int) bool {
	t, _ := c.troubles.get(node)
	last := &t.broken
	if refused {
		last = &t.refused
	}
	now := c.now()
	if i == 0 && now.Sub(*last) < troubleMemory {
		return false
	}
	if i < len(retryWaits) {
		return true
	}
	*last = now
	c.troubles.set(node, t)
	return false
}

// broken reports whether err is what a peer that restarts looks like.
func broken(err error) bool {
	for _, target := range []error{errStale, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (c *Client) attempt(ctx context.Context, m message, key wire.NodeRequestSecret) (answer, error) {
	header, err := sign(c.self, m.host, key, m.path, m.body, newNonce())
	if err != nil {
		return answer{}, err
	}
	var u use
	r, err := http.NewRequestWithContext(u.watch(ctx), http.MethodPost, m.host.Origin()+m.path, bytes.NewReader(m.body))
	if err != nil {
		return answer{}, err
	}
	delete(header, "Host")
	r.Header, r.Host = header, string(m.host)
	a, err := c.do(r, m.node, m.limit)
	return a, u.judge(err)
}

// do sends r to node and reads the answer. Redirects are answers like others.
func (c *Client) do(r *http.Request, node wire.NodeName, limit int64) (answer, error) {
	r.Header.Set("User-Agent", "peerbrain")
	before := c.now()
	res, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	c.timed(node, res.Header.Get("Date"), before, c.now())
	a := answer{status: res.StatusCode}
	a.seen = res.Header.Get(wire.HeaderCheckpoint)
	a.contentType, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	if a.status != http.StatusOK {
		limit = maxProblem
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err == nil && int64(len(a.body)) > limit {
		err = fmt.Errorf("its answer has more than %d bytes", limit)
	}
	return a, err
}

// fetchDocument asks node for its document, at its own name.
func (c *Client) fetchDocument(ctx context.Context, node wire.NodeName) (*wire.NodeDocumentReply, error) {
	if err := c.checkPeer(node); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, node.Origin()+wire.PathDocument, nil)
	if err != nil {
		return nil, err
	}
	a, err := c.do(r, node, maxDocumentReply)
	if err != nil {
		return nil, unreachable(node, err)
	}
	if a.status != http.StatusOK || a.contentType != wire.MediaJSON {
		return nil, wire.Errorf(wire.Unavailable, "", "node %s has no document: it answered %d", node, a.status)
	}
	var reply wire.NodeDocumentReply
	if err := wire.DecodeJSON(a.body, &reply); err != nil {
		return nil, wire.Errorf(wire.Unavailable, "", "node %s has a document that is not understood here", node)
	}
	return &reply, nil
}
