package story_test

import (
	"os"
	"testing"
)

const mongoCouples = 4 // a server that only speaks like MongoDB answers more of them too late

// TestCrashOnMongoDB is TestCrash with both nodes on MongoDB: what is killed are the
// nodes, and not the database, which has what it acknowledged. That many processes
// which change one record at once do it one after the other is not proved on a server
// that only speaks like MongoDB: mongotest says so where a test needs it.
func TestCrashOnMongoDB(t *testing.T) {
	if os.Getenv("MONGO_KILLS") == "" {
		t.Skip("takes a quarter of an hour: run make mongo MONGO_KILLS=40")
	}
	points := without(failpoints(t), onlyEmbedded)
	judged(t, int(number(t, "MONGO_KILLS", 0)), func() *crash {
		c := loadedCrash(t, points, mongoCouples, onMongoDB(t))
		c.bins = []string{buildCrash(t, points)}
		return c
	})
}
