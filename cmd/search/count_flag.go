package main

import (
	"fmt"
	"strconv"
	"strings"
)

// millions is a flag's value that counts something, as 300M, 2.5k, 1G or a plain number.
type millions float64

var countSuffixes = map[string]float64{"k": 1e-3, "M": 1, "G": 1e3}

// String is the form that Set takes; empty for none.
func (m *millions) String() string {
	if *m == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*m), 'f', -1, 64) + "M"
}

// Set takes a number from 1 with a suffix for thousands, millions or thousand millions.
func (m *millions) Set(text string) error {
	number, factor := text, 1e-6
	for suffix, of := range countSuffixes {
		if rest, found := strings.CutSuffix(text, suffix); found {
			number, factor = rest, of
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v*factor >= 1e-6 && v*factor <= 1e9) {
		return fmt.Errorf("%q is no number from 1 such as 300M, 2.5k or 1G", text)
	}
	*m = millions(v * factor)
	return nil
}

// Type names the flag's value in help texts.
func (m *millions) Type() string { return "count" }
