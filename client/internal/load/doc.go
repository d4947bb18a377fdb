// Package load plays many people at once, and measures what their nodes do.
//
// Its people have real keys: their posts are sealed, wrapped for friends and
// signed as a client does it, and are opened again with what a friend gets of the
// node. Two things are cheaper than in life. Every key is derived from one seed,
// so no password goes through Argon2id; and their vaults hold nothing and are all
// the same, so nobody could log in as one of them with a client. What a node does
// for them is what it does for others.
//
// # What it measures
//
// In a closed loop each client asks, waits for the answer and asks again: the
// latency is that of the request alone, and what was not asked while a client
// waited is in no figure. In an open loop requests come at times that do not
// depend on the answers, and the latency counts from the time at which the
// request was due: a stall is in the figures of all who wait behind it
// (TestCoordinatedOmission). What could not be sent is counted as unsent, never
// left out. People who watch hold an event stream, and what they see of posts is
// timed from when those were due. Latencies are kept with 3 digits from 1 us to
// 100 s.
//
// # What it checks
//
// A checker reads beside the load, and everything back at its end: own writes are
// read at once, feeds never go back, nothing that was acknowledged is lost, there
// twice, or not what was written, and who watches is told of all of it. What it
// finds is a violation, and the run has failed. What it could not read is counted
// too.
//
// # What it refuses
//
// It asks no node but development nodes, which are on this machine, unless whoever
// uses it says that the node is their own. Every run ends: by time, by count, or
// when its context does.
package load
