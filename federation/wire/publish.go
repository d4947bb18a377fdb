package wire

import (
	"bytes"
	"slices"
	"strconv"
)

// Posts are most of what a node takes in, each as EncodeJSON writes it. That one
// spelling is read and answered here by cutting and joining; every other text is
// left to the strict decoder (TestPublishPlain).

// decodePlain reads b if it is what EncodeJSON writes for a request without ends.
// Base64url has no quotes and no escapes, so what decodes is a whole member.
func (r *PublishRequest) decodePlain(b []byte) bool {
	b, begins := bytes.CutPrefix(b, []byte(`{"entry":{"header":"`))
	header, b, split := bytes.Cut(b, []byte(`","body":"`))
	body, ends := bytes.CutSuffix(b, []byte(`"}}`))
	if !begins || !split || !ends {
		return false
	}
	var e Entry
	if e.Header.UnmarshalText(header) != nil || e.Body.UnmarshalText(body) != nil {
		return false
	}
	*r = PublishRequest{Entry: e}
	return true
}

// append is AppendJSON for the answer.
func (r *PublishReply) append(b []byte) []byte {
	b = append(slices.Grow(b, 128), `{"id":"`...)
	b = AppendID(b, r.ID)
	return append(strconv.AppendInt(append(b, `","arrival":`...), r.Arrival, 10), '}')
}
