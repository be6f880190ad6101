package study

import (
	"errors"
	"fmt"
	"math"

	"densenas/lut"
	"densenas/supernet/space"
)

// Multipliers of MobileNetV2's widths that are tried, in hundredths.
const minWidth, maxWidth = 5, 400

// Scaled is MobileNetV2 of the width that a table predicts to be nearest below the end of a band of latency, with its multiplier. Where no width
// that the table has all operations of is in the band, a is nil and why says so. Its last halvings of the resolution are kept, and the
// images are those of the space.
func Scaled(s *space.Space, table *lut.Table, halvings int, low, high float64) (a *space.Architecture, width float64, why string, err error) {
	nearest, nearestWidth, found, tried := math.Inf(1), 0.0, 0, 0
	var last int64 = -1
	for i := minWidth; i <= maxWidth; i++ {
		w := float64(i) / 100
		n := space.MobileNetV2Halving(w, s.Resolution, s.Classes, halvings).WithChannels(s.Channels)
		if n.Parameters() == last { // rounded to the same widths
			continue
		}
		last = n.Parameters()
		if n.Check() != nil {
			continue
		}
		tried++
		predicted, err := table.Predict(n)
		if missing := (lut.MissingError{}); errors.As(err, &missing) {
			continue
		}
		if err != nil {
			return nil, 0, "", err
		}
		found++
		ms := predicted.LatencyMS
		if distance := max(low-ms, ms-high); distance < nearest {
			nearest, nearestWidth = distance, w
		}
		if ms >= low && ms <= high && (a == nil || ms > a.Predicted.LatencyMS) {
			n.Predicted = predicted
			a, width = n, w
		}
	}
	switch {
	case a != nil:
		return a, width, "", nil
	case found == 0:
		return nil, 0, fmt.Sprintf("the table has the operations of none of %d widths of MobileNetV2; profile some by --arch, as search reference writes them", tried), nil
	}
	return nil, 0, fmt.Sprintf("of the %d widths of MobileNetV2 that the table has the operations of none is in the band; the nearest, with a multiplier of %g, misses it by %.3g ms",
		found, nearestWidth, nearest), nil
}
