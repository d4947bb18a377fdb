package main

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten knows of one secret that this command has as plain
// text: the recovery code, for the one moment in which it is shown.
func TestSecretsAreNotWritten(t *testing.T) {
	secrettest.Table{Open: []string{"registeredJSON.RecoveryCode", "recoveredJSON.RecoveryCode"}}.Test(t)
}
