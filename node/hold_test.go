package node

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// answered is what was answered to a request.
type answered struct {
	status int
	header http.Header // nil where there was no HTTP
	body   []byte
}

// The types of files of the page.
const (
	mediaHTML   = "text/html; charset=utf-8"
	mediaScript = "text/javascript; charset=utf-8"
	mediaAny    = "*/*"
)

// hold fails the test unless the answer to a request is one that the file
// describes, and the request one that may be answered so.
func hold(t testing.TB, method, target string, request []byte, got answered) {
	t.Helper()
	s := theSpec(t)
	op, parameters, ok := s.find(method, target)
	if !ok {
		holdNowhere(t, method+" "+target, got)
		return
	}
	want, ok := op.responses[got.status]
	if !ok {
		t.Errorf("%s: status %d is not in openapi.yaml: %.300s", op.name, got.status, got.body)
		return
	}
	var faults []string
	switch {
	case slices.Contains([]string{wire.MediaEvents, wire.MediaText, wire.MediaOctets, wire.MediaLogSize, mediaHTML, mediaScript, mediaAny}, want.media): // which is no JSON
	case want.schema != nil:
		faults = s.jsonFaults(want.schema, got.body)
	case len(got.body) > 0:
		faults = []string{"there should be no body"}
	}
	if got.status < 300 {
		faults = append(faults, s.requestFaults(op, parameters, request)...)
	}
	if got.header != nil {
		faults = append(faults, headerFaults(want, got)...)
	}
	for _, fault := range faults {
		t.Errorf("%s: answer %d is not as in openapi.yaml: %s", op.name, got.status, fault)
	}
	if want.media == wire.MediaProblem {
		var p wire.Problem
		if err := wire.DecodeJSON(got.body, &p); err != nil {
			t.Errorf("%s: %v", op.name, err)
		}
		told.note(op.name, got.status, p.Code)
	} else {
		told.note(op.name, got.status, "")
	}
}

// headerFaults holds the headers of an answer to the file.
func headerFaults(want response, got answered) (faults []string) {
	if media := got.header.Get("Content-Type"); media != want.media && (want.media != mediaAny || media == "") {
		faults = append(faults, fmt.Sprintf("Content-Type %q, want %q", media, want.media))
	}
	var p wire.Problem
	if want.media == wire.MediaProblem {
		if err := wire.DecodeJSON(got.body, &p); err != nil {
			return append(faults, err.Error())
		}
	}
	retry := ""
	if p.Retry > 0 {
		retry = strconv.FormatInt(p.Retry, 10)
	}
	if after := got.header.Get("Retry-After"); after != retry {
		faults = append(faults, fmt.Sprintf("Retry-After %q, want %q", after, retry))
	}
	if scheme := got.header.Get("WWW-Authenticate"); (scheme == "Bearer") != (got.status == 401) {
		faults = append(faults, fmt.Sprintf("WWW-Authenticate %q with %d", scheme, got.status))
	}
	return faults
}

// holdNowhere is hold for a request that no operation is for.
func holdNowhere(t testing.TB, request string, got answered) {
	t.Helper()
	var p wire.Problem
	if err := wire.DecodeJSON(got.body, &p); err != nil {
		t.Errorf("%s: got %d %s: %v", request, got.status, got.body, err)
	}
	want := []wire.Kind{wire.NotExist, wire.Method, wire.Invalid, wire.Media}
	if _, target, _ := strings.Cut(request, " "); strings.HasPrefix(target, federationPrefix) {
		want = []wire.Kind{wire.Unauthenticated}
	}
	if !slices.Contains(want, p.Code) || p.Status != got.status {
		t.Errorf("%s, which is not in openapi.yaml: got %d %+v, want one of %q", request, got.status, p, want)
	}
}

// tally counts which answers tests got of each operation.
type tally struct {
	mu sync.Mutex
	of map[string]bool
}

var told = tally{of: map[string]bool{}}

func (c *tally) note(op string, status int, code wire.Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[fmt.Sprint(op, " ", status, " ", code)] = true
}
