//go:build !unix

package remote

import "os/exec"

// apart does nothing: there are no process groups.
func apart(*exec.Cmd) {}
