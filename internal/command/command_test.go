package command

import "testing"

func TestLinePastesIntoAShell(t *testing.T) {
	got := Line([]string{"profiler", "run", "--only", "*_r7*", "-o", "it's.json", ""}...)
	if want := `profiler run --only '*_r7*' -o 'it'\''s.json' ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
