package wire

import "testing"

func recoveryQueryRules() []rule[RecoveryQuery] {
	return []rule[RecoveryQuery]{
		{"as it should be", func(*RecoveryQuery) {}, ""},
		{"bad handle", func(q *RecoveryQuery) { q.Handle = "Alice" }, Invalid},
		{"bad home", func(q *RecoveryQuery) { q.Home = "Node.example" }, Invalid},
		{"bad node", func(q *RecoveryQuery) { q.Node = "" }, Invalid},
		{"negative time", func(q *RecoveryQuery) { q.Created = -1 }, Invalid},
		{"after the year 9999", func(q *RecoveryQuery) { q.Created = MaxTime + 1 }, Invalid},
		{"version 2", func(q *RecoveryQuery) { q.Version = 2 }, Update},
	}
}

func TestRecoveryQuery(t *testing.T) {
	for _, c := range recoveryQueryRules() {
		q := recoveryQuery()
		c.spoil(q)
		_, err := OpenRecoveryQuery(raw(LabelRecoveryQuery, EncodeCBOR(q), aliceRecovery.seed), aliceRecovery.Public())
		wantKind(t, c.name, err, c.want)
	}
	q := recoveryQuery()
	got, err := OpenRecoveryQuery(must(q.SignRecovery(aliceRecovery)), aliceRecovery.Public())
	if err != nil || got.Address().String() != "alice@node.example" || got.Node != "other.example" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = OpenRecoveryQuery(raw(LabelRecoveryQuery, EncodeCBOR(q), aliceKey.seed), aliceRecovery.Public())
	wantKind(t, "by the identity key", err, Tampered)
	q.Home = ""
	_, err = q.SignRecovery(aliceRecovery)
	wantKind(t, "signed without a home", err, Invalid)
}

func recoveryQueryVectors() *vectorFile {
	f := &vectorFile{About: "Recovery queries, opened with the recovery key of the newest key statement, which is public_key."}
	m := maker{kind: "recovery-query", label: LabelRecoveryQuery, key: aliceRecovery.seed}
	f.Accepted, f.Refused = append(f.Accepted, m.good("a query", recoveryQuery())), m.forms(recoveryQuery())
	ruleVectors(f, m, recoveryQuery, recoveryQueryRules())
	f.Refused = append(f.Refused, func() vector {
		v := m.vector("by the identity key", EncodeCBOR(recoveryQuery()), aliceKey.seed)
		v.Error, v.Why = Tampered, "the identity key asks no such question"
		return v
	}())
	return f
}
