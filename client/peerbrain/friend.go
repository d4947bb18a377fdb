package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const historyHelp = `
What you wrote so far becomes readable for the new friend, in one step however
much it is. With --no-history only what you write from now on does; their side
of the friendship is theirs to decide.`

// A friendAct is what one of the commands does about another person.
type friendAct struct {
	name, short, long string
	history           bool // it has the flag --no-history
	do                func(ctx context.Context, p *client.Person, who wire.Address, history bool) (client.Friend, error)
	said              func(client.Friend) string
	words             func(who wire.Address) map[wire.Kind][2]string
}

func (a *app) friend() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "friend",
		Short: "Ask for friendship, answer, end, list",
		Long: `Ask for friendship, answer, end, list.

Friends read what you post, and you read what they post. It takes both: one
adds, the other accepts; nobody has to be online for it.`,
		Example: `  peerbrain friend add bob@node.example       ask bob
  peerbrain friend list                       who asked me, and who are my friends
  peerbrain friend accept ada@node.example    say yes
  peerbrain friend remove eve@node.example    what I write from now on is closed to eve
  peerbrain friend verify bob@node.example    compare keys with bob, in person`,
		Args:                       a.noSuchCommand,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("what about friends? add, accept, decline, cancel, remove, verify, unverify or list", "peerbrain friend --help")
		},
	}
	for _, act := range friendActs() {
		cmd.AddCommand(a.friendCommand(act))
	}
	cmd.AddCommand(a.friendVerify(), a.friendList())
	return cmd
}

func friendActs() []friendAct {
	return []friendAct{
		{
			name: "add", short: "Ask somebody for friendship", history: true,
			long: "Ask somebody for friendship. They accept with: peerbrain friend accept YOURADDRESS\n" + historyHelp,
			do: func(ctx context.Context, p *client.Person, who wire.Address, history bool) (client.Friend, error) {
				return p.AddFriend(ctx, who, history)
			},
			said: asked, words: addWords,
		},
		{
			name: "accept", short: "Accept somebody who asked", history: true,
			long: "Accept somebody who asked for friendship. You read each other at once.\n" + historyHelp,
			do: func(ctx context.Context, p *client.Person, who wire.Address, history bool) (client.Friend, error) {
				return p.AcceptFriend(ctx, who, history)
			},
			said:  func(f client.Friend) string { return fmt.Sprintf("%s is your friend now.%s", f.Address, keysSaid(f)) },
			words: func(who wire.Address) map[wire.Kind][2]string { return notThere(who, "has not asked you", "add") },
		},
		{
			name: "decline", short: "Decline somebody who asked",
			long: "Decline somebody who asked for friendship.",
			do: func(ctx context.Context, p *client.Person, who wire.Address, _ bool) (client.Friend, error) {
				return p.DeclineFriend(ctx, who)
			},
			said:  func(f client.Friend) string { return fmt.Sprintf("%s is declined.", f.Address) },
			words: func(who wire.Address) map[wire.Kind][2]string { return notThere(who, "has not asked you", "") },
		},
		{
			name: "cancel", short: "Take back what you asked",
			long: "Take back that you asked somebody for friendship.",
			do: func(ctx context.Context, p *client.Person, who wire.Address, _ bool) (client.Friend, error) {
				return p.CancelFriend(ctx, who)
			},
			said:  func(f client.Friend) string { return fmt.Sprintf("%s is not asked any more.", f.Address) },
			words: func(who wire.Address) map[wire.Kind][2]string { return notThere(who, "is not asked by you", "") },
		},
		{
			name: "unverify", short: "Take back that you compared keys",
			long: "Take back that you compared keys with somebody in person. Keys that came after\nthose that you compared are trusted then, if your device has accepted them.",
			do: func(ctx context.Context, p *client.Person, who wire.Address, _ bool) (client.Friend, error) {
				return p.UnverifyFriend(ctx, who)
			},
			said:  func(f client.Friend) string { return fmt.Sprintf("%s is not verified.", f.Address) },
			words: func(who wire.Address) map[wire.Kind][2]string { return notThere(who, "is not your friend", "") },
		},
		{
			name: "remove", short: "End a friendship",
			long: "End a friendship. What you write from now on is closed to them, and theirs to you.\nWhat they have read before they may have kept.",
			do: func(ctx context.Context, p *client.Person, who wire.Address, _ bool) (client.Friend, error) {
				return p.RemoveFriend(ctx, who)
			},
			said:  func(f client.Friend) string { return fmt.Sprintf("%s is your friend no longer.", f.Address) },
			words: func(who wire.Address) map[wire.Kind][2]string { return notThere(who, "is not your friend", "") },
		},
	}
}

// asked tells where an offer stands: crossed offers are a friendship already.
func asked(f client.Friend) string {
	if f.State == wire.StateFriend {
		return fmt.Sprintf("%s is your friend now: they had asked you too.%s", f.Address, keysSaid(f))
	}
	return fmt.Sprintf("%s is asked; waiting for %s to accept.%s", f.Address, f.Address.Handle, keysSaid(f))
}

// keysSaid is a line about keys that are trusted from now on.
func keysSaid(f client.Friend) string {
	switch f.Keys {
	case client.KeysPinned:
		return "\nTheir keys are pinned. To be sure whose they are: peerbrain friend verify " + f.Address.String()
	case client.KeysConfirmed:
		return "\nTheir keys are confirmed: nodes of other friends saw the same. To be sure whose they are: peerbrain friend verify " + f.Address.String()
	}
	return ""
}

func addWords(who wire.Address) map[wire.Kind][2]string {
	return map[wire.Kind][2]string{
		wire.NotExist: {fmt.Sprintf("there is nobody called %s", who), "check the spelling: an address is NAME@NODE"},
		wire.Exist:    {fmt.Sprintf("%s is your friend already", who), "peerbrain friend list"},
	}
}

// notThere is for commands about somebody who does not stand where the command needs them.
func notThere(who wire.Address, why, instead string) map[wire.Kind][2]string {
	hint := "peerbrain friend list"
	if instead != "" {
		hint = fmt.Sprintf("who does is in: peerbrain friend list; or ask yourself: peerbrain friend %s %s", instead, who)
	}
	return map[wire.Kind][2]string{
		wire.NotExist: {fmt.Sprintf("%s %s", who, why), hint},
		wire.Exist:    {fmt.Sprintf("%s is your friend already", who), fmt.Sprintf("to end that: peerbrain friend remove %s", who)},
	}
}

func (a *app) friendCommand(act friendAct) *cobra.Command {
	var noHistory bool
	cmd := &cobra.Command{
		Use:     act.name + " ADDRESS",
		Short:   act.short,
		Long:    act.long,
		Example: fmt.Sprintf("  peerbrain friend %s bob@node.example", act.name),
		Args:    oneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := addressOf(cmd, args[0])
			if err != nil {
				return err
			}
			return a.person(cmd.Context(), func(p *client.Person) error {
				f, err := act.do(cmd.Context(), p, who, !noHistory)
				if err != nil {
					return a.explain(err, about{doing: act.name + " " + who.String(), words: act.words(who)})
				}
				return a.befriended(f, act.said(f))
			})
		},
	}
	if act.history {
		cmd.Example += fmt.Sprintf("\n  peerbrain friend %s bob@node.example --no-history", act.name)
		cmd.Flags().BoolVar(&noHistory, "no-history", false, "keep what you wrote so far to your present friends")
	}
	return cmd
}

// befriended reports the state after a command.
func (a *app) befriended(f client.Friend, said string) error {
	a.undelivered(f)
	if a.json {
		return a.object(friendOf(f))
	}
	a.say("%s", said)
	return nil
}

// undelivered notes what the other node does not know yet.
func (a *app) undelivered(f client.Friend) {
	if f.Undelivered {
		a.note("%s was not reached yet; your node goes on trying. %s", f.Address.Node, f.Problem)
	} else if f.Problem != "" {
		a.note("%s: %s", f.Address, f.Problem)
	}
}

func (a *app) friendList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List friends, and who asked whom",
		Long: `List friends, and who asked whom, and what is known of their keys:

  new         they ask you, and you trust no keys of theirs yet; or you became friends
              in a browser, which cannot look into the log of their node
  pinned      the first keys that your device saw, and the log of their node shows
  confirmed   nodes of at least two other friends of yours have seen the same log
  verified    you have compared them in person (peerbrain friend verify)

With --json the state is friend, incoming or outgoing, or deleted for somebody who
has deleted their account, and keys is one of these; verified says that you compared keys, keys_changed that they have changed since.`,
		Example: "  peerbrain friend list\n  peerbrain friend list --json",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				friends, err := p.Friends(cmd.Context())
				if err != nil {
					return a.explain(err, about{doing: "list friends"})
				}
				return a.listFriends(friends)
			})
		},
	}
}

// listFriends prints friends in order of address, those who wait for an answer first.
func (a *app) listFriends(friends []client.Friend) error {
	slices.SortStableFunc(friends, func(f, g client.Friend) int {
		if fi, gi := f.State == wire.StateIncoming, g.State == wire.StateIncoming; fi != gi {
			if fi {
				return -1
			}
			return 1
		}
		return strings.Compare(f.Address.String(), g.Address.String())
	})
	if !a.json && len(friends) == 0 {
		a.say("No friends yet. Ask somebody: peerbrain friend add NAME@NODE")
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	for _, f := range friends {
		a.undelivered(f)
		if !a.json {
			fmt.Fprintf(w, "%s\t%s\n", f.Address, stateWords(f))
		} else if err := a.object(friendOf(f)); err != nil {
			return err
		}
	}
	return w.Flush()
}

func stateWords(f client.Friend) string {
	if f.Deleted {
		return "has deleted their account"
	}
	mark := ""
	switch {
	case f.KeysChanged:
		mark = ", verified before: the keys have changed since"
	case f.Verified:
		mark = ", verified"
	case f.Keys != "":
		mark = ", keys " + string(f.Keys)
	}
	switch f.State {
	case wire.StateFriend:
		return "friend" + mark
	case wire.StateIncoming:
		return "asks you" + mark + "; to accept: peerbrain friend accept " + f.Address.String()
	case wire.StateOutgoing:
		return "asked by you" + mark + ", has not answered"
	}
	return string(f.State)
}
