package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/tables"
)

type doctorOptions struct {
	backendOptions
	format tables.Format
}

func (o *doctorOptions) AddFlags(f *pflag.FlagSet) {
	o.backendOptions.AddFlags(f)
	f.Var(&o.format, "format", tables.FormatUsage)
}

func doctorCommand() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this host is fit to measure, and what to do about it",
		Long: `Look at what makes measurements on this host vary, watching it for half a second: the governor and changes of the clock,
turbo, heat, limits of the processors, load, busy processes, neighbours on the same machine, memory, speed, timer, and the
runtime. Nothing is changed. What the system does not publish is unknown. "profiler run" prints the warnings, and stores them.

The exit code is 0 with warnings too: a table can be measured under them, with wider intervals.`,
		Example: `  profiler doctor
  profiler doctor --backend xla --threads 1
  profiler doctor --device raspberry-pi-5 --format json`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *doctorOptions) run(stdout io.Writer) error {
	checks := o.examine()
	t := tables.Table{Title: "is this host fit to measure", Header: []string{"check", "state", "found", "what to do"}}
	for _, c := range checks {
		t.Rows = append(t.Rows, []string{c.Name, string(c.State), c.Found, c.Advice})
		if c.Advice != "" {
			t.Notes = append(t.Notes, c.Name+": "+c.Advice)
		}
	}
	if len(t.Notes) == 0 {
		t.Notes = []string{"nothing speaks against measuring now"}
	}
	if o.format == "" || o.format == tables.Text { // its lines would be too long for a terminal
		t.Header = t.Header[:3]
		for i := range t.Rows {
			t.Rows[i] = t.Rows[i][:3]
		}
	}
	return tables.Write(stdout, o.format, []tables.Table{t}, checks)
}

// examine looks at the host as these options use it. Call it before the backend is opened: that binds threads.
func (o *backendOptions) examine() []devices.Check {
	checks := devices.Examine(devices.Use{Threads: o.threads, Processors: o.processors})
	return append(checks, o.runtimeCheck(runtimes()))
}

// runtimeCheck says which runtimes are there, and warns where auto takes the slower one for want of a plugin.
func (o *backendOptions) runtimeCheck(list []runtimeReport) devices.Check {
	var there []string
	missing := ""
	for _, r := range list {
		if r.Build != nil {
			there = append(there, fmt.Sprintf("%s (%s)", r.Backend, r.Build))
		} else if r.Backend == backends.XLA {
			missing = r.Missing
		}
	}
	check := devices.Check{Name: "plugin", State: devices.OK, Found: strings.Join(there, "; ")}
	if o.backend == "auto" && missing != "" {
		check.State, check.Advice = devices.Warning, "auto takes go: name the runtime that will run the network by --backend; for xla: "+missing
	}
	return check
}
