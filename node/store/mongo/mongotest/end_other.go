//go:build !linux

package mongotest

import "os/exec"

// endWithUs does nothing: a server outlives tests that are killed.
func endWithUs(*exec.Cmd) {}
