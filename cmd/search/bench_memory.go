package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// memoryInterval is how often memory is looked at. The kernel walks all pages each time, so not often.
const memoryInterval = 100 * time.Millisecond

// watchMemory follows the proportional set size of this process, in MB, until stop is called, which returns the highest; nil
// where the system does not tell.
func watchMemory() (stop func() *float64) {
	done, highest := make(chan struct{}), make(chan *float64)
	go func() {
		var peak *float64
		for {
			if mb, ok := proportionalSetSize(); ok && (peak == nil || mb > *peak) {
				peak = &mb
			}
			select {
			case <-done:
				highest <- peak
				return
			case <-time.After(memoryInterval):
			}
		}
	}()
	return func() *float64 {
		close(done)
		return <-highest
	}
}

// proportionalSetSize reads the memory of this process in MB, shared pages divided among those that share them.
func proportionalSetSize() (mb float64, ok bool) {
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "Pss:" {
			kb, err := strconv.ParseFloat(fields[1], 64)
			return kb / 1024, err == nil
		}
	}
	return 0, false
}
