//go:build js

// Command wasm is the SDK in a browser: package port at the other end of a message port,
// in a Worker, with the browser's fetch and IndexedDB. It is compiled for GOOS=js and
// GOARCH=wasm, and started by client/web/static/worker.js, which hands it the name of the
// node, the origin of its API ("" for that of the page) and the origin of the page.
//
// It calls the function "peerbrain" of its global scope with what is to be sent to the
// page, and puts there the function "call", which takes an id, a method and parameters.
package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"syscall/js"

	"github.com/peerbrain/peerbrain/client"
	"github.com/peerbrain/peerbrain/client/web/port"
	"github.com/peerbrain/peerbrain/federation/wire"
)

func main() {
	if err := run(os.Args); err != nil {
		tell("failed", failed{"broken", err.Error()})
		return
	}
	select {} // it goes on as long as the Worker
}

// failed says why nothing can be called.
type failed struct {
	Code   port.Cause `json:"code"`
	Detail string     `json:"detail"`
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("the name of the node and two origins were expected")
	}
	node, err := wire.ParseNodeName(args[1])
	if err != nil {
		return err
	}
	p := port.New(port.Options{
		Node: node, Page: cmp.Or(args[2], args[3]), Transport: client.NewFetchTransport(node, args[2]), Open: open,
		Tell: func(event string, data []byte) { send("event", event, "data", data) },
	})
	js.Global().Set("call", js.FuncOf(func(_ js.Value, args []js.Value) any {
		id, method, params := args[0], args[1].String(), args[2].String()
		go answer(p, id, method, []byte(params))
		return nil
	}))
	state, fault := p.Call(context.Background(), "state", []byte("{}"))
	switch {
	case fault != nil && fault.Code == port.CodeStorage:
		tell("failed", failed{"no-storage", fault.Detail})
	case fault != nil:
		tell("failed", failed{"broken", fault.Detail})
	default:
		send("event", "ready", "data", append(append([]byte(`{"state":`), state...), '}'))
	}
	return nil
}

func open(ctx context.Context) (port.Store, error) {
	d, err := client.OpenDatabase(ctx)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// answer runs a method, and sends what comes of it.
func answer(p *port.Port, id js.Value, method string, params []byte) {
	result, fault := p.Call(context.Background(), method, params)
	if fault != nil {
		send("id", id, "error", wire.EncodeJSON(fault))
		return
	}
	send("id", id, "result", result)
}

func tell(event string, data any) { send("event", event, "data", wire.EncodeJSON(data)) }

// send sends the page a message with two members, the second of which is JSON.
func send(name string, value any, content string, json []byte) {
	js.Global().Call("peerbrain", map[string]any{
		name: value, content: js.Global().Get("JSON").Call("parse", string(json)),
	})
}
