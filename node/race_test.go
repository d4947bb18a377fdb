//go:build race

package node

import "testing"

// stride shortens what takes ten times as long with the race detector.
const stride = 10

// undetected leaves a test to runs without the race detector: it takes minutes with
// it, and what may race there has other tests.
func undetected(t *testing.T) {
	t.Helper()
	t.Skip("not with the race detector")
}
