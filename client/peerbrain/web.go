package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/client/web"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// webFlags are the flags of web as they are typed.
type webFlags struct {
	listen string
	verify bool
}

func (a *app) web() *cobra.Command {
	var f webFlags
	cmd := &cobra.Command{
		Use:   "web [NODE]",
		Short: "Serve the page for browsers from your own disk, or verify a node's",
		Long: `Serve the page for browsers from your own disk, or verify a node's.

Each node serves a page with which people use it in a browser. Whoever runs the
node could change that page, and a changed page could tell your password. This
command serves the page that came with it instead, to browsers on this machine,
and that page speaks with your node. NODE is its name; without it, that of the
session here. The operator of the node has to allow it, by the setting
web.origins. A browser keeps what belongs to one port apart from all others, so
choose one that you stay with: --listen 127.0.0.1:8800.

With --verify nothing is served: each file of the page that NODE serves is fetched
and compared with the one that came with this command. The status is 1 if one
differs. It shows what the node served here and now; to another visitor, or later,
it can serve something else.`,
		Example: `  peerbrain web node.example --listen 127.0.0.1:8800
  peerbrain web
  peerbrain web --verify node.example`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("one node was expected, and nothing after it", cmd.CommandPath()+" --help")
			}
			return f.check(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.putWeb(cmd.Context(), f, args) },
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "`address` of this machine at which the page is served, host:port; port 0 takes a free one")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "compare the page that the node serves with the one here")
	return cmd
}

// check refuses addresses that others could reach. The page would not work there either:
// over plain http, browsers give keys to pages of their own machine alone.
func (f *webFlags) check(cmd *cobra.Command) error {
	host, port, err := net.SplitHostPort(f.listen)
	if err != nil {
		return usage(fmt.Sprintf("%q is no host:port", f.listen), cmd.CommandPath()+" --listen 127.0.0.1:8800")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return usage(fmt.Sprintf("port %q was found, 0 to 65535 was expected", port), cmd.CommandPath()+" --listen "+net.JoinHostPort("127.0.0.1", "8800"))
	}
	if at, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !at.IsLoopback()) {
		return usage(fmt.Sprintf("%q is not of this machine alone; the page is served to browsers on this machine", host), cmd.CommandPath()+" --listen "+net.JoinHostPort("127.0.0.1", port))
	}
	if f.verify && cmd.Flags().Changed("listen") {
		return usage("with --verify nothing is served", "leave out --listen")
	}
	return nil
}

func (a *app) putWeb(ctx context.Context, f webFlags, args []string) error {
	node, err := a.webNode(ctx, args)
	if err != nil {
		return err
	}
	site, err := web.Embedded()
	if err != nil {
		return err
	}
	if site.Digest() == "" {
		return failure("this peerbrain was built without the page for browsers", "build it with the page: make build")
	}
	nodes := client.NewHTTPTransport()
	defer nodes.Close()
	host, err := nodes.Host(ctx, node)
	if err != nil {
		return a.explain(err, about{doing: "find " + string(node)})
	}
	if f.verify {
		return a.verifyWeb(ctx, nodes, site, node, host)
	}
	return a.serveWeb(ctx, nodes, site, node, host, f.listen)
}

// webNode is the node that is named, or that of the session.
func (a *app) webNode(ctx context.Context, args []string) (node wire.NodeName, err error) {
	if len(args) == 1 {
		if node, err = wire.ParseNodeName(args[0]); err == nil {
			return node, nil
		}
		hint := "a node is a name such as node.example"
		_, typed, isAddress := strings.Cut(args[0], "@")
		if !isAddress {
			typed = strings.TrimSuffix(args[0], "/")
		}
		if near, ok := nearAddress("a@" + typed); ok {
			hint = "did you mean: peerbrain web " + string(near.Node)
		}
		return "", usage(detail(err), hint)
	}
	err = a.person(ctx, func(p *client.Person) error {
		node = p.Whoami().Address.Node
		return nil
	})
	if errors.Is(err, client.ErrNoSession) {
		return "", failure("nobody is logged in here, so it is not known which node is meant", "peerbrain web NODE")
	}
	return node, err
}

// serveWeb serves the page until ctx ends.
func (a *app) serveWeb(ctx context.Context, nodes *client.HTTPTransport, site *web.Site, node, host wire.NodeName, listen string) error {
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return failure("another program listens at "+listen, "end it, or choose another port: --listen 127.0.0.1:0")
	}
	if err != nil {
		return failure(err.Error(), "choose another address: --listen 127.0.0.1:0")
	}
	at := l.Addr().String()
	if shown, _, _ := net.SplitHostPort(listen); shown == "localhost" {
		at = "localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	if err := a.webServed(ctx, nodes, site, node, host, "http://"+at); err != nil {
		return errors.Join(err, l.Close())
	}
	s := &http.Server{
		Handler:     &page{site: site, port: l.Addr().(*net.TCPAddr).Port, node: wire.PageNode{Node: node, API: host.Origin()}},
		ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // of browsers that leave
	}
	end := context.AfterFunc(ctx, func() { s.Close() })
	defer end()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// webServed says where the page is, and whether the node lets it in.
func (a *app) webServed(ctx context.Context, nodes *client.HTTPTransport, site *web.Site, node, host wire.NodeName, origin string) error {
	answer, err := nodes.PageFile(ctx, host, wire.PathDocument, http.Header{"Origin": {origin}}, 1)
	if err != nil {
		return a.explain(err, about{doing: "ask " + string(node)})
	}
	if answer.Header.Get("Access-Control-Allow-Origin") != origin {
		a.note("%s does not let this page in, so nobody can log in; its operator has to name %s in the setting web.origins", node, origin)
	}
	if a.json {
		return a.object(webJSON{origin + "/", node, site.Digest()})
	}
	a.say("The page for %s is at %s until Ctrl-C.", node, a.styled(bold, origin+"/"))
	return nil
}

// A page serves the files to browsers of this machine.
type page struct {
	site *web.Site
	port int
	node wire.PageNode
}

// ServeHTTP implements http.Handler. A name that leads here but is none of this machine
// has been given by somebody else (DNS rebinding), and gets nothing.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, h := range web.Headers(p.node.API) {
		w.Header().Set(h[0], h[1])
	}
	refuse := func(status int, why string) {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, why, status)
	}
	if !p.isOurs(r.Host) {
		refuse(http.StatusMisdirectedRequest, "this page is for browsers on its own machine")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(http.StatusMethodNotAllowed, "files are served here, and nothing else")
		return
	}
	if r.URL.Path == wire.PathPageNode {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", wire.MediaJSON)
		_, _ = w.Write(wire.EncodeJSON(p.node)) // whoever left does not want it
		return
	}
	status, headers, body := p.site.Answer(r.URL.Path, strings.Join(r.Header.Values("Accept-Encoding"), ", "), strings.Join(r.Header.Values("If-None-Match"), ", "))
	if status == http.StatusNotFound {
		refuse(status, "no such path")
		return
	}
	for _, h := range headers {
		w.Header().Set(h[0], h[1])
	}
	if status == http.StatusOK {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// isOurs reports whether a Host names this machine, and this port of it.
func (p *page) isOurs(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	at, err := netip.ParseAddr(name)
	return port == strconv.Itoa(p.port) && (name == "localhost" || err == nil && at.IsLoopback())
}
