package dataset

import (
	"fmt"
	"math"
	"slices"

	"densenas/internal/exit"
)

// Preprocessing says how an image becomes what a network gets, as evaluation does it: for whoever runs the network elsewhere.
// Pixels are taken from the view, resized, divided by PixelScale, and normalised per channel: (value - mean) / std.
type Preprocessing struct {
	// Resolution is the height and width in pixels.
	Resolution int `json:"resolution"`
	// Colours are "rgb" (three channels, in this order; gray images are repeated) or "gray" (one; coloured images become their luma).
	Colours string `json:"colours"`
	// View is ViewCentre or ViewPadded.
	View string `json:"view"`
	// CentreShare is the part of the shorter side that the side of the central square has, above 0, at most 1.
	CentreShare float64 `json:"centre_share"`
	// Resize names the filter that makes the view as large as the resolution.
	Resize string `json:"resize"`
	// PixelScale is what pixel values of 0 to 255 are divided by.
	PixelScale float64 `json:"pixel_scale"`
	// Mean and Std per channel, of values of 0 to 1.
	Mean []float32 `json:"mean"`
	Std  []float32 `json:"std"`
	// Classes are the names of the network's outputs.
	Classes []string `json:"classes"`
}

const (
	// ViewCentre is the central square of the image.
	ViewCentre = "centre square"
	// ViewPadded is the whole image with black around it, for images that are smaller than the resolution by at most a fifth;
	// for others as ViewCentre.
	ViewPadded = "padded with black"

	resizeBilinear = "bilinear, antialiased"
	pixelScale     = 255
	maxClasses     = 1 << 16
)

// Preprocessing of the data's images.
func (d *Dataset) Preprocessing() Preprocessing {
	p := Preprocessing{
		Resolution: d.Resolution, Colours: "rgb", View: ViewCentre, CentreShare: 1, Resize: resizeBilinear, PixelScale: pixelScale,
		Mean: slices.Clone(d.Mean), Std: slices.Clone(d.Std),
	}
	for _, class := range d.Classes {
		p.Classes = append(p.Classes, exit.OneLine(class))
	}
	if d.Channels == 1 {
		p.Colours = "gray"
	}
	if d.geometry.pad {
		p.View = ViewPadded
	}
	if d.geometry.large {
		p.CentreShare = centreShare
	}
	return p
}

// Channels of the images.
func (p Preprocessing) Channels() int {
	if p.Colours == "gray" {
		return 1
	}
	return 3
}

// Check reports what is no preprocessing of this version.
func (p Preprocessing) Check() error {
	switch {
	case p.Resolution < minResolution || p.Resolution > maxResolution:
		return fmt.Errorf("resolution is %d, allowed is %d to %d", p.Resolution, minResolution, maxResolution)
	case p.Colours != "rgb" && p.Colours != "gray":
		return fmt.Errorf("colours is %.40q, allowed are rgb and gray", p.Colours)
	case p.View != ViewCentre && p.View != ViewPadded:
		return fmt.Errorf("view is %.40q, allowed are %q and %q", p.View, ViewCentre, ViewPadded)
	case !(p.CentreShare > 0 && p.CentreShare <= 1):
		return fmt.Errorf("centre_share is %g, allowed is above 0, at most 1", p.CentreShare)
	case p.Resize != resizeBilinear || p.PixelScale != pixelScale:
		return fmt.Errorf("resize is %.40q with a pixel_scale of %g, allowed is %q with %d", p.Resize, p.PixelScale, resizeBilinear, pixelScale)
	case len(p.Mean) != p.Channels() || len(p.Std) != p.Channels():
		return fmt.Errorf("mean and std have %d and %d channels, %s images %d", len(p.Mean), len(p.Std), p.Colours, p.Channels())
	case len(p.Classes) < 2 || len(p.Classes) > maxClasses:
		return fmt.Errorf("classes has %d names, allowed are 2 to %d", len(p.Classes), maxClasses)
	}
	for c := range p.Mean {
		if mean, std := float64(p.Mean[c]), float64(p.Std[c]); !(mean >= 0 && mean <= 1 && std > 0 && std <= 1) || math.IsNaN(std) {
			return fmt.Errorf("channel %d has mean %g and std %g, allowed are 0 to 1, and above 0", c, mean, std)
		}
	}
	return nil
}

// Renormalise changes images of d, [n, resolution, resolution, channels] flat, to what they are by p's mean and std.
func (p Preprocessing) Renormalise(images []float32, d *Dataset) {
	for c := range p.Mean {
		if p.Mean[c] == d.Mean[c] && p.Std[c] == d.Std[c] {
			continue
		}
		scale, offset := d.Std[c]/p.Std[c], (d.Mean[c]-p.Mean[c])/p.Std[c]
		for i := c; i < len(images); i += d.Channels {
			images[i] = images[i]*scale + offset
		}
	}
}
