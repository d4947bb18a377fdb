package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	defaultLimit = 20
	maxLimit     = 1000
)

const pageHelp = `
Newest first. When there is more, the way to it is shown at the end: with --json
the last line is then {"cursor":"..."}, and --before takes it. A cursor stays
good while new posts arrive.`

// pageFlags gives cmd the flags that choose a part of a list of posts.
func pageFlags(cmd *cobra.Command, o *client.FeedOptions) {
	cmd.Flags().IntVar(&o.Limit, "limit", defaultLimit, "show at most `N` posts, 1 to 1000")
	cmd.Flags().StringVar(&o.Before, "before", "", "show what is older than `CURSOR`, printed by the page before")
}

func checkPage(cmd *cobra.Command, o client.FeedOptions) error {
	if o.Limit < 1 || o.Limit > maxLimit {
		return usage(fmt.Sprintf("--limit is 1 to %d, not %d", maxLimit, o.Limit), fmt.Sprintf("%s --limit %d", cmd.CommandPath(), min(max(o.Limit, 1), maxLimit)))
	}
	return nil
}

func (a *app) feed() *cobra.Command {
	var page client.FeedOptions
	var follow bool
	cmd := &cobra.Command{
		Use:     "feed",
		Short:   "Read what your friends and you wrote",
		Long:    "Read what your friends and you wrote.\n" + pageHelp + followHelp,
		Example: "  peerbrain feed\n  peerbrain feed --follow\n  peerbrain feed --limit 100 --json",
		Args:    noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPage(cmd, page); err != nil {
				return err
			}
			if follow && page.Before != "" {
				return usage("--follow begins with the newest posts, so --before does not go with it", "peerbrain feed --follow")
			}
			if follow {
				return a.follow(cmd.Context(), page)
			}
			return a.person(cmd.Context(), func(p *client.Person) error {
				posts, err := p.Feed(cmd.Context(), page)
				if err != nil {
					return a.explain(err, about{doing: "read the feed", words: cursorWords(page)})
				}
				return a.page(posts, nextPage("peerbrain feed", page), "Nothing to read yet. Write something: peerbrain post \"hello\"")
			})
		},
	}
	pageFlags(cmd, &page)
	cmd.Flags().BoolVar(&follow, "follow", false, "show the newest posts, the oldest of them first, and new ones as they come")
	return cmd
}

func (a *app) read() *cobra.Command {
	var page client.FeedOptions
	cmd := &cobra.Command{
		Use:     "read ADDRESS",
		Short:   "Read what one person wrote",
		Long:    "Read what one person wrote: a friend, or yourself.\n" + pageHelp,
		Example: "  peerbrain read bob@node.example\n  peerbrain read bob@node.example --limit 100 --json",
		Args:    oneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := addressOf(cmd, args[0])
			if err != nil {
				return err
			}
			if err := checkPage(cmd, page); err != nil {
				return err
			}
			return a.person(cmd.Context(), func(p *client.Person) error {
				posts, err := p.Read(cmd.Context(), who, page)
				if err != nil {
					words := cursorWords(page)
					words[wire.NotExist] = [2]string{
						fmt.Sprintf("nothing of %s is open to you", who),
						fmt.Sprintf("only friends read each other: peerbrain friend add %s", who),
					}
					return a.explain(err, about{doing: "read " + who.String(), words: words})
				}
				return a.page(posts, nextPage("peerbrain read "+who.String(), page), fmt.Sprintf("%s has written nothing yet.", who))
			})
		},
	}
	pageFlags(cmd, &page)
	return cmd
}

// cursorWords is what a refusal means where a cursor was given.
func cursorWords(page client.FeedOptions) map[wire.Kind][2]string {
	words := make(map[wire.Kind][2]string)
	if page.Before != "" {
		words[wire.Invalid] = [2]string{"this cursor is not one that this list gave", "leave --before out to begin with the newest post"}
	}
	return words
}

// nextPage is the command for the next page, but for its cursor.
func nextPage(command string, o client.FeedOptions) string {
	if o.Limit != defaultLimit {
		command += fmt.Sprintf(" --limit %d", o.Limit)
	}
	return command + " --before"
}

// page prints a part of a list, and how to get the next one.
func (a *app) page(page client.FeedPage, command, empty string) error {
	for _, n := range page.Notices {
		a.note("%s", n)
	}
	for _, p := range page.Posts {
		if err := a.post(p); err != nil {
			return err
		}
	}
	if page.Hidden > 0 {
		a.note("posts from before the friendship that are not open to you: %d", page.Hidden)
	}
	switch {
	case page.Cursor != "" && a.json:
		if err := a.object(cursorJSON{page.Cursor}); err != nil {
			return err
		}
	case page.Cursor != "":
		fmt.Fprintf(a.err, "more: %s %s\n", command, oneLine(page.Cursor))
	case len(page.Posts)+len(page.Problems)+len(page.Notices)+page.Hidden == 0 && !a.json:
		a.say("%s", empty)
	}
	return a.explain(errors.Join(page.Problems...), about{doing: "show everything"})
}

func (a *app) show() *cobra.Command {
	return &cobra.Command{
		Use:     "show POST",
		Short:   "Show one post",
		Long:    "Show one post by its id: the 52 characters under it in the feed.",
		Example: "  peerbrain show " + exampleID,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("the id of one post was expected", "ids stand under the posts in: peerbrain feed")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := wire.ParseEntryID(args[0])
			if err != nil {
				return usage(detail(err), "ids stand under the posts in: peerbrain feed")
			}
			return a.person(cmd.Context(), func(p *client.Person) error {
				post, err := p.Show(cmd.Context(), id)
				if err != nil {
					return a.explain(err, about{doing: "show the post", words: map[wire.Kind][2]string{
						wire.NotExist: {"there is no such post, or it is not open to you", "what you can read is in: peerbrain feed"},
					}})
				}
				return a.post(post)
			})
		},
	}
}

// exampleID has the shape of an id and is none.
const exampleID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
