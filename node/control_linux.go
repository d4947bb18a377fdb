package node

import (
	"errors"
	"net"
	"syscall"
)

// maxSocketPath is the longest path of a socket, in bytes (unix(7)).
const maxSocketPath = 107

// sameUser asks the kernel who is at the other end.
func sameUser(conn net.Conn) error {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("this is no socket of this machine")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return err
	}
	return allowed(int(peer.Uid))
}
