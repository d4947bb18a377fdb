//go:build !js

package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// Times that one request may take.
const (
	dialTimeout    = 5 * time.Second
	answerTimeout  = 30 * time.Second // until the headers of the answer
	requestTimeout = 60 * time.Second
)

// An HTTPTransport speaks https to nodes, and plain http over the loopback
// interface to development nodes. It asks each where its API is (hosts).
type HTTPTransport struct {
	client *http.Client
	hosts  hosts
}

// NewHTTPTransport returns a transport with connections of its own.
func NewHTTPTransport() *HTTPTransport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &HTTPTransport{client: &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, at string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(at)
				if err == nil && host == "localhost" {
					at = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, at)
			},
			DisableCompression:     true,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  answerTimeout,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConnsPerHost:    2,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
}

// Close closes the connections that are kept open between requests.
func (t *HTTPTransport) Close() { t.client.CloseIdleConnections() }

// Do is Transport's.
func (t *HTTPTransport) Do(ctx context.Context, r *Request) (*Response, error) {
	host, busy, err := t.hosts.of(ctx, r.Node, t.at)
	if err != nil || busy != nil {
		return busy, err
	}
	return t.at(ctx, host, r)
}

// at sends a request to a host.
func (t *HTTPTransport) at(ctx context.Context, host wire.NodeName, r *Request) (*Response, error) {
	req, err := newHTTPRequest(ctx, host, r)
	if err != nil {
		return nil, err
	}
	answer, err := t.client.Do(req)
	if err != nil {
		return nil, unreachable(ctx, r.Node, err)
	}
	return readAnswer(ctx, r.Node, answer)
}

// Stream is Streamer's.
func (t *HTTPTransport) Stream(ctx context.Context, r *Request, lastEvent string) (io.ReadCloser, *Response, error) {
	host, busy, err := t.hosts.of(ctx, r.Node, t.at)
	if err != nil || busy != nil {
		return nil, busy, err
	}
	req, err := newHTTPRequest(ctx, host, r)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", wire.MediaEvents)
	if lastEvent != "" {
		req.Header.Set(wire.HeaderLastEvent, lastEvent)
	}
	endless := *t.client
	endless.Timeout = 0
	answer, err := endless.Do(req)
	if err != nil {
		return nil, nil, unreachable(ctx, r.Node, err)
	}
	media, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if answer.StatusCode == http.StatusOK && media == wire.MediaEvents {
		return answer.Body, nil, nil
	}
	read, err := readAnswer(ctx, r.Node, answer)
	return nil, read, err
}

func newHTTPRequest(ctx context.Context, host wire.NodeName, r *Request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, host.Origin()+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, wire.Errorf(wire.Internal, "request", "%s %s cannot be asked", r.Method, r.Path)
	}
	if r.Body == nil {
		req.Body, req.ContentLength, req.GetBody = nil, 0, nil
	} else {
		req.Header.Set("Content-Type", wire.MediaJSON)
	}
	req.Header.Set("Accept", wire.MediaJSON)
	req.Header.Set("User-Agent", "peerbrain")
	if !r.Token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+r.Token.Reveal())
	}
	if !r.Code.IsZero() {
		req.Header.Set(wire.HeaderSecondFactor, r.Code.Reveal())
	}
	return req, nil
}

// readAnswer reads an answer to its end.
func readAnswer(ctx context.Context, node wire.NodeName, answer *http.Response) (*Response, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxResponse+1))
	if err != nil {
		return nil, unreachable(ctx, node, err)
	}
	if len(body) > MaxResponse {
		return nil, wire.Errorf(wire.Unavailable, "node", "%s sends more than %d bytes in one answer", node, MaxResponse)
	}
	date, _ := http.ParseTime(answer.Header.Get("Date")) // absent or malformed: zero
	return &Response{Status: answer.StatusCode, Body: body, Date: date}, nil
}

// unreachable says why there is no answer, without the URL.
func unreachable(ctx context.Context, node wire.NodeName, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wire.Errorf(wire.Unavailable, "node", "%s broke the connection before it had answered", node)
	}
	return wire.Errorf(wire.Unavailable, "node", "%s cannot be reached: %v", node, err)
}
