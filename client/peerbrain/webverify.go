package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/client/web"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// pageRoom is how much longer than ours a file may be for its digest to be shown.
const pageRoom = 1 << 20

// verifyWeb compares each file that a node serves with the one here, and what it says
// about whom its page speaks with.
func (a *app) verifyWeb(ctx context.Context, nodes *client.HTTPTransport, site *web.Site, node, host wire.NodeName) error {
	different := 0
	for _, path := range append(site.Paths(), wire.PathPageNode) {
		_, headers, want := site.Answer(path, "br", "")
		digest := site.FileDigest(path)
		if path == wire.PathPageNode {
			want = wire.EncodeJSON(wire.PageNode{Node: node})
			digest = digestOf(want)
		}
		got, err := nodes.PageFile(ctx, host, path, http.Header{"Accept-Encoding": {"br"}}, len(want)+pageRoom)
		if err != nil {
			return a.explain(err, about{doing: "ask " + string(node) + " for " + path})
		}
		if got.Status == http.StatusOK && got.Header.Get("Content-Encoding") == "" && len(headers) > 0 { // a proxy may have taken the coding off
			_, _, want = site.Answer(path, "", "")
		}
		why := differs(got, want, headers)
		if why != "" {
			different++
		}
		if err := a.verified(path, digest, why); err != nil {
			return err
		}
	}
	if different > 0 {
		return failure(fmt.Sprintf("%s does not serve the page that came with this peerbrain: %d of %d files differ", node, different, len(site.Paths())+1),
			"it may be that of another release: compare the versions of both; do not type your password there before you know")
	}
	if !a.json {
		a.say("%s serves the page that came with this peerbrain (%s).", node, site.Digest())
	}
	return nil
}

// differs tells what is different; empty if nothing is.
func differs(got *client.PageFile, want []byte, headers [][2]string) string {
	if got.Status != http.StatusOK {
		return fmt.Sprintf("status %d", got.Status)
	}
	for _, h := range append(headers, web.Headers("")...) {
		if h[0] == "Content-Encoding" && got.Header.Get(h[0]) == "" || h[0] == "ETag" || h[0] == "Vary" || h[0] == "Cache-Control" { // which are about the way, not about what comes
			continue
		}
		if values := got.Header.Values(h[0]); len(values) != 1 || values[0] != h[1] {
			return fmt.Sprintf("header %s %q", h[0], values)
		}
	}
	if !bytes.Equal(got.Body, want) {
		return "other bytes"
	}
	return ""
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// verified prints what came of one file.
func (a *app) verified(path, digest, why string) error {
	if a.json {
		return a.object(verifiedJSON{path, why == "", digest, why})
	}
	if why == "" {
		a.say("same     %s  %s", digest[:16], path)
	} else {
		a.say("DIFFERS  %s  %s  %s", digest[:16], path, oneLine(why))
	}
	return nil
}
