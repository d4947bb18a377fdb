package client

// A Device keeps a client's files, private to its person. Names have 1 to 128 of
// a-z, 0-9 and -. An implementation need not be safe for several goroutines.
type Device interface {
	// Load returns what was saved last under name; fs.ErrNotExist for nothing.
	Load(name string) ([]byte, error)
	// Save replaces what is under name. When it returns, the data survives a
	// crash; a crash before leaves the old data whole.
	Save(name string, data []byte) error
	// Delete removes name; no error when there is nothing.
	Delete(name string) error
	// List returns the names that begin with prefix, sorted.
	List(prefix string) ([]string, error)
}
