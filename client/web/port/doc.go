// Package port is what a page may ask of the SDK, and what it is told: calls with
// parameters and results in JSON, and events. The page is on the other side of a message
// port, in a browser (client/web/wasm); the methods, shapes and error codes are in
// docs/web.md.
//
// Parameters are decoded strictly. Whatever fails becomes a Fault, whose code picks a
// sentence on the page; no parameter that is a secret is repeated in one.
//
// What a device keeps is used by one call at a time, of this port and of those of other
// pages: each call opens it, resumes the session, and closes it again, as each run of the
// command does.
package port
