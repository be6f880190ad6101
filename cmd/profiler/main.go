// Profiler measures how long the operations of search spaces and networks take on this device, and writes lookup tables.
//
//	profiler plan     lists what would be measured
//	profiler run      measures, and writes or continues a table
//	profiler measure  measures a network as a whole, and holds a table's prediction against it
//	profiler import   brings a published table into the project's form
//	profiler device   shows the fingerprint of this host, and descriptions of devices
//	profiler doctor   says whether this host is fit to measure
//	profiler verify   holds a table against whole networks, and stores how its entries combine
//	profiler merge    unites tables that were measured alike
//	profiler diff     shows what became slower or faster from one table to another
//	profiler lint     reports operations that are faster than smaller ones
//	profiler export   writes a table in a form that others read
//
// It refuses bad input before it measures anything, in one line and with exit code 2. An interrupted run keeps what was
// complete, and says the command that continues it.
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
	allocator.Keep()
	exit.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	line := command.Line(append([]string{"profiler"}, args...)...)
	return command.Program{
		Name: "profiler", Short: "Measure how long operations of networks take on this device",
		Subcommands: []*cobra.Command{planCommand(), elsewhere(runCommand(line), line), measureCommand(), importCommand(), deviceCommand(), doctorCommand(), remoteCommand(),
			mergeCommand(), diffCommand(), lintCommand(), exportCommand(), verifyCommand(line)},
	}.Run(ctx, args, stdout, stderr)
}
