package node

import (
	"context"
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
	// deviceCacheSize is of how many accounts the devices are remembered, 6 KB each
	// at most, so that a log-in from a new one does not read the others.
	deviceCacheSize = 1000
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
	return keyOf("device/", a, token.Hash(wire.LabelDeviceToken))
}

// knownDevice returns the key of the device of token, if it logged in to account
// before and is known, or nothing. It makes one look-up, whatever token is.
func (n *Node) knownDevice(ctx context.Context, account wire.AccountID, token *wire.Token) (key string, err error) {
	if token == nil {
		token = new(wire.Token)
	}
	var d device
	key = deviceKey(account, token)
	if _, err = read(ctx, n.own, key, &d); ignoreAbsent(err) != nil {
		return "", fmt.Errorf("look up device: %w", err)
	}
	if err != nil || !d.known(n.now()) {
		return "", nil
	}
	return key, nil
}

// devices are those of an account that are known: by the end of their key, the last
// log-in of each in ms since 1970.
type devices map[string]int64

// rememberDevice adds the changes that make the device under key known as of now, and
// returns the devices once they are made, if those are known. One that was not known yet
// takes the place of the one that has been away the longest, if there are too many.
// The caller holds the lock of the account, and hands the devices to keepDevices.
func (n *Node) rememberDevice(ctx context.Context, changes []store.Change, account wire.AccountID, key string, known bool) ([]store.Change, devices, error) {
	now, prefix := n.now(), key[:strings.LastIndexByte(key, '/')+1]
	changes = append(changes, put(key, &device{recordVersion, now.UnixMilli()}))
	list, kept := n.door.devices.Get(account)
	n.door.devices.Remove(account) // unless all goes well, they are read again
	if known && !kept {
		return changes, nil, nil
	}
	if !kept {
		var err error
		if list, err = n.readDevices(ctx, account); err != nil {
			return nil, nil, err
		}
	}
	list[key[len(prefix):]] = now.UnixMilli()
	for key, used := range list {
		if !(device{Used: used}).known(now) {
			changes = append(changes, store.Change{Key: prefix + key})
			delete(list, key)
		}
	}
	for len(list) > maxDevices {
		key := list.longestAway()
		changes = append(changes, store.Change{Key: prefix + key})
		delete(list, key)
	}
	return changes, list, nil
}

// keepDevices remembers the devices of an account, unless there may be another
// process of this node: it adds devices, and this one does not hear of that.
func (n *Node) keepDevices(account wire.AccountID, list devices) {
	if list != nil && n.news == nil {
		n.door.devices.Add(account, list)
	}
}

func (n *Node) readDevices(ctx context.Context, account wire.AccountID) (devices, error) {
	list, prefix := devices{}, devicePrefix(account)
	for rec, err := range n.own.Scan(ctx, store.Prefix(prefix)) {
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		var d device
		if err := decodeRecord(rec, &d); err != nil {
			return nil, err
		}
		list[strings.Clone(rec.Key[len(prefix):])] = d.Used
	}
	return list, nil
}

// longestAway is the device whose last log-in is the longest ago.
func (d devices) longestAway() (key string) {
	for k, used := range d {
		if key == "" || used < d[key] || used == d[key] && k < key {
			key = k
		}
	}
	return key
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
