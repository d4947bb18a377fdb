//go:build js

// Small is what the tests of the build compile.
package main

func main() { println("small") }
