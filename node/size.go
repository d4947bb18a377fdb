package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A CopiesConfig bounds what is copied from other nodes.
type CopiesConfig struct{ MaxBytes int64 }

const (
	// DefaultMaxCopies is how many bytes copies may take where nobody decided.
	DefaultMaxCopies int64 = 10 << 30
	minCopies        int64 = 1 << 20
	maxCopies        int64 = 1 << 50
)

func copiesSettings() []Setting {
	return []Setting{
		{Key: "copies.max_bytes", Usage: "`size` that copies from other nodes may take; those not read for longest go first",
			set: func(c *Config, s string) error {
				return parseInto(&c.Copies.MaxBytes, s, parseSize, "a size such as 500MiB, 10GiB or 1TiB")
			},
			get: func(c *Config) string { return formatSize(c.Copies.MaxBytes) }},
	}
}

func (c *Config) checkCopies() error {
	if c.Copies.MaxBytes < minCopies || c.Copies.MaxBytes > maxCopies {
		return fmt.Errorf("copies.max_bytes: %s was found, %s to %s was expected", formatSize(c.Copies.MaxBytes), formatSize(minCopies), formatSize(maxCopies))
	}
	return nil
}

// sizeUnits are powers of 1024, from the largest on.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// parseSize reads a whole number of bytes, or of a unit.
func parseSize(s string) (int64, error) {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err == nil && int64(n) > math.MaxInt64/unit.bytes {
			err = strconv.ErrRange
		}
		return int64(n) * unit.bytes, err
	}
	return 0, strconv.ErrSyntax
}

// formatSize writes a size in the largest unit that it is a whole number of.
func formatSize(size int64) string {
	for _, unit := range sizeUnits {
		if size%unit.bytes == 0 && size >= unit.bytes {
			return strconv.FormatInt(size/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(size, 10)
}
