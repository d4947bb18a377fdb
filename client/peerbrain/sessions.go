package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// Characters of a session's id: as many are shown as nobody's two sessions share, and so
// many have to be typed.
const (
	shownID = 10
	typedID = 4
)

// sessionLayout is when a session was opened, for people.
const sessionLayout = "2 Jan 2006 15:04"

func (a *app) sessions() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List where you are logged in, and end sessions",
		Long: `List where you are logged in, and end sessions.

Each log-in is a session: the name that the device was given, and when it
logged in. Nodes do not keep when a session was used. The list is the word of
your node. A session ends by itself after 180 days, unless the operator of the
node has chosen another time.

A session that has ended gets nothing more from the node. What its device keeps
stays on it: if it was stolen, change your password as well.`,
		Example: `  peerbrain sessions
  peerbrain sessions --json
  peerbrain sessions end 4f7qkz3mxw`,
		Args:                       a.noSuchCommand,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				list, more, err := p.Sessions(cmd.Context())
				if err != nil {
					return a.explain(err, about{doing: "list sessions"})
				}
				return a.listSessions(list, more)
			})
		},
	}
	cmd.AddCommand(a.sessionsEnd())
	return cmd
}

// listSessions prints sessions, newest first.
func (a *app) listSessions(list []client.Session, more bool) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	for _, s := range list {
		if a.json {
			times := [2]string{s.Created.UTC().Format(createdLayout), s.Expires.UTC().Format(createdLayout)}
			if err := a.object(sessionJSON{s.ID, s.Device, times[0], times[1], s.Current}); err != nil {
				return err
			}
			continue
		}
		here := ""
		if s.Current {
			here = "\tthis device"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", s.ID.String()[:shownID], oneLine(s.Device), s.Created.Local().Format(sessionLayout), here)
	}
	if more {
		a.note("there are more sessions than are listed; to end all others: peerbrain sessions end --others")
	}
	return w.Flush()
}

func (a *app) sessionsEnd() *cobra.Command {
	var others bool
	cmd := &cobra.Command{
		Use:   "end ID",
		Short: "End a session, or all others",
		Long: `End a session, or all others.

The ID is what peerbrain sessions shows, or its first characters. The device of
that session logs in again with name and password.

` + codeHelp,
		Example: `  peerbrain sessions end 4f7qkz3mxw
  peerbrain sessions end --others`,
		Args: func(cmd *cobra.Command, args []string) error {
			if others == (len(args) == 1) || len(args) > 1 {
				return usage("one session is named, or all others are meant", cmd.CommandPath()+" ID, or "+cmd.CommandPath()+" --others")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.person(cmd.Context(), func(p *client.Person) error {
				if others {
					return a.endOthers(cmd.Context(), p)
				}
				return a.endSession(cmd.Context(), p, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&others, "others", false, "end all sessions but that of this device")
	a.codeFlag(cmd)
	return cmd
}

func (a *app) endOthers(ctx context.Context, p *client.Person) error {
	if err := p.EndOtherSessions(ctx); err != nil {
		return a.explain(err, about{doing: "end the other sessions"})
	}
	if a.json {
		return a.account(p)
	}
	a.say("All other sessions of %s have ended.", p.Whoami().Address)
	return nil
}

func (a *app) endSession(ctx context.Context, p *client.Person, typed string) error {
	list, _, err := p.Sessions(ctx)
	if err != nil {
		return a.explain(err, about{doing: "list sessions"})
	}
	s, err := sessionCalled(typed, list)
	if err != nil {
		return err
	}
	if s.Current {
		return failure("this is the session of this device", "peerbrain logout")
	}
	if err := p.EndSession(ctx, s.ID); err != nil {
		return a.explain(err, about{doing: "end the session", words: map[wire.Kind][2]string{
			wire.NotExist: {"the session has ended already", "peerbrain sessions"},
		}})
	}
	if a.json {
		return a.object(sessionJSON{s.ID, s.Device, s.Created.UTC().Format(createdLayout), s.Expires.UTC().Format(createdLayout), false})
	}
	a.say("The session of %s, logged in %s, has ended.", oneLine(s.Device), s.Created.Local().Format(sessionLayout))
	return nil
}

// sessionCalled finds the one session whose id begins with what was typed.
func sessionCalled(typed string, list []client.Session) (found client.Session, err error) {
	if len(typed) < typedID {
		return found, usage(fmt.Sprintf("at least %d characters of the session's id are needed", typedID), "peerbrain sessions")
	}
	count := 0
	for _, s := range list {
		if strings.HasPrefix(s.ID.String(), typed) {
			found, count = s, count+1
		}
	}
	switch count {
	case 0:
		return found, failure(fmt.Sprintf("no session called %q is open", typed), "peerbrain sessions")
	case 1:
		return found, nil
	}
	return found, failure(fmt.Sprintf("%d sessions begin with %q", count, typed), "peerbrain sessions --json shows their whole ids")
}
