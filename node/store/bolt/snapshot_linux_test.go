package bolt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMappingHasRoom looks at what the kernel has mapped: a file that outgrew its
// mapping would wait for a backup that is under way, and everybody for that.
func TestMappingHasRoom(t *testing.T) {
	s := open(t, t.TempDir())
	for range 2 { // a new file, and one that was there
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		path := s.db.Path()
		var size uint64
		for line := range strings.Lines(string(maps)) {
			var from, to uint64
			if strings.HasSuffix(strings.TrimSpace(line), path) {
				if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
					t.Fatal(err)
				}
				size = max(size, to-from)
			}
		}
		if size < mappingRoom {
			t.Errorf("%d bytes are mapped, want %d and the file", size, uint64(mappingRoom))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, filepath.Dir(path))
	}
}
