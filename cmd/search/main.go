// Search finds the most accurate network that meets a latency on a device, by training a super network with the device's
// lookup table as its second objective.
//
//	search run      searches, into a run folder
//	search resume   continues a run folder
//	search sweep    runs a search for every target, seed and device
//	search derive   turns architecture parameters into an architecture, within a latency if asked
//	search cost     computes the expected latency of architecture parameters
//	search range    says how fast and how slow the networks of a space can be
//	search random   draws architectures of a latency, all equally likely
//	search reference writes a network made by hand as an architecture
//	search split    chooses classes and held-out images of a data set
//	search train    trains an architecture from scratch and tests it
//	search eval     tests a trained network on images
//	search study    compares what a search finds with random and hand-made networks
//	search export   writes a trained network as ONNX
//	search bench    times the steps of a super network
//
// It refuses bad input before it creates or computes anything, in one line and with exit code 2. An interrupted run is
// saved, and says the command that continues it.
package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"densenas/internal/allocator"
	"densenas/internal/command"
	"densenas/internal/exit"
)

func main() {
	allocator.Keep(allocator.HugePages, allocator.OneHeap)
	exit.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return command.Program{
		Name: "search", Short: "Search for the network that meets a latency on a device",
		Subcommands: []*cobra.Command{
			newRunCommand(command.Line(append([]string{"search"}, args...)...)), newResumeCommand(), newSweepCommand(), newDeriveCommand(), newCostCommand(), newRangeCommand(), newRandomCommand(), newReferenceCommand(), newSplitCommand(), newTrainCommand(), newEvalCommand(), newStudyCommand(), newExportCommand(), newBenchCommand(),
		},
	}.Run(ctx, args, stdout, stderr)
}
