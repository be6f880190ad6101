//go:build unix

package remote

import (
	"os/exec"
	"syscall"
)

// apart puts a command into a process group of its own, so that Ctrl-C on a terminal does not end it before the other side
// has saved.
func apart(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
