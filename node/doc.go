// Package node is one node: it keeps the accounts, vaults, friendships and
// streams of its people, copies what they may read elsewhere, and serves them
// all over HTTP. Run is the whole server; Open, Node and Person are what it
// serves, without HTTP.
//
// # What a node cannot do
//
// It holds ciphertext and no key that opens any of it, and package node imports
// nothing that decrypts. Everything that counts is signed by the people
// themselves and verified here before it is kept, by the same code whichever way
// it came: ingest for friendship statements, newDraft and wire.StreamHead for
// entries. Who may read a stream is decided in one place, Node.readable.
//
// # What lies where
//
// A node has two stores. One holds what belongs to its own people; the other,
// copies, holds what was pulled from other nodes, and may be deleted whole while
// the node is closed: it is pulled again. Keys are readable, values are CBOR with
// a version (record.go). In memory are the newest end of each stream, which
// streams are followed at other nodes, and caches.
//
// # One commit record
//
// The stores promise nothing over several records. So each operation has one
// record that commits it. What is written before is invisible without it; what
// is derived from it can be done again.
//
//	operation        commit record    written before        derived                  repaired by
//	Register         handle           key, vault, vhead,    its leaf in the log      the next attempt, whoever
//	                                  sealed, account                                asks for the keys
//	a leaf           log              -                     leaf, logtile, logtop    Open, the next leaf
//	Person.PutVault  vault            vhead, sealed         the sealed before, gone  the same attempt again
//	Person.PutWraps  each wrap        -                     -                        the next attempt
//	Person.Publish   entry            (wraps, by PutWraps)  id; friend of each end,  Open, the next entry, the
//	                                                        and its delivery         next attempt
//	Person.Tell      friend           deliver               friend of the other,     deliverLoop, loadQueue at
//	                                                        here or elsewhere        Open
//	pull             entry (copies)   wrap (copies)         id, sync (copies)        Open, the next pull
//	trim             gap (copies)     -                     entry, id, wrap, gone    the next look for room
//	refill           gap, gone        entry, id, wrap       sync (copies)            the next look, the next reader
//	regain           entry            -                        id; regain, gone         the next entry, the next round
//	Person.Keys      address (copies) key (copies)          -                        the next look-up
//	Person.Login     spent            -                     sess, device             the next attempt
//	Node.SetRule     rule             -                     -                        the next attempt
//	a first contact  peer             domain                -                        the next contact, makeRoom
//
// Each is idempotent: to do it again after any interruption finishes it
// (TestInterruptions).
//
// # Several processes
//
// On stores that several processes can open (Options.Shared) a node may be many of
// them, behind any load balancer. What each remembers beside the stores is dropped
// when another changes it, before the next request is served: news.go says how.
// docs/operating.md has a table of all that is remembered.
package node
