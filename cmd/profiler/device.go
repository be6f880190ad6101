package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/tables"
	"densenas/lut"
)

type deviceOptions struct{ format tables.Format }

func (o *deviceOptions) AddFlags(f *pflag.FlagSet) { f.Var(&o.format, "format", tables.FormatUsage) }

func (o *deviceOptions) Validate() error { return nil }

func deviceCommand() *cobra.Command {
	var o deviceOptions
	c := &cobra.Command{
		Use:   "device [NAME | FILE]",
		Short: "Show the fingerprint of this host, or a description of a device",
		Long: `Without an argument, show the fingerprint of this host, as tables carry it, and the runtimes that are here.
With one, show a description of a device, which says how to measure on it: ` + strings.Join(devices.Names(), ", ") + `, or a YAML file.`,
		Example: `  profiler device
  profiler device raspberry-pi-5
  profiler device --format json`,
		Args: command.Arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			if len(args) == 1 {
				return o.describe(c.OutOrStdout(), args[0])
			}
			return o.host(c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

type hostReport struct {
	Device   lut.Device      `json:"device"`
	Runtimes []runtimeReport `json:"runtimes"`
}

// runtimeReport is what a --backend would be, or why it is not there.
type runtimeReport struct {
	Backend string          `json:"backend"`
	Build   *backends.Build `json:"build,omitempty"`
	Missing string          `json:"missing,omitempty"`
}

// runtimes looks for the runtimes that have names of their own.
func runtimes() []runtimeReport {
	var list []runtimeReport
	for _, name := range []string{backends.Go, backends.XLA, "xla:cuda"} {
		r := runtimeReport{Backend: name}
		if build, err := backends.Identify(name); err != nil {
			r.Missing = err.Error()
		} else {
			r.Build = &build
		}
		list = append(list, r)
	}
	return append(list, onnxReport())
}

// host shows this host.
func (o *deviceOptions) host(stdout io.Writer) error {
	report := hostReport{Device: devices.Host(), Runtimes: runtimes()}
	d := report.Device
	t := fields("this host",
		"model", d.Model, "vendor", d.Vendor, "architecture", d.Architecture, "instruction sets", d.Features,
		"cores", number(d.Cores, ""), "processors", number(d.LogicalCPUs, ""), "lowest clock", number(d.MinMHz, " MHz"), "highest clock", number(d.MaxMHz, " MHz"),
		"governor", d.Governor, "memory", number(d.MemoryMB, " MB"), "operating system", d.OperatingSystem, "kernel", d.Kernel)
	for _, r := range report.Runtimes {
		row := []string{"backend " + r.Backend, r.Missing}
		if r.Build != nil {
			row[1] = r.Build.String()
		}
		t.Rows = append(t.Rows, row)
	}
	return tables.Write(stdout, o.format, []tables.Table{t}, report)
}

// describe shows a description.
func (o *deviceOptions) describe(stdout io.Writer, name string) error {
	d, err := devices.Load(name)
	if err != nil {
		return err
	}
	t := fields(d.Name,
		"model", d.Model, "architecture", d.Architecture, "--backend", d.Backend, "cores", number(d.Cores, ""),
		"processors to use", join(d.Processors), "--threads", number(d.Threads, ""), "--batch", number(d.Batch, ""))
	t.Notes = d.Notes
	return tables.Write(stdout, o.format, []tables.Table{t}, d)
}

// fields is a table of names and values; empty values are left out.
func fields(title string, pairs ...string) tables.Table {
	t := tables.Table{Title: title, Header: []string{"field", "value"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			t.Rows = append(t.Rows, []string{pairs[i], pairs[i+1]})
		}
	}
	return t
}

// number is empty for 0, which stands for what is unknown or not limited.
func number(n int, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n) + unit
}

// join lists numbers.
func join(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}
