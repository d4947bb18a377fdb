package storetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/peerbrain/peerbrain/node/store"
	"github.com/peerbrain/peerbrain/node/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return storetest.NewMemory() })
}

func TestCounterIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return storetest.Count(storetest.NewMemory()) })
}

func TestMemoryDamage(t *testing.T) {
	m := storetest.NewMemory()
	storetest.Damage(t, m, m.Damage)
}
