package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// What recover --into writes: the keys in the first line, then a post in each.
type (
	pastKeysJSON struct {
		Address            wire.Address     `json:"address"`
		Account            wire.AccountID   `json:"account"`
		Identity           wire.IdentityKey `json:"identity"`
		Encryption         wire.Bytes       `json:"encryption"`
		Recovery           wire.IdentityKey `json:"recovery"`
		RecoveryEncryption wire.Bytes       `json:"recovery_encryption"`
		Created            string           `json:"created"`
		Statements         []wire.Signed    `json:"statements"`
		Friends            []wire.Address   `json:"friends"`
	}
	pastPostJSON struct {
		ID       wire.EntryID    `json:"id"`
		Author   wire.Address    `json:"author"`
		Audience wire.AudienceID `json:"audience"`
		Seq      uint64          `json:"seq"`
		Created  string          `json:"created"`
		Text     string          `json:"text"`
	}
)

// And what it prints with --json.
type (
	pastJSON struct {
		Address  wire.Address   `json:"address"`
		Account  wire.AccountID `json:"account"`
		File     string         `json:"file"`
		Half     string         `json:"safety_number_half"`
		Posts    int            `json:"posts"`
		Friends  []wire.Address `json:"friends"`
		Nodes    []pastNodeJSON `json:"nodes"`
		Missing  []pastGapJSON  `json:"missing"`
		Problems []string       `json:"problems"`
	}
	pastNodeJSON struct {
		Node    wire.NodeName `json:"node"`
		Entries int           `json:"entries"`
		AsOf    string        `json:"as_of,omitempty"`
		Problem string        `json:"problem,omitempty"`
	}
	pastGapJSON struct {
		Audience wire.AudienceID `json:"audience"`
		From     uint64          `json:"from"`
		To       uint64          `json:"to"`
	}
)

// fromNodes reads the nodes that are asked.
func fromNodes(command string, words []string) (nodes []wire.NodeName, err error) {
	for _, word := range words {
		node, err := wire.ParseNodeName(strings.TrimSpace(word))
		if err != nil {
			return nil, usage(detail(err), command+" NAME@NODE --from north.example,west.example --into FILE")
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// runPast gets back what friends' nodes have, and writes it down.
func (a *app) runPast(ctx context.Context, addr wire.Address, nodes []wire.NodeName, f recoverFlags) error {
	if _, err := os.Lstat(f.into); err == nil {
		return isThere(f.into)
	}
	code, err := a.recoveryCode(ctx, f.sheet)
	if err != nil {
		return err
	}
	return a.client(ctx, func(c *client.Client) error {
		past, err := c.RecoverPast(ctx, client.RecoverPastOptions{Address: addr, Code: code, From: nodes})
		if past != nil {
			a.tellNodes(past)
		}
		if err != nil {
			return a.explain(err, about{doing: "recover the past of " + addr.String(), words: pastWords(addr)})
		}
		if err := writeNew(f.into, func(w io.Writer) error { return writePast(w, past) }); err != nil {
			return err
		}
		return a.tellPast(past, f.into)
	})
}

func pastWords(addr wire.Address) map[wire.Kind][2]string {
	return map[wire.Kind][2]string{
		wire.NotExist: {
			fmt.Sprintf("no node that was asked has anything of %s for this recovery code", addr),
			"the code is the one that was shown last; nodes where friends of yours live have something, and no others",
		},
	}
}

// tellNodes says on standard error what became of each node.
func (a *app) tellNodes(p *client.Past) {
	for _, n := range p.Nodes {
		switch {
		case errors.Is(n.Err, wire.NotExist):
			a.note("%s has nothing for this code: nobody there is a friend, or the code is another one", n.Node)
		case n.Err != nil:
			a.note("%s shows nothing: %s", n.Node, detail(n.Err))
		case n.AsOf.IsZero():
			a.note("%s has the keys, and no posts", n.Node)
		default:
			a.note("%s has %d entries, as of %s", n.Node, n.Entries, n.AsOf.Local().Format("2 Jan 2006 15:04"))
		}
	}
}

// tellPast says what was found, and what was not.
func (a *app) tellPast(p *client.Past, file string) error {
	out := pastJSON{p.Address, p.Account, file, p.Half(), len(p.Posts), friendsOf(p), []pastNodeJSON{}, []pastGapJSON{}, []string{}}
	for _, n := range p.Nodes {
		one := pastNodeJSON{Node: n.Node, Entries: n.Entries}
		if !n.AsOf.IsZero() {
			one.AsOf = n.AsOf.UTC().Format(createdLayout)
		}
		if n.Err != nil {
			one.Problem = detail(n.Err)
		}
		out.Nodes = append(out.Nodes, one)
	}
	for _, g := range p.Missing {
		what := fmt.Sprintf("entries %d to %d are", g.From, g.To)
		if g.From == g.To {
			what = fmt.Sprintf("entry %d is", g.From)
		}
		a.note("%s missing: no node that was asked has kept it", what)
		out.Missing = append(out.Missing, pastGapJSON{g.Audience, g.From, g.To})
	}
	for _, problem := range p.Problems {
		a.note("%s", detail(problem))
		out.Problems = append(out.Problems, detail(problem))
	}
	if a.json {
		return a.object(out)
	}
	a.say("%s: %s, with the keys in the first line, in %s", p.Address, counted(len(p.Posts), "post"), oneLine(file))
	for _, friend := range friendsOf(p) {
		a.say("  a friend: %s", friend)
	}
	a.say("One node alone could have made all of it up. In the safety number that a friend has\nwith you (peerbrain friend verify %s) stands, if it is yours:\n  %s\nWhat was newer than the copies is not here, nor are private keys and friends at\nother nodes: they were at %s alone.", p.Address, p.Half(), p.Address.Node)
	return nil
}

// friendsOf are the addresses of the friends, in order.
func friendsOf(p *client.Past) []wire.Address {
	list := []wire.Address{}
	for _, f := range p.Friends {
		list = append(list, f.Address)
	}
	slices.SortFunc(list, func(a, b wire.Address) int { return strings.Compare(a.String(), b.String()) })
	return list
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// writePast writes keys and posts as lines of JSON.
func writePast(w io.Writer, p *client.Past) error {
	k := p.Keys
	keys := pastKeysJSON{
		p.Address, p.Account, k.Identity, k.Encryption[:], wire.IdentityKey(k.Recovery), k.RecoveryBox[:],
		time.UnixMilli(k.Created).UTC().Format(createdLayout), p.Statements, friendsOf(p),
	}
	if err := writeLine(w, keys); err != nil {
		return err
	}
	for _, post := range p.Posts {
		line := pastPostJSON{post.ID, post.Author, post.AudienceID, post.Seq, post.Created.UTC().Format(createdLayout), post.Text}
		if err := writeLine(w, line); err != nil {
			return err
		}
	}
	return nil
}

func isThere(path string) error {
	return failure(fmt.Sprintf("%s is there already, and nothing is written over it", path), "--into another file")
}

// writeNew writes a file that is not there yet, for its owner alone: the whole of it or
// nothing.
func writeNew(path string, write func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".peerbrain-*") // made with 0600
	if err != nil {
		return failure("cannot write: "+err.Error(), "--into a file in a folder that is there and that you may write to")
	}
	defer os.Remove(temp.Name())
	b := bufio.NewWriter(temp)
	err = write(b)
	for _, step := range []func() error{b.Flush, temp.Sync, temp.Close} {
		if failed := step(); err == nil {
			err = failed
		}
	}
	if err == nil {
		err = os.Link(temp.Name(), path) // which replaces nothing, as a rename would
	}
	if errors.Is(err, fs.ErrExist) {
		return isThere(path)
	}
	if err != nil {
		return failure("cannot write: "+err.Error(), "--into a file on another disk, or with more room")
	}
	return nil
}
