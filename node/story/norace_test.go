//go:build !race

package story_test

const stride = 1
