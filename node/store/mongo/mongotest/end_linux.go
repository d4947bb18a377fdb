package mongotest

import (
	"os/exec"
	"syscall"
)

// endWithUs makes the kernel end a process with this one, however that ends.
func endWithUs(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
