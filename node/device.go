package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/peerbrain/peerbrain/federation/wire"
	"github.com/peerbrain/peerbrain/node/store"
)

const (
	// deviceLifetime is how long a device is known that does not come back.
	deviceLifetime = 400 * 24 * time.Hour
	// maxDevices is how many devices of one account are known.
	maxDevices = 64
)

// A device is what the node keeps of a device that logged in, under
// device/<account>/<hash of its token>.
type device struct {
	Version uint64 `cbor:"1,keyasint"`
	Used    int64  `cbor:"2,keyasint"` // ms since 1970, its last log-in
}

func (d device) known(now time.Time) bool {
	return time.UnixMilli(d.Used).Add(deviceLifetime).After(now)
}

func devicePrefix(a wire.AccountID) string { return "device/" + a.String() + "/" }

func deviceKey(a wire.AccountID, token *wire.Token) string {
	return devicePrefix(a) + token.Hash(wire.LabelDeviceToken).String()
}

// knownDevice reports whether token is of a device that logged in to account
// before. It makes one look-up, whatever token is.
func (n *Node) knownDevice(ctx context.Context, account wire.AccountID, token *wire.Token) (bool, error) {
	if token == nil {
		token = new(wire.Token)
	}
	var d device
	_, err := read(ctx, n.own, deviceKey(account, token), &d)
	if errors.Is(err, wire.NotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up device: %w", err)
	}
	return d.known(n.now()), nil
}

// rememberDevice returns the changes that make the device of token known as of
// now. One that was not known yet takes the place of the one that has been away
// the longest, if there are too many.
func (n *Node) rememberDevice(ctx context.Context, account wire.AccountID, token wire.Token, known bool) ([]store.Change, error) {
	now := n.now()
	changes := []store.Change{put(deviceKey(account, &token), &device{recordVersion, now.UnixMilli()})}
	if known {
		return changes, nil
	}
	var count int
	var oldest string
	var since int64
	for rec, err := range n.own.Scan(ctx, store.Prefix(devicePrefix(account))) {
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		var d device
		if err := decodeRecord(rec, &d); err != nil {
			return nil, err
		}
		if !d.known(now) {
			changes = append(changes, store.Change{Key: strings.Clone(rec.Key)})
			continue
		}
		if count++; oldest == "" || d.Used < since {
			oldest, since = strings.Clone(rec.Key), d.Used
		}
	}
	if count >= maxDevices {
		changes = append(changes, store.Change{Key: oldest})
	}
	return changes, nil
}

func checkDeviceName(name string) error {
	if len(name) < 1 || len(name) > wire.MaxDeviceName || !utf8.ValidString(name) {
		return wire.Errorf(wire.Invalid, "device", "a name of 1 to %d bytes was expected", wire.MaxDeviceName)
	}
	for _, r := range name {
		if !unicode.IsGraphic(r) {
			return wire.Errorf(wire.Invalid, "device", "the name holds characters that cannot be shown")
		}
	}
	return nil
}
