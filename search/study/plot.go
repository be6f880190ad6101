package study

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"densenas/internal/files"
)

// Size of the plot and of its margins, in pixels.
const (
	plotWidth, plotHeight                    = 760, 440
	plotLeft, plotRight, plotTop, plotBottom = 70, 190, 40, 60
)

// colours of the groups can be told apart by the colour-blind (Okabe and Ito, 2008).
var colours = map[Group]string{GroupSearched: "#d55e00", GroupRandom: "#0072b2", GroupFixed: "#009e73", GroupMobileNetV2: "#cc79a7"}

// WritePlot writes the plot into the folder of a study, atomically.
func (r *Results) WritePlot(folder string) error {
	return files.WriteAtomic(filepath.Join(folder, PlotFile), r.Plot)
}

// axis maps values to pixels.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 { return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from) }

// ticks are round numbers along the axis, about five.
func (a axis) ticks() []float64 {
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/5)))
	for _, factor := range []float64{2, 2.5, 2} { // 2, 5 and 10 times
		if (a.high-a.low)/step <= 6 {
			break
		}
		step *= factor
	}
	var all []float64
	for i := math.Ceil(a.low / step); i*step <= a.high; i++ {
		all = append(all, i*step)
	}
	return all
}

// around is an axis that shows values with some room beside them.
func around(values []float64, from, to float64) axis {
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	room := max((high-low)/10, math.Abs(high)/1000, 1e-9)
	return axis{low - room, high + room, from, to}
}

// Plot draws the test accuracy of every training against the predicted latency as an SVG, colours by group, with the band behind and the
// groups' means with their intervals beside.
func (r *Results) Plot(w io.Writer) error {
	s := r.Summary()
	latencies, accuracies := []float64{r.LowMS, r.TargetMS}, []float64{}
	for i := range r.Networks {
		latencies = append(latencies, r.Networks[i].LatencyMS)
		accuracies = append(accuracies, r.Networks[i].accuracies(test)...)
	}
	for _, g := range s.Groups {
		if g.Test.Interval != nil {
			accuracies = append(accuracies, max(0, g.Test.Interval.Low), min(1, g.Test.Interval.High))
		}
	}
	for i := range accuracies {
		accuracies[i] *= 100
	}
	x, y := around(latencies, plotLeft, plotWidth-plotRight), around(accuracies, plotHeight-plotBottom, plotTop)

	var b strings.Builder
	line := func(x1, y1, x2, y2 float64, style string) {
		fmt.Fprintf(&b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style)
	}
	text := func(x, y float64, anchor, content string) {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escaped(content))
	}
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n",
		plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#eeeeee\"/>\n", x.at(r.LowMS), y.to, x.at(r.TargetMS)-x.at(r.LowMS), y.from-y.to)
	line(x.from, y.from, x.to, y.from, `stroke="black"`)
	line(x.from, y.from, x.from, y.to, `stroke="black"`)
	for _, v := range x.ticks() {
		line(x.at(v), y.from, x.at(v), y.from+5, `stroke="black"`)
		text(x.at(v), y.from+20, "middle", strconv.FormatFloat(v, 'g', 6, 64))
	}
	for _, v := range y.ticks() {
		line(x.from-5, y.at(v), x.from, y.at(v), `stroke="black"`)
		text(x.from-9, y.at(v)+4, "end", strconv.FormatFloat(v, 'g', 6, 64))
	}
	text((x.from+x.to)/2, plotHeight-14, "middle", "predicted latency, ms (gray: the band)")
	text(plotLeft-45, plotTop-18, "start", "accuracy on the test images, %")
	text(x.to+9, y.from+20, "start", "means, 95 % intervals")
	for i, g := range s.Groups {
		colour := colours[g.Group]
		for _, n := range r.In(g.Group) {
			for _, accuracy := range n.accuracies(test) {
				fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" fill-opacity=\"0.7\"><title>%s</title></circle>\n",
					x.at(n.LatencyMS), y.at(100*accuracy), colour, escaped(n.Name))
			}
		}
		at := x.to + 15 + 12*float64(i)
		style := fmt.Sprintf("stroke=\"%s\" stroke-width=\"2\"", colour)
		if in := g.Test.Interval; in != nil {
			line(at, y.at(100*max(0, in.Low)), at, y.at(100*min(1, in.High)), style)
		}
		line(at-4, y.at(100*g.Test.Mean), at+4, y.at(100*g.Test.Mean), style)
		fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x.to+75, y.to+20*float64(i), colour)
		text(x.to+83, y.to+20*float64(i)+4, "start", string(g.Group))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return b.String()
}
