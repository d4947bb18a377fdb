package federation

import (
	"github.com/peerbrain/peerbrain/federation/wire"
)

// MaxRequest is the largest body of a request between nodes, in bytes.
const MaxRequest = 1 << 20

// A RawRequest is a request as it was received: nothing decoded, merged, sorted
// or normalised. Headers holds each header line, Host among them, in the order of
// arrival; Body is what lay on the wire, not inflated.
type RawRequest struct {
	Method  string
	Target  string
	Headers [][2]string
	Body    []byte
}

// A RawResponse is what is to be answered.
type RawResponse struct {
	Status      int
	ContentType string
	Body        []byte
	RetryAfter  int64 // s, for the header of that name; 0 for none
}

// A VerifiedRequest tells who asks. Only Server makes ones that name a node; the
// zero value names none.
type VerifiedRequest struct{ node wire.NodeName }

// Node returns the node whose signature was verified.
func (v VerifiedRequest) Node() wire.NodeName { return v.node }

func problem(err error) RawResponse {
	p := wire.ProblemOf(err)
	return RawResponse{Status: p.Status, ContentType: wire.MediaProblem, Body: wire.EncodeJSON(p), RetryAfter: p.Retry}
}
