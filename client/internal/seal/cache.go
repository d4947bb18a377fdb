package seal

import "github.com/peerbrain/peerbrain/federation/wire"

type cachePlace struct {
	Name string `cbor:"1,keyasint"`
}

// SealCache seals a file of this device. name is the file's, valid UTF-8, so
// that two files cannot be swapped; an older version of the same file opens.
func SealCache(k CacheKey, name string, plaintext []byte) ([]byte, error) {
	return sealBytes("cache", k.secret, context(wire.LabelSealCache, &cachePlace{name}), plaintext)
}

// OpenCache opens what SealCache made.
func OpenCache(k CacheKey, name string, sealed []byte) ([]byte, error) {
	return openBytes("cache", k.secret, context(wire.LabelSealCache, &cachePlace{name}), sealed)
}
