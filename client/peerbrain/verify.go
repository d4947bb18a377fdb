package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// verifyFlags are the flags of friend verify as they are typed.
type verifyFlags struct {
	number string
	qr     bool
}

func (a *app) friendVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify ADDRESS",
		Short: "Compare keys with somebody in person",
		Long: `Compare keys with somebody in person.

It shows the safety number of the two of you: 60 digits that are the same on both
sides if nobody stands between you, and others if a node has shown either of you
false keys. Meet or call each other, both type this command, and compare. Whoever
says that they are the same marks the other as verified, on all their devices.

With --safety-number the number that the other one sees is compared for you: as it
is read out, with or without spaces and dashes, or as a camera reads the QR code.
Where it is another one, nothing is marked, and the status is 1.

When the keys of somebody have changed, the new ones are not used before you
compare again.

The QR code brings its own black and white. Where a terminal has no colours
(NO_COLOR), it is drawn for a dark ground, or for a light one if COLORFGBG says so.`,
		Example: `  peerbrain friend verify bob@node.example
  peerbrain friend verify bob@node.example --safety-number "12345 67890 12345 67890 12345 67890 12345 67890 12345 67890 12345 67890"`,
		Args: oneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := addressOf(cmd, args[0])
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("safety-number") {
				return a.person(cmd.Context(), func(p *client.Person) error { return a.compare(cmd.Context(), p, who, f.qr) })
			}
			number, err := client.ParseSafetyNumber(f.number)
			if err != nil {
				return usage("this is no safety number: "+detail(err), "type what "+string(who.Handle)+" sees: --safety-number \"12345 67890 ...\", 60 digits")
			}
			return a.person(cmd.Context(), func(p *client.Person) error { return a.verify(cmd.Context(), p, who, number) })
		},
	}
	cmd.Flags().StringVar(&f.number, "safety-number", "", "the `NUMBER` that the other one sees, or what their QR code says")
	cmd.Flags().BoolVar(&f.qr, "qr", false, "draw the QR code also where the output is no terminal")
	return cmd
}

// verify marks somebody whose number is known to be number.
func (a *app) verify(ctx context.Context, p *client.Person, who wire.Address, number client.SafetyNumber) error {
	f, err := p.VerifyFriend(ctx, who, number)
	if errors.Is(err, client.ErrOtherNumber) {
		return differ(who, detail(err))
	}
	if err != nil {
		return a.explain(err, about{doing: "verify " + who.String(), words: verifyWords(who)})
	}
	a.undelivered(f)
	if a.json {
		return a.object(comparedJSON{friendOf(f), number.String(), number.Scanned()})
	}
	a.say("%s is verified.", f.Address)
	return nil
}

// compare shows the number, and at a terminal asks whether it is the same.
func (a *app) compare(ctx context.Context, p *client.Person, who wire.Address, qr bool) error {
	c, err := p.SafetyNumber(ctx, who)
	if err != nil {
		return a.explain(err, about{doing: "verify " + who.String(), words: verifyWords(who)})
	}
	if c.Newer {
		a.note("the keys of %s have changed: this is the number of the new ones, which are not used before you compare it", who)
	}
	if a.json {
		return a.object(comparedJSON{friendOf(c.Friend), c.Number.String(), c.Number.Scanned()})
	}
	a.showNumber(p.Whoami().Address, c, qr)
	switch {
	case c.Verified:
		a.say("You have verified %s.", who)
		return nil
	case !a.asks:
		a.note("nothing is marked; to mark %s: peerbrain friend verify %s --safety-number NUMBER", who, who)
		return nil
	}
	same, err := a.sameNumber(ctx, who)
	switch {
	case err != nil:
		return a.explain(err, about{doing: "verify " + who.String()})
	case !same:
		return differ(who, "they see another number")
	}
	return a.verify(ctx, p, who, c.Number)
}

// showNumber prints the number in three lines of four groups, and the QR code.
func (a *app) showNumber(me wire.Address, c client.Comparison, qr bool) {
	a.say("The safety number of %s and %s:\n", me, c.Address)
	groups := c.Number.Groups()
	for ; len(groups) > 0; groups = groups[4:] {
		a.say("    %s", a.styled(bold, strings.Join(groups[:4], " ")))
	}
	a.say("")
	if a.shows || qr {
		a.say("%s", a.drawQR(c.Number.QR()))
	}
	a.say("%s sees it with: peerbrain friend verify %s", c.Address.Handle, me)
}

// sameNumber asks until it hears yes or no.
func (a *app) sameNumber(ctx context.Context, who wire.Address) (bool, error) {
	for range 3 {
		typed, err := a.ask(ctx, fmt.Sprintf("Does %s see the same number? yes or no: ", who.Handle))
		if err != nil && err != io.EOF {
			return false, err
		}
		switch strings.ToLower(typed) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
	}
	return false, failure("it was neither yes nor no; nothing is marked", "compare all 12 groups, and run the same command again")
}

// differ is for numbers that are not the same on both sides.
func differ(who wire.Address, what string) error {
	return failure(fmt.Sprintf("%s is not verified: %s", who, what),
		"compare once more what both of you see. If the numbers stay different, somebody may stand between you: end it with: peerbrain friend remove "+
			who.String()+"; and ask the operators of both nodes")
}

func verifyWords(who wire.Address) map[wire.Kind][2]string {
	return map[wire.Kind][2]string{
		wire.NotExist: {fmt.Sprintf("%s is neither your friend nor asked, and has not asked you", who), "there is nothing to compare yet: peerbrain friend add " + who.String()},
	}
}
