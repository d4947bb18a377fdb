package main

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten knows of one secret that this command has as plain
// text: the recovery codes of the demo's people, to look for in the nodes' files.
func TestSecretsAreNotWritten(t *testing.T) {
	secrettest.Table{Open: []string{"story.codes"}}.Test(t)
}
