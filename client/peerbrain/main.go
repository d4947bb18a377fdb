// Peerbrain is one person at the command line: it makes the account, keeps the
// session of this device, and shows posts in the clear, which no node can.
//
// It refuses to take a password as an argument, where other people of the
// machine could see it, and to print what others wrote without taking the
// teeth out of it. Everything it does it does through package client; what
// stands here is words, flags and exit statuses. Scripts may rely on the
// commands, on --json and on the statuses: 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for anything
	os.Exit(run(ctx, systemConsole(), os.Args[1:]))
}
