package story_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// A server that only speaks like MongoDB may read a whole collection for each range of
// keys (FerretDB 1.24 does), and each request looks at one. So on a database the loop of
// kills has few people, short bursts, and every few kills nodes and databases that are
// new: what a request costs stays what it costs with a few hundred records.
const (
	mongoKills = 6 // where nobody says how many, half of them at places drawn by lot
	mongoLife  = 6
	mongoDeeds = 16
)

// TestCrashOnMongoDB is TestCrash with both nodes on MongoDB: what is killed are the
// nodes, and not the database, which has what it acknowledged. At the end of each life
// everything is compared, on both nodes. That many processes which change one record at
// once do it one after the other is not proved on a server that only speaks like
// MongoDB: mongotest says so where a test needs it.
func TestCrashOnMongoDB(t *testing.T) {
	arrange := onMongoDB(t)
	points, kills := without(failpoints(t), slices.Concat(onlyEmbedded, onlyMany)), int(number(t, "MONGO_KILLS", mongoKills))
	if os.Getenv("MONGO_KILLS") == "" {
		rand.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		points = points[:kills/2]
	}
	bin, all := buildCrash(t, points, changesOf(t, quickList)...), newCounts()
	t.Cleanup(func() { all.verdict(t, points) })
	for life := 0; !all.enough(kills, points) && !t.Failed(); life++ {
		t.Run(fmt.Sprint("life ", life+1), func(t *testing.T) {
			c := loadedCrash(t, points, [][2]int{{life % 2, life % 2}, {0, 1}}, arrange)
			c.bins, c.counts, c.before = []string{bin}, all, all.all()
			c.victim, c.deeds, c.passes, c.life = c.nodes[life%2], mongoDeeds, mongoDeeds, mongoLife
			c.run(kills)
			t.Logf("%d kills, %d acknowledged, after %s", all.kills(), all.all(), time.Since(all.start).Round(time.Second))
		})
	}
}
