package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peerbrain/peerbrain/client"
)

// An app is one run of the command: its console and what the global flags say.
type app struct {
	*console
	home string
	json bool
	who  string // whose session it is, once that is known

	codeFile string // with a code of the second factor; "" if the terminal is asked
}

// run executes one command and returns the exit status of the process.
func run(ctx context.Context, c *console, args []string) int {
	a := &app{console: c}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	return a.status(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	shown := false // the version
	root := &cobra.Command{
		Use:   "peerbrain",
		Short: "Write to your friends, and to nobody else",
		Long: `Write to your friends, and to nobody else.

Your posts are encrypted on this device for your friends. The nodes that store
and forward them, your own included, cannot read them.`,
		Example: `  peerbrain register ada@node.example      make an account
  peerbrain friend add bob@node.example    ask somebody for friendship
  peerbrain post "hello"                   write to all friends
  peerbrain feed                           read what they write`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if shown {
				a.say("%s %s", cmd.Name(), version())
				return nil
			}
			return cmd.Help()
		},
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
	}
	// Not cobra's own: with its template, text/template would be linked, which keeps the
	// linker from leaving out methods that nobody calls. That is 2 MB.
	root.Flags().BoolVarP(&shown, "version", "v", false, "version for peerbrain")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(flagFault(err), cmd.CommandPath()+" --help")
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "`folder` of the session (default: PEERBRAIN_HOME, else "+a.homeWords()+")")
	flags.BoolVar(&a.json, "json", false, "print one JSON object per line, and nothing else, on standard output")
	root.AddCommand(a.register(), a.login(), a.logout(), a.whoami(), a.passwd(), a.recover(), a.sessions(), a.secondFactor(), a.deleteAccount(), a.friend(), a.postCommand(), a.feed(), a.read(), a.show(), a.web(), a.load())
	return root
}

// flagFault is what is wrong with the flags. Of letters after a single dash only
// the first is repeated: the rest may be a password.
func flagFault(err error) string {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return "unknown flag: -" + unknown.GetSpecifiedName()
	}
	return err.Error()
}

// homeWords names the default home in words that hold for every user.
func (a *app) homeWords() string {
	if runtime.GOOS == "linux" {
		return "~/.config/peerbrain"
	}
	return "peerbrain in the system's config folder"
}

// folder is where the session of this run is kept.
func (a *app) folder() (string, error) {
	if a.home != "" {
		return a.home, nil
	}
	if home := a.env("PEERBRAIN_HOME"); home != "" {
		return home, nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", usage("the system names no config folder: "+err.Error(), "name a folder with --home DIR or PEERBRAIN_HOME")
	}
	return filepath.Join(config, "peerbrain"), nil
}

// client opens the home and runs do with it. Two commands at once in one home
// wait for each other.
func (a *app) client(ctx context.Context, do func(*client.Client) error) error {
	dir, err := a.folder()
	if err != nil {
		return err
	}
	patience := time.AfterFunc(time.Second, func() { a.note("waiting for another command that uses %s", dir) })
	folder, err := client.OpenFolder(ctx, dir)
	patience.Stop()
	if err != nil {
		return a.explain(err, about{doing: "open " + dir})
	}
	defer folder.Close()
	return do(client.New(client.NewHTTPTransport(), folder, client.WithCodes(a.code)))
}

// person resumes the session of this home and runs do with it.
func (a *app) person(ctx context.Context, do func(*client.Person) error) error {
	return a.client(ctx, func(c *client.Client) error {
		p, err := c.Resume(ctx)
		if err != nil {
			return a.explain(err, about{doing: "open the session"})
		}
		a.who = p.Whoami().Address.String()
		defer a.notes(p)
		return do(p)
	})
}

// notes prints what a person should know of what was done.
func (a *app) notes(p *client.Person) {
	for _, note := range p.Notes() {
		a.note("%s", note)
	}
}

// noSuchCommand refuses words where a command was expected.
func (a *app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = strings.TrimSpace(cmd.CommandPath() + " " + near[0] + " " + quoted(args[1:]))
	}
	return usage(fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0]), hint)
}

// quoted writes args as a shell would take them.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return !strings.ContainsRune(unquoted, r) }) {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"

// version is what the build says of itself.
func version() string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s (%s %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
