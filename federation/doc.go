// Package federation is how nodes talk to each other: it finds out who another
// node is, signs requests to it, and verifies the requests that come in. It holds
// both halves of that protocol, Client and Server, and the one interface that
// they carry, API.
//
// # What a request is
//
// A POST with a JSON body to one of the paths wire.PathPeer*, signed by the
// request key of the asking node with HTTP signatures (draft-cavage-http-
// signatures-12, by github.com/go-fed/httpsig) over exactly
//
//	(request-target) (created) (expires) host digest peerbrain-nonce
//
// The library accepts much that nobody should rely on, so the form of the
// request is checked first, byte by byte, in profile.go. Whatever fails is
// answered with one and the same 401 (TestForgeries).
//
// # Who a node is
//
// A node is its name and the root key that stood in its document when it was
// first met (directory.go). A document under another root key puts the peer in
// quarantine until its operator and ours have spoken: nothing is sent to it and
// nothing is taken from it.
//
// # What this package refuses to do
//
// It knows no web framework and opens no listener: it serves raw method, target,
// headers and body. It follows no redirect, fetches no URL that a peer names and
// dials no special-purpose address (dial.go). It does not look into the
// statements that it carries: whether the node that asks may say what it says is
// judged by the API behind Server, which gets the VerifiedRequest.
//
// The protocol is specified for other implementations in docs/protocol.md, with
// the vectors docs/vectors/request-signature.json.
package federation
