//go:build !js

package client

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A PageFile is what a node answers to a browser that asks for a file of its page.
type PageFile struct {
	Status int
	Header http.Header
	Body   []byte // as it came, with whatever coding the header names
}

// Host returns where the API and the page of a node are: at its name, unless its document
// says otherwise.
func (t *HTTPTransport) Host(ctx context.Context, node wire.NodeName) (wire.NodeName, error) {
	host, busy, err := t.hosts.of(ctx, node, t.at)
	if err == nil && busy != nil {
		err = refusal(node, busy)
	}
	return host, err
}

// PageFile asks a host for a file with the headers of a browser, and reads at most so
// many bytes of it: more are cut off. It follows no redirects.
func (t *HTTPTransport) PageFile(ctx context.Context, host wire.NodeName, path string, header http.Header, most int) (*PageFile, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, host.Origin()+path, http.NoBody)
	if err != nil {
		return nil, wire.Errorf(wire.Internal, "request", "%s cannot be asked for %s", host, path)
	}
	request.Header = header
	answer, err := t.client.Do(request)
	if err != nil {
		return nil, unreachable(ctx, host, err)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(most)))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, unreachable(ctx, host, err)
	}
	return &PageFile{answer.StatusCode, answer.Header, body}, nil
}
