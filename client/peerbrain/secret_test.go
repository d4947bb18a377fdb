package main

import (
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire/secrettest"
)

// TestSecretsAreNotWritten knows of the secrets that this command has as plain text,
// each for the one moment in which it is shown: the recovery code, and what the second
// factor is made of.
func TestSecretsAreNotWritten(t *testing.T) {
	secrettest.Table{Open: []string{"registeredJSON.RecoveryCode", "recoveredJSON.RecoveryCode", "authenticatorJSON.Secret", "backupJSON.Codes"}}.Test(t)
}
