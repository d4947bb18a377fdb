//go:build race

package client

// stride leaves out most of the cases of the long tests where the race detector
// makes each ten times as long.
const stride = 5
