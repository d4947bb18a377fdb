package story_test

import "testing"

// mongoKills is how often TestCrashOnMongoDB kills, unless MONGO_KILLS says it.
const mongoKills = 40

// TestCrashOnMongoDB is TestCrash with both nodes on MongoDB: what is killed are the
// nodes, and not the database, which has what it acknowledged. That many processes
// which change one record at once do it one after the other is not proved on a server
// that only speaks like MongoDB: mongotest says so where a test needs it.
func TestCrashOnMongoDB(t *testing.T) {
	points := without(failpoints(t), onlyEmbedded)
	judged(t, int(number(t, "MONGO_KILLS", mongoKills)), func() *crash {
		c := loadedCrash(t, points, onMongoDB(t))
		c.bins = []string{buildCrash(t, points)}
		return c
	})
}
