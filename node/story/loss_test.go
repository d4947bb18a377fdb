package story_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A loss stands in front of nodes and loses answers. What was asked for is
// done, and who asked does not hear of it.
type loss struct {
	mu   sync.Mutex
	off  bool
	lost map[string]bool // requests of this act whose answer was lost already
	all  int             // how many answers were lost in the whole story
}

// next begins an act: every kind of request loses its answer once again. One
// registration is enough, since each attempt costs two times Argon2id.
func (l *loss) next(a act) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = make(map[string]bool)
	l.off = a.words[0] == "register" && a.who != "ada"
}

// end lets everything through from here on, and says how many answers were lost.
func (l *loss) end() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	return l.all
}

var errLost = errors.New("the answer is lost")

// answer loses the first answer to each kind of request of an act, except nodes'
// documents: those are asked for at most once a minute at the wish of another.
func (l *loss) answer(r *http.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := r.Host + " " + r.Method + " " + r.URL.Path
	if l.off || l.lost[kind] || r.URL.Path == wire.PathDocument {
		return nil
	}
	l.lost[kind] = true
	l.all++
	return errLost
}

// of returns what goes through to s, with the losses.
func (l *loss) of(*server) http.RoundTripper { return losing{l, direct()} }

type losing struct {
	*loss
	direct http.RoundTripper
}

func (l losing) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.direct.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := l.answer(r); err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	return response, nil
}

// TestLostAnswers tells the story while in each act every kind of request,
// between people and nodes and between the nodes, loses its answer once. A
// command that failed is typed again, and in the end all is as if nothing had
// been lost: no post is missing, and none is there twice.
func TestLostAnswers(t *testing.T) {
	undetected(t)
	t.Parallel()
	l := &loss{lost: make(map[string]bool)}
	w := newWorld(t, front(t, l.of))
	for i, a := range acts {
		l.next(a)
		if err := w.play(a); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	if all := l.end(); all < 2*len(acts) {
		t.Errorf("%d answers were lost in %d acts, too few to show anything", all, len(acts))
	}
	w.curtain()
}
