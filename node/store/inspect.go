package store

import "context"

// An Inspector is a Store that can look at what its records lie in. A check of a
// node asks it; a Store need not be one.
type Inspector interface {
	// Inspect returns what is wrong there, in no order. Nobody writes meanwhile. An
	// error is trouble below the store.
	Inspect(ctx context.Context) ([]Flaw, error)
}

// A Flaw is something wrong in what records lie in. What it led to, nobody can
// tell: what a record is, or that there is none, may be as it was at another time.
type Flaw struct {
	Place   string // such as "page 12"
	Problem string
}
