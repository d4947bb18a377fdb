//go:build race

package story_test

// stride shortens what takes ten times as long with the race detector.
const stride = 10
