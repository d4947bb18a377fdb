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
// # What is not there yet
//
// There is no transparency log yet. A chain shows that its owner, and nobody
// else, made each change of keys, and Chain.Extends that a later answer
// continues an earlier one. But a node that has never been asked before can
// answer with a chain of its own making: whoever needs to be sure at first
// contact has to compare the account id (the hash of the first statement) in
// person. Chains that fork are refused, whichever branch the recovery key
// signed.
package keyservice
