package store

import "fmt"

// CheckKey is for backends. It returns an ErrInvalid unless the key has 1 to
// MaxKey bytes, all of them printable ASCII without the space (0x21 to 0x7e):
// what every backend sorts in the same way and keeps unchanged.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("store: key %.40q has %d bytes, not 1 to %d: %w", key, len(key), MaxKey, ErrInvalid)
	}
	for i := range len(key) {
		if key[i] < 0x21 || key[i] > 0x7e {
			return fmt.Errorf("store: key %q is not printable ascii without spaces: %w", key, ErrInvalid)
		}
	}
	return nil
}

// Check is for backends. It returns an ErrInvalid if the key or the value is
// outside the limits.
func (c Change) Check() error {
	if err := CheckKey(c.Key); err != nil {
		return err
	}
	if len(c.Value) > MaxValue {
		return fmt.Errorf("store: value of %q has %d bytes, more than %d: %w", c.Key, len(c.Value), MaxValue, ErrInvalid)
	}
	return nil
}

// Check is for backends. It returns an ErrInvalid if a bound is not short
// ASCII or the limit is negative. Bounds that select nothing are valid.
func (q Query) Check() error {
	if q.Limit < 0 {
		return fmt.Errorf("store: limit %d is negative: %w", q.Limit, ErrInvalid)
	}
	for _, bound := range []string{q.From, q.To} {
		if len(bound) > MaxKey+1 {
			return fmt.Errorf("store: bound %.40q has %d bytes, more than %d: %w", bound, len(bound), MaxKey+1, ErrInvalid)
		}
		for i := range len(bound) {
			if bound[i] > 0x7f {
				return fmt.Errorf("store: bound %q is not ascii: %w", bound, ErrInvalid)
			}
		}
	}
	return nil
}
