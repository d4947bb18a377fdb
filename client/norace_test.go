//go:build !race

package client

const stride = 1
