package supernet

import (
	"fmt"

	"densenas/supernet/space"
)

// Places of the super network that every path passes, as names of [NamedTensor] begin.
const (
	StemPlace       = "stem"
	FirstPlace      = "first"
	ClassifierPlace = "classifier"
)

// HeadPlace is the place of a head layer's candidate on a connection.
func HeadPlace(c space.Connection, candidate space.Candidate) string {
	return fmt.Sprintf("block%d/connection%d/%v", c.To, c.Incoming, candidate)
}

// StackPlace is the place of a stacked layer's candidate; layers of a block count from 0.
func StackPlace(block, layer int, candidate space.Candidate) string {
	return fmt.Sprintf("block%d/layer%d/%v", block, layer, candidate)
}

// FinalPlace is the place of the final 1×1 convolution on a connection.
func FinalPlace(c space.Connection) string { return fmt.Sprintf("final/connection%d", c.Incoming) }
