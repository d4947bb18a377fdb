// Package keyservice tells whose keys are whose, and which bytes were signed
// under them. Clients and nodes use the same code for it.
//
// A Chain is one person's key statements, from the one that founds the account
// to the newest, verified as a whole. Everything else that a person signs is
// opened through their Chain: Chain.OpenEntry, Chain.OpenOffer and so on verify
// the bytes as received, and refuse what names another person, or other keys
// than those that verify it.
//
// A Service keeps chains and wraps for a node, in a Ledger that the node
// provides. A wrap (the key of an epoch, sealed to one reader) is handed to
// nobody but its reader. The service holds no secret and can open no wrap:
// package keyservice imports nothing that decrypts.
//
// # The log
//
// A chain shows that its owner, and nobody else, made each change of keys. But a
// node could make up a chain and show it to somebody alone. So each node has a
// Log of all key statements of its people (RFC 6962, C2SP tlog-tiles), kept in a
// LogLedger that the node provides, and a Proof that a statement is in it goes
// with the keys. OpenProof and Proof.InLog verify it, a LogReader that the log is
// still what it was, and what else is in it. Package golang.org/x/mod/sumdb/tlog
// does the hashing, on both sides.
//
// # Witnesses
//
// A node could keep one log for some people and another for others. So others
// cosign its checkpoints (C2SP tlog-cosignature), and none that contradicts what
// they saw before: an AddCheckpoint is what a witness is asked, Cosign what it
// answers, and a Witness verifies that. How many have to agree, and whose word
// counts, is the client's to say. Whoever needs to be sure at first contact
// compares safety numbers in person. A chain is one branch: where keys fork, a
// node goes on with the one that the recovery key signed, and who has pinned the
// other refuses it.
package keyservice
