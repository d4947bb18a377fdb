package client

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"syscall/js"

	"github.com/peerbrain/peerbrain/federation/wire"
)

// A Database is a Device in the browser's IndexedDB. What lies there is encrypted with
// AES-256-GCM, under a key that WebCrypto keeps beside it and gives out to nobody, with
// the name of the file as additional data: a copy of the browser's profile tells no
// post and no token to whoever just reads the files. Whoever can run the browser as its
// owner can open it.
//
// All pages of one origin share it. One at a time has it, for as long as it holds the
// lock that OpenDatabase waits for.
type Database struct {
	db     js.Value
	key    js.Value // a CryptoKey that cannot be exported
	unlock func()
	empty  bool // it was made just now, and nothing was saved yet
}

// The database, its two stores, and the one key.
const (
	databaseName  = "peerbrain"
	filesStore    = "files"
	keysStore     = "keys"
	deviceKeyName = "device"
	ivSize        = 12
)

// OpenDatabase waits until no other page uses the database, or until ctx ends.
func OpenDatabase(ctx context.Context) (*Database, error) {
	unlock, err := lockDatabase(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, deviceError(err)
	}
	d := &Database{unlock: unlock}
	if err = d.open(); err == nil {
		d.key, err = d.deviceKey()
	}
	if err != nil {
		d.Close()
		return nil, deviceError(err)
	}
	return d, nil
}

// lockDatabase takes the lock that pages of one origin share (Web Locks). The browser
// frees it when the page ends.
func lockDatabase(ctx context.Context) (unlock func(), err error) {
	locks := js.Global().Get("navigator").Get("locks")
	if locks.IsUndefined() {
		return nil, &rejected{"NotSupportedError", "it has no locks"}
	}
	abort := js.Global().Get("AbortController").New()
	held := make(chan js.Value, 1) // the function that ends the promise for which the lock is held
	promise := js.FuncOf(func(_ js.Value, args []js.Value) any {
		held <- args[0]
		return nil
	})
	granted := js.FuncOf(func(js.Value, []js.Value) any { return js.Global().Get("Promise").New(promise) })
	asked, err := try(locks, "request", databaseName, map[string]any{"signal": abort.Get("signal")}, granted)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := await(context.Background(), asked)
		granted.Release()
		promise.Release()
		ended <- err
	}()
	select {
	case release := <-held:
		return func() { release.Invoke(); <-ended }, nil
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		abort.Call("abort")
		select {
		case release := <-held:
			release.Invoke()
		case <-ended:
		}
		return nil, ctx.Err()
	}
}

// open opens the database, and makes its stores where it is new.
func (d *Database) open() error {
	factory := js.Global().Get("indexedDB")
	if factory.IsUndefined() || factory.IsNull() {
		return &rejected{"NotSupportedError", "it has no database"}
	}
	request, err := try(factory, "open", databaseName, 1)
	if err != nil {
		return err
	}
	upgrade := js.FuncOf(func(js.Value, []js.Value) any {
		d.empty = true
		for _, store := range []string{filesStore, keysStore} {
			request.Get("result").Call("createObjectStore", store)
		}
		return nil
	})
	defer upgrade.Release()
	request.Set("onupgradeneeded", upgrade)
	d.db, err = result(request)
	return err
}

// result waits for a request to a database.
func result(request js.Value) (js.Value, error) {
	_, err := wait(context.Background(), func(done, failed js.Func) {
		request.Set("onsuccess", done)
		request.Set("onerror", failed)
	})
	if err == nil {
		return request.Get("result"), nil
	}
	return js.Undefined(), rejectedOf(request.Get("error"))
}

// deviceKey returns the key that files are encrypted with, which it makes at first.
func (d *Database) deviceKey() (js.Value, error) {
	key, err := d.read(keysStore, "get", deviceKeyName)
	if err != nil || !key.IsUndefined() {
		return key, err
	}
	subtle := js.Global().Get("crypto").Get("subtle")
	if subtle.IsUndefined() {
		return key, &rejected{"NotSupportedError", "it has no cryptography for this page"}
	}
	made, err := try(subtle, "generateKey", map[string]any{"name": "AES-GCM", "length": 256}, false, []any{"encrypt", "decrypt"})
	if err != nil {
		return key, err
	}
	if key, err = await(context.Background(), made); err != nil {
		return key, err
	}
	return key, d.write(keysStore, "put", key, deviceKeyName)
}

// read asks one thing of a store.
func (d *Database) read(store, method string, args ...any) (js.Value, error) {
	tx, err := try(d.db, "transaction", store, "readonly")
	if err != nil {
		return js.Undefined(), err
	}
	request, err := try(tx.Call("objectStore", store), method, args...)
	if err != nil {
		return js.Undefined(), err
	}
	return result(request)
}

// write changes one thing in a store, and returns when it is on disk.
func (d *Database) write(store, method string, args ...any) error {
	tx, err := try(d.db, "transaction", store, "readwrite", map[string]any{"durability": "strict"})
	if err != nil {
		return err
	}
	if _, err := try(tx.Call("objectStore", store), method, args...); err != nil {
		return err
	}
	_, err = wait(context.Background(), func(done, failed js.Func) {
		tx.Set("oncomplete", done)
		tx.Set("onabort", failed)
	})
	if err != nil {
		return rejectedOf(tx.Get("error"))
	}
	return nil
}

// checkName refuses what no file is called.
func (d *Database) checkName(name string) error {
	if !d.db.Truthy() {
		return fs.ErrClosed
	}
	if len(name) < 1 || len(name) > 128 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return wire.Errorf(wire.Internal, "device", "%q is no name of a file", name)
	}
	return nil
}

// crypt encrypts or decrypts a file called name.
func (d *Database) crypt(method, name string, iv, data js.Value) (js.Value, error) {
	promise, err := try(js.Global().Get("crypto").Get("subtle"), method,
		map[string]any{"name": "AES-GCM", "iv": iv, "additionalData": arrayOf([]byte(name))}, d.key, data)
	if err != nil {
		return promise, err
	}
	return await(context.Background(), promise)
}

// Load is Device's.
func (d *Database) Load(name string) ([]byte, error) {
	if err := d.checkName(name); err != nil {
		return nil, err
	}
	kept, err := d.read(filesStore, "get", name)
	if err != nil {
		return nil, err
	}
	if kept.IsUndefined() {
		return nil, fs.ErrNotExist
	}
	iv, sealed := kept.Call("subarray", 0, ivSize), kept.Call("subarray", ivSize)
	plain, err := d.crypt("decrypt", name, iv, sealed)
	if err != nil {
		return nil, wire.Errorf(wire.Internal, "device", "the file %s on this device is damaged", name)
	}
	return bytesOf(plain), nil
}

// Save is Device's.
func (d *Database) Save(name string, data []byte) error {
	if err := d.checkName(name); err != nil {
		return err
	}
	iv := random()
	sealed, err := d.crypt("encrypt", name, arrayOf(iv[:ivSize]), arrayOf(data))
	if err != nil {
		return err
	}
	d.empty = false
	file := arrayOf(append(iv[:ivSize:ivSize], bytesOf(sealed)...))
	return d.write(filesStore, "put", file, name)
}

// Delete is Device's.
func (d *Database) Delete(name string) error {
	if err := d.checkName(name); err != nil {
		return err
	}
	return d.write(filesStore, "delete", name)
}

// List is Device's.
func (d *Database) List(prefix string) ([]string, error) {
	if !d.db.Truthy() {
		return nil, fs.ErrClosed
	}
	keys, err := d.read(filesStore, "getAllKeys")
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range keys.Length() {
		if name := keys.Index(i).String(); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remove closes the database and removes all of it, the key to what it held among that.
func (d *Database) Remove() error {
	d.empty = false
	d.db.Call("close")
	d.db = js.Undefined()
	defer d.Close()
	request, err := try(js.Global().Get("indexedDB"), "deleteDatabase", databaseName)
	if err == nil {
		_, err = result(request)
	}
	if err != nil {
		return deviceError(err)
	}
	return nil
}

// Close gives the database free for others. Where nothing was saved since it was made, it
// goes: who is logged out has left nothing behind.
func (d *Database) Close() error {
	if d.empty && d.db.Truthy() {
		return d.Remove()
	}
	if d.db.Truthy() {
		d.db.Call("close")
		d.db = js.Undefined()
	}
	if d.unlock != nil {
		d.unlock()
		d.unlock = nil
	}
	return nil
}
