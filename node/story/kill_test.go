package story_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestKilled tells the whole story while both nodes are killed at every step.
// kill -9 leaves no time to write anything: what was acknowledged is there
// afterwards, and a command that failed is typed again until it does not.
func TestKilled(t *testing.T) {
	undetected(t)
	for _, test := range []struct {
		name string
		step func(*world, act) error
	}{
		{"after each step", func(w *world, a act) error {
			if err := w.play(a); err != nil {
				return err
			}
			return w.revive()
		}},
		{"before each step", func(w *world, a act) error {
			for _, s := range []*server{w.left, w.right} {
				if err := s.kill(); err != nil {
					return err
				}
			}
			return w.meanwhile(a, w.revive)
		}},
		{"during each step", func(w *world, a act) error {
			return w.meanwhile(a, func() error {
				time.Sleep(rand.N(150 * time.Millisecond)) // somewhere within the command
				return w.revive()
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i, a := range acts {
				if err := test.step(w, a); err != nil {
					t.Fatalf("step %d: %v", i+1, err)
				}
			}
			w.curtain()
		})
	}
}

// revive kills both nodes, the left one first, and starts them again.
func (w *world) revive() error {
	for _, s := range []*server{w.left, w.right} {
		if err := s.kill(); err != nil {
			return err
		}
		if err := s.start(); err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
	}
	return nil
}

// meanwhile plays an act while something happens.
func (w *world) meanwhile(a act, happens func() error) error {
	played := make(chan error, 1)
	go func() { played <- w.play(a) }()
	err := happens()
	if played := <-played; played != nil {
		return played
	}
	return err
}
