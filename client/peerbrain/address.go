package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// oneAddress demands exactly one address. The words that are too many are not
// repeated: a password may be among them.
func oneAddress(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage("whose address is missing", cmd.CommandPath()+" bob@node.example")
	case len(args) > 1:
		return usage("one address was expected, and nothing after it", cmd.CommandPath()+" --help")
	}
	_, err := addressOf(cmd, args[0])
	return err
}

// addressOf parses an address, and proposes the one that was probably meant.
func addressOf(cmd *cobra.Command, s string) (wire.Address, error) {
	addr, err := wire.ParseAddress(s)
	if err == nil {
		return addr, nil
	}
	what := detail(err)
	if near, ok := nearAddress(s); ok {
		return addr, usage(what, fmt.Sprintf("did you mean: %s %s", cmd.CommandPath(), near))
	}
	return addr, usage(what, "an address is NAME@NODE, such as bob@node.example")
}

// nearAddress finds the address in s by undoing what people commonly do to one.
func nearAddress(s string) (wire.Address, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	for _, prefix := range []string{"https://", "http://", "mailto:", "acct:", "@"} {
		s = strings.TrimPrefix(s, prefix)
	}
	s = strings.Trim(s, " ./,;:<>\"'")
	handle, node, ok := strings.Cut(s, "@")
	switch host, path, isLink := strings.Cut(s, "/"); {
	case isLink && !strings.Contains(host, "@"):
		s = strings.TrimPrefix(path, "@") + "@" + host
	case ok:
		node = strings.TrimPrefix(strings.TrimPrefix(node, "https://"), "http://")
		if port, ok := strings.CutPrefix(node, "127.0.0.1"); ok {
			node = "localhost" + port
		}
		node = strings.TrimSuffix(strings.TrimSuffix(node, ":443"), ".")
		s = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(handle, "-", "_"), ".", "_"), "_ ") + "@" + strings.TrimSpace(node)
	}
	addr, err := wire.ParseAddress(s)
	return addr, err == nil
}
