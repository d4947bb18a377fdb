package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peerbrain/peerbrain/client/internal/load"
	"github.com/peerbrain/peerbrain/federation/wire"
)

// loadFlags are the flags of load as they are typed.
type loadFlags struct {
	flags                            *pflag.FlagSet
	o                                load.Options
	seconds, warmup, timeout, settle float64
	mix, ramp                        string
	p99                              time.Duration
	noCheck, capacity                bool
	overload                         float64
	report, plot                     string
}

func (a *app) load() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load --node URL...",
		Short: "Put load on your own nodes, and check what they do",
		Long: `Put load on your own nodes, and check what they do.

Many people are registered on one or more development nodes, made friends across
them, and post, read, log in and make friends for a while. Their keys come from
one seed, without Argon2id; what they write is sealed, wrapped and signed as by
any client. A table at the end tells rates and latencies.

In a closed loop (--clients) each client waits for its answer before it asks
again; in an open loop (--rate, --ramp) requests come whatever the node does, and
latency counts from when each was due. What could not be sent is told as unsent,
429 and 503 as refused.

With --watch people hold event streams, as who leaves feed --follow open: rows of
their own tell how long a post took from when it was due until they had opened it.

--find-capacity looks for the highest rate at which 99 of 100 operations are done
within --p99: about ten steps of --warmup and --seconds. --overload 5 lets a
closed loop and five times its rate take three turns each, and compares them.

A checker reads beside the load, and reads everything back at the end: what was
acknowledged is there, once, as it was written. If it is not, the status is 1.`,
		Example: `  peerbrain load --node http://localhost:8081
  peerbrain load --node http://localhost:8081 --node http://localhost:8082 --people 1000 --friends 20 --seconds 60
  peerbrain load --node http://localhost:8081 --node http://localhost:8082 --people 200 --friends 20 --watch 100 --rate 50
  peerbrain load --node http://localhost:8081 --rate 500 --mix posts=10,feeds=80,logins=5,friendships=5 --plot load.svg
  peerbrain load --node http://localhost:8081 --ramp 10:5000:60 --report load.json
  peerbrain load --node http://localhost:8081 --posts 10000 --presign --clients 64 --json
  peerbrain load --node http://localhost:8081 --people 10000 --state people.state
  peerbrain load --node http://localhost:8081 --find-capacity --p99 30ms
  peerbrain load --node http://localhost:8081 --overload 5 --clients 64 --posts 50000 --presign`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(fmt.Sprintf("%s takes no argument but flags", cmd.CommandPath()), cmd.CommandPath()+" --node "+quoted(args))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.putLoad(cmd.Context(), &f) },
	}
	f.define(cmd.Flags())
	return cmd
}

func (f *loadFlags) define(flags *pflag.FlagSet) {
	o := &f.o
	f.flags = flags
	flags.StringArrayVar(&o.Nodes, "node", nil, "`URL` of a node, such as http://localhost:8081; once for each")
	flags.IntVar(&o.People, "people", 0, "how many people there are on all nodes together; 0 for those of --state, else 100")
	flags.IntVar(&o.Friends, "friends", -1, "how many friends each has; -1 for as many as in --state, else 10")
	flags.IntVar(&o.Watch, "watch", 0, "how many of the people hold an event stream, and see what friends post")
	flags.IntVar(&o.Posts, "posts", 0, "end after so many posts; 0 for no such end; with --overload, how many are signed before each turn")
	flags.Float64Var(&f.seconds, "seconds", 10, "how long is measured, in `seconds`")
	flags.Float64Var(&f.warmup, "warmup", 2, "how long the load is on before that, in `seconds`")
	flags.IntVar(&o.Clients, "clients", 16, "closed loop: how many ask at once")
	flags.Float64Var(&o.Rate, "rate", 0, "open loop: how many operations are due each second")
	flags.StringVar(&f.ramp, "ramp", "", "open loop: the rate rises or falls evenly, `FROM:TO:SECONDS`")
	flags.BoolVar(&o.Even, "even", false, "open loop: arrivals are even, not Poisson")
	flags.IntVar(&o.Outstanding, "outstanding", 1000, "open loop: how many requests may be under way, and as many again wait")
	flags.StringVar(&f.mix, "mix", "posts=100", "what is done, and how much of each: `posts=N,feeds=N,logins=N,friendships=N`")
	flags.IntVar(&o.Size, "size", 600, "bytes of the text of a post")
	flags.BoolVar(&o.Presign, "presign", false, "seal and sign all --posts beforehand")
	flags.BoolVar(&o.Ignore, "ignore-retry-after", false, "ask again at once when a node asks for patience")
	flags.Float64Var(&f.timeout, "timeout", 30, "how long one request may take, in `seconds`")
	flags.BoolVar(&f.noCheck, "no-check", false, "check nothing")
	flags.IntVar(&o.CheckEvery, "check-every", 10, "check one of so many acknowledgements and feed pages")
	flags.IntVar(&o.CheckPosts, "check-posts", 20_000, "read back so many posts at the end")
	flags.Float64Var(&f.settle, "settle", 60, "how long news may take to friends when the load is over, in `seconds`")
	flags.BoolVar(&f.capacity, "find-capacity", false, "find the highest rate that the nodes sustain; --seconds is the length of one step")
	flags.Float64Var(&f.overload, "overload", 0, "ask for so many `times` as much as a closed loop gets done, in turns with it, and compare")
	flags.DurationVar(&o.Within, "within", time.Second, "what is done within this `time` of when it was due counts as done in time")
	flags.DurationVar(&f.p99, "p99", 30*time.Millisecond, "latency that 99 of 100 operations keep within the capacity, a `time` such as 30ms")
	flags.StringVar(&o.State, "state", "", "keep the people in this `file`, use them again, and go on where a set-up was interrupted; it holds their keys")
	flags.StringVar(&f.report, "report", "", "write everything, second by second, as JSON to this `file`")
	flags.StringVar(&f.plot, "plot", "", "draw rate and latency over time as SVG to this `file`")
	flags.BoolVar(&o.Mine, "i-operate-this-node", false, "load nodes that are no development nodes")
}

// options are the flags as they are meant.
func (f *loadFlags) options() (o load.Options, err error) {
	o = f.o
	seconds := func(s float64) time.Duration { return time.Duration(min(max(s, -1), 1e9) * float64(time.Second)) }
	o.Length, o.Warmup, o.Timeout, o.Settle = seconds(f.seconds), seconds(f.warmup), seconds(f.timeout), seconds(f.settle)
	if f.noCheck {
		o.CheckEvery = 0
	}
	if f.ramp != "" {
		if o.Ramp, err = load.ParseRamp(f.ramp); err != nil {
			return o, err
		}
	}
	if o.Mix, err = load.ParseMix(f.mix); err != nil {
		return o, err
	}
	if f.capacity && (o.Rate != 0 || o.Ramp != load.Ramp{} || o.Presign || o.Posts != 0) {
		return o, wire.Errorf(wire.Invalid, "find-capacity", "it chooses the rate itself: without --rate, --ramp, --posts and --presign")
	}
	o.Varies = f.capacity || f.overload != 0
	if f.overload != 0 && (f.capacity || o.Rate != 0 || o.Ramp != load.Ramp{} || o.Posts != 0 && !o.Presign || !(f.overload >= 1 && f.overload <= 100)) {
		return o, wire.Errorf(wire.Invalid, "overload", "1 to 100 was expected, without --rate, --ramp and --find-capacity, and with --posts for --presign alone")
	}
	if f.p99 < time.Millisecond || f.p99 > time.Minute {
		return o, wire.Errorf(wire.Invalid, "p99", "1ms to 1m was expected, not %s", f.p99)
	}
	return o, nil
}

func (a *app) putLoad(ctx context.Context, f *loadFlags) error {
	o, err := f.options()
	if err != nil {
		return a.explainLoad(f, err)
	}
	if a.showsErr && !a.json {
		o.Progress = a.progress
	}
	l, err := load.Open(ctx, o)
	if err != nil {
		return a.explainLoad(f, err)
	}
	defer l.Close()
	var report *load.Report
	switch {
	case f.capacity:
		report = l.FindCapacity(ctx, f.p99)
	case f.overload > 0:
		report, err = l.Overload(ctx, f.overload)
	default:
		report, err = l.Run(ctx)
	}
	if err != nil {
		return a.explainLoad(f, err)
	}
	return a.loaded(l, f, report)
}

// loaded hands out the report.
func (a *app) loaded(l *load.Load, f *loadFlags, report *load.Report) error {
	a.endProgress()
	if err := errors.Join(l.Keep(), f.write(report)); err != nil {
		return a.explain(err, about{doing: "write what the load came to"})
	}
	if a.json {
		short := *report
		short.Series = nil
		if err := a.object(short); err != nil {
			return err
		}
	} else if err := report.Table(a.out); err != nil {
		return err
	}
	switch {
	case report.Failed():
		return failure("the nodes have not done what they acknowledged, or it could not be checked", "the lines above name it; --report FILE has everything")
	case report.Interrupted:
		return failure("interrupted", "")
	}
	return nil
}

// write writes the files that were asked for.
func (f *loadFlags) write(report *load.Report) error {
	var errs []error
	if f.report != "" {
		b, err := json.MarshalIndent(report, "", "  ")
		errs = append(errs, err, os.WriteFile(f.report, append(b, '\n'), 0o644))
	}
	if f.plot != "" {
		errs = append(errs, os.WriteFile(f.plot, report.Plot(), 0o644))
	}
	return errors.Join(errs...)
}

// progress rewrites the one line that tells how far things are.
func (a *app) progress(line string) { fmt.Fprint(a.err, "\r\x1b[K"+oneLine(line)) }

// endProgress clears that line for what is printed next.
func (a *app) endProgress() {
	if a.showsErr && !a.json {
		a.progress("")
	}
}

// explainLoad finds the words for what keeps a load from beginning.
func (a *app) explainLoad(f *loadFlags, err error) error {
	a.endProgress()
	var e *wire.Error
	if errors.Is(err, context.Canceled) {
		hint := ""
		if f.o.State != "" {
			hint = "the same command goes on where this one was"
		}
		return failure("interrupted before the load began", hint)
	}
	if !errors.As(err, &e) {
		return a.explain(err, about{doing: "put load on the nodes"})
	}
	switch e.Kind {
	case wire.Invalid:
		if f.flags.Lookup(e.Field) != nil {
			return usage("--"+e.Field+": "+e.Detail, "peerbrain load --help")
		}
	case wire.Forbidden:
		if e.Field == "node" {
			return failure(e.Detail, "if you operate it: --i-operate-this-node")
		}
		return failure("the node registers nobody: "+e.Detail, "open the registration of the node for as long as the load needs (registration: open)")
	case wire.Limit:
		if e.Field == "files" {
			return failure(e.Detail, "raise it (ulimit -n), or ask less at once: --clients, --outstanding, --watch")
		}
	case wire.Unavailable:
		if f.o.State != "" {
			return failure(e.Detail, "is the node running? When it is, the same command goes on where this one was")
		}
		return failure(e.Detail, "is the node running? For one of your own: peerbrain-node demo")
	}
	return a.explain(err, about{doing: "put load on the nodes"})
}
