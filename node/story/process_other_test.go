//go:build !linux

package story_test

import "errors"

// A process is another one of this user. Only Linux shows what is in it.
type process int

func (process) arguments() ([]byte, error)            { return nil, errors.ErrUnsupported }
func (process) environment() ([]byte, error)          { return nil, errors.ErrUnsupported }
func (process) memory(int, func([]byte)) (int, error) { return 0, errors.ErrUnsupported }
