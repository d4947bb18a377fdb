//go:build !race

package federation

import "testing"

func undetected(*testing.T) {}
