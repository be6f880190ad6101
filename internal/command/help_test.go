package command

import (
	"context"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"densenas/internal/exit"
)

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args        []string
		shown, said string // on stdout, in the error
	}{
		{[]string{"help"}, "Do things", ""},
		{[]string{"help", "work"}, "program work", ""},
		{[]string{"work", "--help"}, "program work", ""},
		{[]string{"help", "help"}, "program help [COMMAND]", ""},
		{[]string{"help", "nonsense"}, "", "unknown command \"nonsense\"; see `program --help`"},
		{[]string{"nonsense"}, "", "unknown command \"nonsense\"; see `program --help`"},
		{[]string{"help", "work", "more"}, "", "unexpected argument \"more\"; see `program help --help`"},
		{[]string{"help", ""}, "", "unknown command \"\"; see `program --help`"},
	} {
		work := &cobra.Command{Use: "work", RunE: func(*cobra.Command, []string) error { return nil }}
		var stdout, stderr strings.Builder
		err := Program{Name: "program", Short: "Do things", Subcommands: []*cobra.Command{work}}.Run(context.Background(), c.args, &stdout, &stderr)
		if c.said == "" {
			if err != nil || !strings.Contains(stdout.String(), c.shown) || !strings.Contains(stdout.String(), "-h, --help") {
				t.Errorf("%q: error %v, shown:\n%s", c.args, err, stdout.String())
			}
		} else if err == nil || err.Error() != c.said || exit.Code(err) != exit.CodeBadInput || stdout.Len()+stderr.Len() > 0 {
			t.Errorf("%q: error %v, want %s; shown: %s%s", c.args, err, c.said, stdout.String(), stderr.String())
		}
	}
}
