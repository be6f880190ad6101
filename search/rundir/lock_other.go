//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package rundir

import "os"

func tryLock(*os.File) error { return nil }
