package federation

import (
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	// requestKeyValid is how long a request key counts after its document was
	// made. One is made at a start, unless one of the day before says the same.
	requestKeyValid = 400 * 24 * time.Hour
	// requestKeyEarly is how long before: clocks differ.
	requestKeyEarly = time.Hour
)

// DocumentOptions are what a node's document says beyond constants.
type DocumentOptions struct {
	Name     wire.NodeName
	Host     wire.NodeName // where the API is served; Name if empty
	Secrets  Secrets
	Last     uint64    // Number of the node's last document, 0 for the first
	Now      time.Time // its creation
	Software string    // such as peerbrain/0.1.0, at most 128 bytes
	Contact  string    // how to reach the operator, at most 256 bytes, or ""
}

// MakeDocument makes and signs the document that a node serves at
// wire.PathDocument. Its number is max(Last+1, Unix time in s), so that it grows
// even when Last was lost with a backup.
func MakeDocument(o DocumentOptions) (wire.Signed, error) {
	if o.Secrets.Root.IsZero() || o.Secrets.Request.IsZero() {
		return nil, wire.Errorf(wire.Invalid, "node document", "a root key and a request key are required")
	}
	if o.Host == "" {
		o.Host = o.Name
	}
	d := &wire.NodeDocument{
		Version: wire.Version,
		Suite:   wire.Suite,
		Name:    o.Name,
		Host:    o.Host,
		Root:    o.Secrets.Root.Public(),
		Keys: []wire.NodeKey{{
			Purpose:   wire.KeyForRequests,
			Key:       o.Secrets.Request.Public(),
			NotBefore: o.Now.Add(-requestKeyEarly).UnixMilli(),
			NotAfter:  o.Now.Add(requestKeyValid).UnixMilli(),
		}},
		Number:       max(o.Last+1, uint64(max(o.Now.Unix(), 0))),
		Software:     o.Software,
		OldestClient: 1,
		MaxPost:      wire.MaxSealedPost,
		Contact:      o.Contact,
		Created:      o.Now.UnixMilli(),
	}
	return d.Sign(o.Secrets.Root)
}
