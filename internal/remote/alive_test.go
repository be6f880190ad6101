//go:build unix

package remote

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A side that says nothing for a minute is taken for lost, one that says now and then that its run goes on is not.
func TestSilenceIsALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var lost atomic.Bool
		here := listen(r, func() {
			lost.Store(true)
			w.CloseWithError(errors.New("killed"))
		})
		heard := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(here)
			heard <- string(text)
		}()
		rest := beat(w)
		time.Sleep(10 * silence)
		synctest.Wait()
		if lost.Load() {
			t.Fatal("lost while the run went on")
		}
		rest()
		began := time.Now()
		text := <-heard
		if waited := time.Since(began); !lost.Load() || waited > silence || waited < silence-heartbeat {
			t.Errorf("lost: %t after %v", lost.Load(), waited)
		}
		if want := strings.Repeat(running, int(10*silence/heartbeat)); strings.Trim(text, running) != "" || len(text) < len(want)-1 || len(text) > len(want) {
			t.Errorf("heard %q", text)
		}
	})
}
