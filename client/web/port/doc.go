// Package port is what a page may ask of the SDK, and what it is told: calls with
// parameters and results in JSON, and events. The page is on the other side of a message
// port, in a browser (client/web/wasm).
//
// Parameters are decoded strictly: unknown ones are refused, absent ones are empty.
// Whatever fails becomes a [Fault], whose code picks a sentence on the page; no secret is
// repeated in one. Times are ms since 1970.
//
// What a device keeps is used by one call at a time, of this port and of those of other
// pages: each call opens it, resumes the session, and closes it again, as each run of the
// command does.
//
// # Methods
//
// A code is one of the second factor; where it is wanted and absent, the fault says so, and
// the same call is made again with it.
//
//	state               {} -> {address, account, device, node}, or null: whose session lies on the device
//	register            {address, password} -> {state, recovery_code, notices}
//	login               {address, password, device, code} -> {state, notices}
//	recover             {address, recovery_code, password, device, code} -> {state, recovery_code, notices}
//	logout              {} -> {}: everything is removed from the device
//	deleteAccount       {password, code} -> {}: too
//	feed                {limit, before, kept} -> page: kept is what lies on the device, nobody is asked
//	read                {address, limit, before} -> page: of one person
//	follow              {} -> {}: events from now on, the newest posts at first
//	post                {text, key} -> post: one post for one key; waiting where the node is away
//	waiting             {} -> {posts}
//	begun               {} -> {text, key}: what was being written when the page was left
//	begun.keep          {text, key} -> {}: an empty text removes it
//	friends             {} -> {friends}
//	friend.add          {address, history} -> friend
//	friend.accept       {address, history} -> friend
//	friend.decline      {address} -> friend
//	friend.cancel       {address} -> friend
//	friend.remove       {address} -> friend
//	friend.safety       {address} -> {groups, qr, verified, keys, newer}
//	friend.verify       {address, number} -> friend
//	friend.unverify     {address} -> friend
//	invitation          {} -> {link, qr}: the page, with the address of this person behind #add=
//	sessions            {} -> {sessions: {id, device, created, expires, current}, more}
//	sessions.end        {id, code} -> {}
//	sessions.endOthers  {code} -> {}
//	passwd              {present, next, code} -> {}
//	checkCode           {recovery_code} -> {}
//	renewCode           {recovery_code, code} -> {recovery_code}
//	secondFactor        {} -> {on, left}
//	secondFactor.begin  {} -> {secret, uri, qr}
//	secondFactor.on     {first} -> {codes}: of the secret that was begun last
//	secondFactor.off    {code} -> {}
//	secondFactor.codes  {code} -> {codes}
//
// A post is {id, author, audience, seq, created, text, waiting}; one that waits has its key
// as id. A page is {posts, cursor, notices, problems, hidden, kept}, its problems are
// faults. A friend is {address, state, verified, keys, keys_changed, undelivered, note}; the
// state is friend, incoming, outgoing, none or deleted, keys are new, pinned, confirmed or
// verified. A QR code is {size, rows}, each row of so many 0 and 1, which is dark.
//
// # Events
//
// news is a page, newest first; friends says that something about friends has changed; link
// is {up}: whether the node can be reached; posted is {key, post} and unsent {key, error},
// of what waited; ended is a fault, after which nothing more comes.
//
// # Codes
//
// wrong-password, wrong-code (the recovery code), name-taken, bad-input, weak-password,
// second-factor (a code is wanted), second-factor-wrong, session-ended, node-away,
// node-busy, clock-wrong, keys-changed, other-number (two people see different safety
// numbers), split-view, node-lies, not-found, not-friend, too-long, storage-refused,
// registration-closed, internal.
package port
