package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	events := strings.Join([]string{
		`{"Action":"start","Package":"m/a"}`,
		`{"Action":"run","Package":"m/a","Test":"TestGood"}`,
		`{"Action":"output","Package":"m/a","Test":"TestGood","Output":"chatter\n"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestGood","Elapsed":0.1}`,
		`{"Action":"run","Package":"m/a","Test":"TestXLA/xla"}`,
		`{"Action":"output","Package":"m/a","Test":"TestXLA/xla","Output":"=== RUN   TestXLA/xla\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestXLA/xla","Output":"    a_test.go:7: no XLA here: run make xla\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestXLA/xla","Output":"--- SKIP: TestXLA/xla (0.00s)\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestXLA/xla","Elapsed":0}`,
		`{"Action":"pass","Package":"m/a","Elapsed":1.234}`,
		`{"Action":"output","Package":"m/b","Test":"TestBad","Output":"    b_test.go:3: two is not one\n"}`,
		`{"Action":"fail","Package":"m/b","Test":"TestBad","Elapsed":0}`,
		`{"Action":"output","Package":"m/b","Test":"TestSlow","Output":"panic: test timed out\n"}`,
		`{"Action":"output","Package":"m/b","Output":"FAIL\n"}`,
		`{"Action":"fail","Package":"m/b","Elapsed":0.5}`,
		`{"Action":"build-output","ImportPath":"m/c","Output":"c.go:1: no such thing\n"}`,
		`{"Action":"fail","Package":"m/c","Elapsed":0}`,
		`{"Action":"skip","Package":"m/d","Elapsed":0}`,
	}, "\n")
	var out bytes.Buffer
	failed, err := report(strings.NewReader(events), &out)
	if err != nil || failed != 2 {
		t.Errorf("%d packages failed, %v; want 2", failed, err)
	}
	want := `ok    m/a  1.23s
    b_test.go:3: two is not one
FAIL
TestSlow did not end
panic: test timed out
c.go:1: no such thing
1 tests were skipped:
  m/a TestXLA/xla: no XLA here: run make xla
1 passed, 1 failed, 1 skipped
`
	if out.String() != want {
		t.Errorf("report:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestReportRefusesWhatIsNoEvent(t *testing.T) {
	if _, err := report(strings.NewReader("panic: no\n"), &bytes.Buffer{}); err == nil {
		t.Error("text that is no event was taken")
	}
}

// Whatever go test prints, the report ends, and counts no more packages than there are lines.
func FuzzReport(f *testing.F) {
	f.Add(`{"Action":"output","Package":"m/a","Test":"TestGood","Output":"chatter\n"}` + "\n" + `{"Action":"fail","Package":"m/a"}`)
	f.Add(`{"Action":"skip","Package":"m/a","Test":"T"}` + "\nno event")
	f.Fuzz(func(t *testing.T, events string) {
		if failed, _ := report(strings.NewReader(events), io.Discard); failed > strings.Count(events, "\n")+1 {
			t.Errorf("%d packages failed in %d lines", failed, strings.Count(events, "\n")+1)
		}
	})
}
