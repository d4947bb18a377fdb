package node

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store/mongo/mongotest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(mongotest.M{M: m},
		// Of fasthttp: one goroutine for ever that keeps the text of the Date
		// header, and one of each server that sleeps up to 10 s before it sees
		// that the server has ended.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.Cleanup(func(code int) {
			if code == 0 {
				code = wantAllHeard()
			}
			os.Exit(code)
		}),
	)
}

// wantAllHeard returns 1, as an exit code, when all tests ran and some answer that
// docs/openapi.yaml lists was given to none of them: it is made up, or untested.
func wantAllHeard() int {
	for _, some := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.short"} {
		if v := flag.Lookup(some).Value.String(); v != "" && v != "false" {
			return 0
		}
	}
	s, err := loadSpec()
	if err != nil {
		return 1 // the tests have said so
	}
	missing := told.missing(s)
	for _, answer := range missing {
		fmt.Println("openapi.yaml lists an answer that no test got:", answer)
	}
	return min(1, len(missing))
}
