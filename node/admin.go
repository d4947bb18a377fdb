package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/peerbrain/peerbrain/node/store"
)

// What an operator's command asks of a running node, behind "peer " in a line of
// the control socket.
const (
	adminList   = "list"   // []PeerReport
	adminRules  = "rules"  // RuleReport
	adminReload = "reload" // nothing
	adminDrop   = "drop"   // and a name; nothing
	adminTrust  = "trust"  // and a name and a root key; nothing
)

// A RuleReport is what the operator decided about other nodes.
type RuleReport struct {
	File  string    `json:"file,omitempty"` // path
	Rules []SetRule `json:"rules"`
}

// administer does what a line of the control socket says, and returns what is to be
// answered, as JSON.
func (n *Node) administer(ctx context.Context, line string) ([]byte, error) {
	words := strings.Split(line, " ")
	if words[0] != "peer" || len(words) < 2 || len(words) > 4 {
		return nil, errUnknownRequest
	}
	var said any
	var err error
	switch verb := words[1]; {
	case len(words) == 2 && verb == adminList:
		said, err = n.PeerReports(ctx)
	case len(words) == 2 && verb == adminRules:
		said = RuleReport{n.rules.file, n.Rules()}
	case len(words) == 2 && verb == adminReload:
		err = n.ReloadRules(ctx)
	case len(words) == 3 && verb == adminDrop:
		err = n.DropRule(ctx, words[2])
	case len(words) == 3 && isRule(Rule(verb)):
		err = n.SetRule(ctx, words[2], Rule(verb))
	case len(words) == 4 && verb == adminTrust:
		err = n.TrustRoot(ctx, words[2], words[3])
	default:
		err = errUnknownRequest
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(said)
}

// controlOf opens the control socket of the process that serves a node.
func controlOf(c Config, n *Node, own store.Store, log *slog.Logger) (*control, error) {
	if c.Store.Kind == StoreMongoDB {
		own = nil
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, err
		}
	}
	return openControl(c.Data, n, own, log)
}

// reloadOnHUP reads the rules again at each HUP, until end is called.
func (n *Node) reloadOnHUP() (end func()) {
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	ctx, stop := context.WithCancel(n.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hups:
			}
			if err := n.ReloadRules(ctx); err != nil {
				n.log.Error("the rules about other nodes stay as they were", "error", err)
				continue
			}
			n.log.Info("the rules about other nodes were read again", "rules", len(n.Rules()))
		}
	}()
	return func() {
		signal.Stop(hups)
		stop()
		<-done
	}
}

// An Operator asks the node that runs with a data folder. Errors are sentences for
// whoever operates it.
type Operator struct{ Data string }

// Peers asks what the node knows of others.
func (o Operator) Peers(ctx context.Context) (list []PeerReport, err error) {
	err = o.asks(ctx, &list, adminList)
	return list, err
}

// Rules asks what is decided about other nodes.
func (o Operator) Rules(ctx context.Context) (r RuleReport, err error) {
	err = o.asks(ctx, &r, adminRules)
	return r, err
}

// SetRule decides about a node and all under it, or with EveryNode about every node.
func (o Operator) SetRule(ctx context.Context, name string, rule Rule) error {
	return o.asks(ctx, new(any), string(rule), name)
}

// DropRule takes a rule back.
func (o Operator) DropRule(ctx context.Context, name string) error {
	return o.asks(ctx, new(any), adminDrop, name)
}

// Trust ends the quarantine of a node that shows the given root key.
func (o Operator) Trust(ctx context.Context, name, root string) error {
	return o.asks(ctx, new(any), adminTrust, name, root)
}

// ReloadRules lets the node read its file of rules again.
func (o Operator) ReloadRules(ctx context.Context) error {
	return o.asks(ctx, new(any), adminReload)
}

func (o Operator) asks(ctx context.Context, into any, words ...string) (err error) {
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \n") || len(w) > maxControlLine/2 {
			return fmt.Errorf("%q is no name of a node or a domain", clip(w))
		}
	}
	reply, err := dialControl(ctx, o.Data, "peer "+strings.Join(words, " "))
	var refusal *refusedError
	if errors.As(err, &refusal) {
		return errors.New(refusal.why)
	}
	if err != nil {
		return fmt.Errorf("data: no node answers at %s in %q: start it, or choose its folder with --data (%v)", controlFile, o.Data, err)
	}
	defer func() { err = errors.Join(err, reply.Close()) }()
	text, err := io.ReadAll(reply)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("the running node did not finish its answer: %w", err)
	}
	return nil
}
