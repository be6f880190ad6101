package study

import (
	"fmt"
	"io"
	"strconv"

	"densenas/internal/tables"
)

// Print writes the networks and the groups as tables, or the results with their summary as JSON. CSV has all digits.
func (r *Results) Print(w io.Writer, f tables.Format) error {
	number, share := short, percent
	if f == tables.CSV {
		number, share = exact, exact
	}
	return tables.Write(w, f, []tables.Table{r.networks(number, share), r.groups(number, share)}, struct {
		*Results
		Summary *Summary `json:"summary"`
	}{r, r.Summary()})
}

func exact(v float64) string   { return strconv.FormatFloat(v, 'g', -1, 64) }
func short(v float64) string   { return strconv.FormatFloat(v, 'g', 4, 64) }
func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// networks is a table of a row per training.
func (r *Results) networks(number, share func(float64) string) tables.Table {
	t := tables.Table{
		Title:      "Networks",
		Header:     []string{"network", "seed", "predicted ms", "M multiply-adds", "M parameters", "inside", "held-out", "test"},
		RightAlign: []bool{false, true, true, true, true, true, true, true},
	}
	for _, n := range r.Networks {
		inside := ""
		if n.Inside != nil {
			inside = share(n.Inside.Accuracy())
		}
		for _, trained := range n.Trainings {
			t.Rows = append(t.Rows, []string{n.Name, strconv.FormatUint(trained.Seed, 10), number(n.LatencyMS), number(float64(n.MultiplyAdds) / 1e6), number(float64(n.Parameters) / 1e6),
				inside, share(trained.HeldOut.Accuracy()), share(trained.Test.Accuracy())})
		}
	}
	t.Notes = []string{"inside: accuracy on the held-out images with the weights of the first search's super network"}
	return t
}

// groups is the table that the study is made for.
func (r *Results) groups(number, share func(float64) string) tables.Table {
	t := tables.Table{
		Title:      fmt.Sprintf("Study in space %s at %s ms, band from %s ms", r.Space, short(r.TargetMS), short(r.LowMS)),
		Header:     []string{"group", "networks", "trainings", "predicted ms", "held-out", "test", "deviation", "95 % interval", "gain over random", "95 % interval", "detectable"},
		RightAlign: []bool{false, true, true, true, true, true, true, true, true, true, true},
	}
	optional := func(v *float64) string {
		if v == nil {
			return ""
		}
		return share(*v)
	}
	interval := func(i *Interval) string {
		if i == nil {
			return ""
		}
		return share(i.Low) + " to " + share(i.High)
	}
	s := r.Summary()
	for _, g := range s.Groups {
		row := []string{string(g.Group), strconv.Itoa(g.Networks), strconv.Itoa(g.Trainings), number(g.LatencyMS), share(g.HeldOut.Mean), share(g.Test.Mean),
			optional(g.Test.Deviation), interval(g.Test.Interval)}
		if g.Gain == nil {
			row = append(row, "", "", "")
		} else {
			row = append(row, share(g.Gain.Relative), interval(g.Gain.RelativeInterval), optional(g.Gain.RelativeDetectable))
		}
		t.Rows = append(t.Rows, row)
	}
	t.Notes = []string{
		"deviation and first interval: of the test accuracy over the networks of a group, or over the trainings of a lone network",
		"gain: of the test accuracy, relative to the mean of the random networks; detectable: the smallest one that such samples show with 80 % probability at 5 %",
	}
	if c := s.Ranking; c != nil {
		note := fmt.Sprintf("Kendall's tau between the held-out accuracy inside the super network and trained from scratch: %.2f over %d networks", c.Tau, c.Count)
		if c.Interval != nil {
			note += fmt.Sprintf(" (95 %% interval %.2f to %.2f)", c.Interval.Low, c.Interval.High)
		}
		t.Notes = append(t.Notes, note)
	}
	for _, a := range r.Absent {
		t.Notes = append(t.Notes, fmt.Sprintf("no %s: %s", a.Group, a.Why))
	}
	if !r.Verified {
		t.Notes = append(t.Notes, "predictions are unverified: sums of operations measured alone, not held against whole networks")
	}
	return t
}
