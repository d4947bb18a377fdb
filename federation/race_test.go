//go:build race

package federation

import "testing"

// undetected leaves a test to runs without the race detector: it takes minutes with
// it, in one goroutine.
func undetected(t *testing.T) {
	t.Helper()
	t.Skip("not with the race detector")
}
