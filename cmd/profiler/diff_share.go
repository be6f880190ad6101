package main

import (
	"fmt"
	"strconv"
	"strings"
)

// share is a flag for a part of a whole: "5%" or "0.05". It is unset until it is given.
type share struct {
	value float64
	set   bool
}

// maxShare is a tenfold of the whole.
const maxShare = 10

// Set takes a share from 0 to 10, in per cent if it ends so. A number above 1 needs the sign: it was meant so.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("%q is no share; write 5%% or 0.05", text)
	}
	if percent {
		value /= 100
	} else if value > 1 {
		return fmt.Errorf("%q is more than the whole; write %s%% if that is meant", text, strings.TrimSpace(number))
	}
	if !(value >= 0 && value <= maxShare) {
		return fmt.Errorf("%q is out of reach, allowed is 0%% to %d%%", text, 100*maxShare)
	}
	s.value, s.set = value, true
	return nil
}

// String is the share in per cent; empty where it is unset.
func (s *share) String() string {
	if !s.set {
		return ""
	}
	return strconv.FormatFloat(100*s.value, 'g', 10, 64) + "%"
}

// Type names the flag's value in help texts.
func (s *share) Type() string { return "share" }
