package port

import (
	"strings"

	"github.com/peerbrain/peerbrain/client"
)

// A shownQR is the modules of a QR code, a row each: 1 is dark.
type shownQR struct {
	Size int      `json:"size"`
	Rows []string `json:"rows"`
}

func drawn(q client.QR) *shownQR {
	s := &shownQR{Size: q.Size()}
	for y := range q.Size() {
		var row strings.Builder
		for x := range q.Size() {
			if q.Dark(x, y) {
				row.WriteByte('1')
			} else {
				row.WriteByte('0')
			}
		}
		s.Rows = append(s.Rows, row.String())
	}
	return s
}
