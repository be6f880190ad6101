//go:build linux && cgo && !noxla && (amd64 || arm64)

package backends

// #include <stdint.h>
//
// static void spin(const int32_t *stop) {
// 	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) ;
// }
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keepAwake occupies each of the processors with a thread that gives way to any other, until stop is called. A processor without
// work sleeps, a virtual one until its host has noticed that there is work again, which takes some tens of microseconds, or next
// to none if the host happened to look out for it. A call begins, and a thread that waits for its result comes back, so much later,
// or not.
func keepAwake(processors []int) (stop func(), err error) {
	var stopped atomic.Int32
	var spinning sync.WaitGroup
	stop = func() {
		stopped.Store(1)
		spinning.Wait()
	}
	for _, processor := range processors {
		started := make(chan error)
		spinning.Go(func() {
			runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
			var only unix.CPUSet
			only.Set(processor)
			err := unix.SchedSetaffinity(0, &only)
			if err == nil {
				err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
			}
			started <- err
			if err == nil {
				C.spin((*C.int32_t)(unsafe.Pointer(&stopped)))
			}
		})
		if err := <-started; err != nil {
			stop()
			return nil, fmt.Errorf("keep processor %d awake: %w", processor, err)
		}
	}
	return stop, nil
}
