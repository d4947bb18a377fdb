package client

import (
	"context"
	"errors"
	"syscall/js"
)

// A rejected is why a promise, or a request to a database, came to nothing: the name
// of a DOMException, or of another error, and its message.
type rejected struct{ name, message string }

func (r *rejected) Error() string { return r.name + ": " + printable(r.message) }

func rejectedOf(reason js.Value) error {
	if reason.Type() != js.TypeObject {
		return &rejected{"Error", "no reason is told"}
	}
	text := func(name string) string {
		if v := reason.Get(name); v.Type() == js.TypeString {
			return v.String()
		}
		return ""
	}
	return &rejected{text("name"), text("message")}
}

// is reports whether err is a rejection with a name.
func is(err error, name string) bool {
	var r *rejected
	return errors.As(err, &r) && r.name == name
}

// A settled is what becomes of something that the browser does meanwhile.
type settled struct {
	value js.Value
	err   error
}

// wait hands two functions to start, one of which is called, once, and waits for
// that. It must not run in an event handler, which the browser would wait for.
func wait(ctx context.Context, start func(done, failed js.Func)) (js.Value, error) {
	come := make(chan settled, 1)
	var done, failed js.Func
	settle := func(err func(js.Value) error) js.Func {
		return js.FuncOf(func(_ js.Value, args []js.Value) any {
			value := js.Undefined()
			if len(args) > 0 {
				value = args[0]
			}
			come <- settled{value, err(value)}
			done.Release()
			failed.Release()
			return nil
		})
	}
	done = settle(func(js.Value) error { return nil })
	failed = settle(rejectedOf)
	start(done, failed)
	select {
	case s := <-come:
		return s.value, s.err
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
}

// await waits for a promise.
func await(ctx context.Context, promise js.Value) (js.Value, error) {
	return wait(ctx, func(done, failed js.Func) { promise.Call("then", done, failed) })
}

// try calls a method that may throw.
func try(of js.Value, method string, args ...any) (v js.Value, err error) {
	defer func() {
		if thrown, ok := recover().(js.Error); ok {
			err = rejectedOf(thrown.Value)
		}
	}()
	return of.Call(method, args...), nil
}

// bytesOf copies an ArrayBuffer or a Uint8Array.
func bytesOf(v js.Value) []byte {
	if v.InstanceOf(js.Global().Get("ArrayBuffer")) {
		v = js.Global().Get("Uint8Array").New(v)
	}
	b := make([]byte, v.Get("length").Int())
	js.CopyBytesToGo(b, v)
	return b
}

// arrayOf copies b into a Uint8Array.
func arrayOf(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}
