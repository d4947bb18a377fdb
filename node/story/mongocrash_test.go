package story_test

import "testing"

const (
	mongoKills   = 40 // of TestCrashOnMongoDB, unless MONGO_KILLS says it
	mongoCouples = 4  // a server that only speaks like MongoDB answers more of them too late
)

// TestCrashOnMongoDB is TestCrash with both nodes on MongoDB: what is killed are the
// nodes, and not the database, which has what it acknowledged. That many processes
// which change one record at once do it one after the other is not proved on a server
// that only speaks like MongoDB: mongotest says so where a test needs it.
func TestCrashOnMongoDB(t *testing.T) {
	points := without(failpoints(t), onlyEmbedded)
	judged(t, int(number(t, "MONGO_KILLS", mongoKills)), func() *crash {
		c := loadedCrash(t, points, mongoCouples, onMongoDB(t))
		c.bins = []string{buildCrash(t, points)}
		return c
	})
}
