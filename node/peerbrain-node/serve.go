package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peerbrain/peerbrain/client/web"
	"github.com/peerbrain/peerbrain/node"
)

func newServe() *cobra.Command {
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve a node until it is told to end",
		Long: `Serve a node until it is told to end.

Each key of the configuration file has a flag and a variable: log.level is
--log-level and PEERBRAIN_LOG_LEVEL. Flags count more than variables, and those
more than the file (--config or PEERBRAIN_CONFIG). The URI of MongoDB has no
flag, since others on the machine see those: it comes from the file or from
PEERBRAIN_STORE_MONGODB_URI.`,
		Example: `  # a node on this machine, for trying things out
  peerbrain-node serve --dev --listen 127.0.0.1:8081 --data ./node-a

  # a node behind a reverse proxy on the same machine
  peerbrain-node serve --name node.example --proxies 127.0.0.1

  # a node that speaks TLS by itself, with a certificate that it gets from a CA
  peerbrain-node serve --name node.example --listen :443 --tls-acme

  # a node as a file says
  peerbrain-node serve --config /etc/peerbrain/config.yaml`,
		Args: noArguments,
	}
	file := serve.Flags().String("config", "", "the `file` to read, YAML")
	addSettings(serve.Flags())
	serve.RunE = func(cmd *cobra.Command, _ []string) error {
		load := func() (node.Config, error) {
			return node.LoadConfig(sources(*file, cmd.Flags(), os.Environ()))
		}
		c, err := load()
		if err != nil {
			return usageError{err}
		}
		var level slog.LevelVar
		level.Set(c.Log.Level)
		log := newLog(cmd.ErrOrStderr(), c.Log.Format, &level)
		ctx, stop := context.WithCancel(cmd.Context())
		defer stop()
		hups := make(chan os.Signal, 1)
		signal.Notify(hups, syscall.SIGHUP)
		defer signal.Stop(hups)
		go reloadLevel(ctx, hups, load, &level, log)
		go tuneMemory(ctx)
		if c.Site, err = web.Embedded(); err != nil {
			return err
		}
		return node.Run(ctx, c, log, nil)
	}
	return serve
}

// addSettings gives keys of the configuration their flags, all of them if none is
// named.
func addSettings(flags *pflag.FlagSet, keys ...string) {
	for _, s := range node.Settings() {
		if s.Secret || len(keys) > 0 && !slices.Contains(keys, s.Key) {
			continue
		}
		usage := s.Usage + " (" + s.Env() + ")"
		if s.Switch {
			flags.Bool(s.Flag(), s.Default() == "true", usage)
		} else {
			flags.String(s.Flag(), s.Default(), usage)
		}
	}
}

// sources collects what was said on the command line and in the environment.
func sources(file string, flags *pflag.FlagSet, environ []string) node.Sources {
	if file == "" {
		file = os.Getenv("PEERBRAIN_CONFIG")
	}
	from := node.Sources{File: file, Env: environ, Flags: map[string]string{}}
	for _, s := range node.Settings() {
		if f := flags.Lookup(s.Flag()); f != nil && f.Changed {
			from.Flags[s.Key] = f.Value.String()
		}
	}
	return from
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// reloadLevel reads the level of the log again at each HUP, until ctx ends.
func reloadLevel(ctx context.Context, hups <-chan os.Signal, load func() (node.Config, error), level *slog.LevelVar, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hups:
		}
		c, err := load()
		if err != nil {
			log.Error("configuration not reloaded", "error", err)
			continue
		}
		level.Set(c.Log.Level)
		log.Warn("configuration reloaded", "log.level", c.Log.Level)
	}
}
