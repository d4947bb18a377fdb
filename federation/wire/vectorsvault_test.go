package wire

import (
	"bytes"
	"encoding/hex"
)

func vaultHeadVectors() *vectorFile {
	f := &vectorFile{About: "Vault heads, what may follow them, vault records (the vault stands as filler) and head queries."}
	m := maker{kind: "vault-head", label: LabelVaultHead, key: aliceKey.seed}
	head := vaultHead()
	f.Accepted, f.Refused = append(f.Accepted, m.good("the first", head)), m.forms(head)
	ruleVectors(f, m, vaultHead, vaultHeadRules())
	first := must(head.Sign(aliceKey))
	next := maker{"next-vault-head", LabelVaultHead, aliceKey.seed, map[string]string{"previous": "the first"}}
	second := func() *VaultHead {
		v := vaultHead()
		v.Counter, v.Prev, v.Created = 2, first.Hash(LabelVaultHead), t0+1
		return v
	}
	ruleVectors(f, next, second, []rule[VaultHead]{
		{"the second", func(*VaultHead) {}, ""}, {"the second under new keys", func(v *VaultHead) { v.KeySeq = 1 }, ""}, {"a gap", func(v *VaultHead) { v.Counter = 3 }, Conflict},
		{"another previous", func(v *VaultHead) { v.Prev[0] ^= 1 }, Conflict}, {"another account", func(v *VaultHead) { v.Account = bob }, Conflict},
	})
	newKeys, third := second(), second()
	newKeys.KeySeq = 1
	third.Counter, third.Prev = 3, must(newKeys.Sign(aliceKey)).Hash(LabelVaultHead)
	late := maker{"next-vault-head", LabelVaultHead, aliceKey.seed, map[string]string{"previous": "the second under new keys"}}
	f.Refused = append(f.Refused, late.bad("older keys than before", "key_seq does not fall", Tampered, EncodeCBOR(third)))
	record := func(slots, vault []byte) maker {
		return maker{"vault-record", LabelVaultHead, aliceKey.seed, map[string]string{"slots": hex.EncodeToString(slots), "vault": hex.EncodeToString(vault)}}
	}
	enc := must(slots().Encode())
	f.Accepted = append(f.Accepted, record(enc, []byte("sealed vault")).good("a record", head))
	f.Refused = append(f.Refused, record(enc, []byte("Sealed vault")).bad("another vault", "its hash is not in the head", Tampered, EncodeCBOR(head)))
	f.Refused = append(f.Refused, record(append(enc, 0), []byte("sealed vault")).bad("other slots", "their hash is not in the head", Tampered, EncodeCBOR(head)))
	badly := func(name, why string, k Kind, slots, vault []byte) { // signed, and wrong nevertheless
		h := vaultHead()
		h.VaultHash, h.SlotsHash = VaultHash(vault), SlotsHash(slots)
		f.Refused = append(f.Refused, record(slots, vault).bad(name, why, k, EncodeCBOR(h)))
	}
	badly("signed slots that are none", "they are not the map of slots", Invalid, []byte{0xa0}, []byte("sealed vault"))
	badly("no vault", "a vault has 1 byte at least", Invalid, enc, nil)
	badly("slots over the limit", "slots have 8192 bytes at most", TooLarge, append(bytes.Clone(enc), make([]byte, MaxSlots)...), []byte("sealed vault"))
	q := maker{kind: "head-query", label: LabelHeadQuery, key: aliceKey.seed}
	f.Accepted = append(f.Accepted, q.good("a query", headQuery()))
	f.Refused = append(f.Refused, q.forms(headQuery())...)
	ruleVectors(f, q, headQuery, headQueryRules())
	return f
}

func slotsVectors() *vectorFile {
	f := &vectorFile{About: "Slots: hashed by the vault head, not signed. What is sealed stands as filler; public_key is of no use here."}
	m := maker{kind: "slots", key: loginKey.seed}
	f.Accepted, f.Refused = append(f.Accepted, m.good("slots", slots())), m.forms(slots())
	ruleVectors(f, m, slots, slotsRules())
	return f
}
