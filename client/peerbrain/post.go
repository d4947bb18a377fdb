package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// friendsAudience is who reads a post: all friends.
const friendsAudience = "friends"

func (a *app) postCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "post [TEXT|-]",
		Short: "Write to your friends",
		Long: fmt.Sprintf(`Write to your friends.

The text is an argument, or is read from standard input with - (one line break
at its end does not count); at a terminal without an argument it is typed, until
Ctrl-D. It has at most %d bytes of UTF-8. The command returns when your node has
the post on disk, encrypted.`, client.MaxText),
		Example: `  peerbrain post "hello, friends"
  peerbrain post - < letter.txt
  fortune | peerbrain post -`,
		Args: oneText,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.text(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.person(cmd.Context(), func(p *client.Person) error {
				posted, err := p.Post(cmd.Context(), text, friendsAudience)
				if err != nil {
					return a.explain(err, about{doing: "post", words: map[wire.Kind][2]string{
						wire.TooLarge: tooLarge(len(text)),
					}})
				}
				if a.json {
					return a.object(postedOf(posted))
				}
				a.say("Posted to %s: %s", oneLine(posted.Audience), posted.ID)
				return nil
			})
		},
	}
}

func oneText(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("one text was expected; spaces in it need quotes", cmd.CommandPath()+" "+quoted([]string{strings.Join(args, " ")}))
	}
	return nil
}

func tooLarge(size int) [2]string {
	return [2]string{
		fmt.Sprintf("a post has at most %d bytes; this one has %d", client.MaxText, size),
		"make several posts of it",
	}
}

// text gets the text of a post from where the arguments say, and checks it.
func (a *app) text(ctx context.Context, args []string) (string, error) {
	text, err := a.rawText(ctx, args)
	if err != nil {
		return "", err
	}
	switch {
	case len(text) > client.MaxText:
		words := tooLarge(len(text))
		return "", failure(words[0], words[1])
	case !utf8.ValidString(text):
		return "", failure("a post is text in UTF-8, and this is not", "convert it, for example: iconv -f LATIN1 -t UTF-8 letter.txt | peerbrain post -")
	case strings.TrimSpace(text) == "":
		return "", failure("the post is empty", `peerbrain post "hello"`)
	}
	return text, nil
}

func (a *app) rawText(ctx context.Context, args []string) (string, error) {
	switch {
	case len(args) == 1 && args[0] != "-":
		return args[0], nil
	case len(args) == 0 && !a.asks:
		return "", usage("the text is missing", `peerbrain post "hello", or peerbrain post - to read it from standard input`)
	case a.asks:
		fmt.Fprintln(a.prompt, "Type your post, then Ctrl-D on a line of its own:")
	}
	raw, err := interruptible(ctx, func() ([]byte, error) { return readText(a.in) })
	if err != nil {
		return "", a.explain(err, about{doing: "read the text"})
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), nil
}

// readText reads all of r, and counts what is too long without keeping it.
func readText(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, client.MaxText+2)) // a line break may follow
	if err != nil || len(raw) < client.MaxText+2 {
		return raw, err
	}
	more, err := io.Copy(io.Discard, r)
	if err != nil || more == 0 {
		return raw, err
	}
	words := tooLarge(len(raw) + int(more))
	return nil, errors.Join(failure(words[0], words[1]))
}
