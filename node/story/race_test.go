//go:build race

package story_test

import "testing"

// stride shortens what takes ten times as long with the race detector.
const stride = 10

// detector has the processes of the story looked at, too. One that finds a race ends.
var detector = []string{"-race"}

// undetected leaves a test to runs without the race detector: it takes minutes with
// it, or builds nodes without it.
func undetected(t *testing.T) {
	t.Helper()
	t.Skip("not with the race detector")
}
