package federation

import (
	"time"

	"github.com/peerbrain/peerbrain/federation/wire"
)

const (
	// requestKeyValid is how long the newest request key counts after its document
	// was made: longer than a node may go on with one key (package node).
	requestKeyValid = 400 * 24 * time.Hour
	// requestKeyEarly is how long before: clocks differ.
	requestKeyEarly = time.Hour
)

// DocumentOptions are what a node's document says beyond constants.
type DocumentOptions struct {
	Name     wire.NodeName
	Host     wire.NodeName // where the API is served; Name if empty
	Secrets  Secrets
	Keys     []wire.NodeKey // of ListKeys; the key of Secrets, new, if empty
	Last     uint64         // Number of the node's last document, 0 for the first
	Now      time.Time      // its creation
	Software string         // such as peerbrain/0.1.0, at most 128 bytes
	Contact  string         // how to reach the operator, at most 256 bytes, or ""
	Log      *wire.NodeLog  // the node's transparency log, nil for none
	LogKey   wire.NodeLogKey
	Witness  *wire.NodeKey // by which the node cosigns checkpoints of other logs, nil for none
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
	if len(o.Keys) == 0 {
		o.Keys = ListKeys(nil, []wire.NodeRequestKey{o.Secrets.Request.Public()}, o.Now)
	}
	d := &wire.NodeDocument{
		Version:      wire.Version,
		Suite:        wire.Suite,
		Name:         o.Name,
		Host:         o.Host,
		Root:         o.Secrets.Root.Public(),
		Keys:         o.keys(),
		Number:       nextNumber(o.Last, o.Now),
		Software:     o.Software,
		OldestClient: 1,
		MaxPost:      wire.MaxSealedPost,
		Contact:      o.Contact,
		Created:      o.Now.UnixMilli(),
		Log:          o.Log,
	}
	return d.Sign(o.Secrets.Root)
}

// keys returns the request keys, and those of the log and of the witness. A checkpoint says no time, so the
// key of a log counts as long as it stands in the document.
func (o *DocumentOptions) keys() []wire.NodeKey {
	all := o.Keys[:len(o.Keys):len(o.Keys)]
	if o.Log != nil {
		from := int64(o.Log.Number) * 1000 // when the log was begun, or later
		all = append(all, wire.NodeKey{
			Purpose: wire.KeyForLog, Key: wire.NodeRequestKey(o.LogKey), NotBefore: min(from, wire.MaxTime-1), NotAfter: wire.MaxTime,
		})
	}
	if o.Witness != nil {
		all = append(all, *o.Witness)
	}
	return all
}

// Relist makes the document that follows last, under root, and differs from it in its
// request keys and its root only.
func Relist(last *wire.NodeDocument, root wire.NodeRootSecret, keys []wire.NodeKey, now time.Time) (*wire.NodeDocument, wire.Signed, error) {
	d := *last
	for _, k := range last.Keys {
		if k.Purpose != wire.KeyForRequests {
			keys = append(keys[:len(keys):len(keys)], k)
		}
	}
	d.Root, d.Keys, d.Number, d.Created = root.Public(), keys, nextNumber(last.Number, now), now.UnixMilli()
	signed, err := d.Sign(root)
	return &d, signed, err
}

func nextNumber(last uint64, now time.Time) uint64 {
	return max(last+1, uint64(max(now.Unix(), 0)))
}
