package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/remote"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"
)

// sshOptions say where else to run.
type sshOptions struct {
	target  string
	options []string
	binary  string
}

func (o *sshOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.target, "ssh", "", "run on another machine, `USER@HOST[:PORT]`, by the system's ssh, and bring table and samples back")
	f.StringArrayVar(&o.options, "ssh-option", nil, "option of ssh, as in its -o: 'IdentityFile=~/.ssh/board'; may be repeated")
	f.StringVar(&o.binary, "ssh-binary", "", "profiler to copy there, a `FILE` (default: profiler-SYSTEM-ARCHITECTURE beside this program or in dist, as made by \"make dist\")")
}

func (o *sshOptions) Validate() error {
	if o.target == "" && (len(o.options) > 0 || o.binary != "") {
		return exit.BadInput("--ssh-option and --ssh-binary are for a run on another machine: name it by --ssh")
	}
	return nil
}

// overSSH lets a run go on another machine. The flags of the run are checked there, where its runtimes and processors are.
func overSSH(c *cobra.Command, commandLine string) *cobra.Command {
	var o sshOptions
	o.AddFlags(c.Flags())
	here := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.Validate(); err != nil {
			return err
		}
		if o.target == "" {
			return here(c, args)
		}
		job, err := o.job(c.Flags(), commandLine)
		if err != nil {
			return err
		}
		return remote.Run(c.Context(), job, c.ErrOrStderr())
	}
	c.Example += "\n  profiler run --space mbv2 --ssh pi@board -o pi.lut.json"
	return c
}

// maxInput bounds a file that goes along, in bytes. Its reader has a bound of its own.
const maxInput = 16 << 20

// job turns the flags of a run here into a run there: files that they name go along.
func (o *sshOptions) job(f *pflag.FlagSet, commandLine string) (remote.Job, error) {
	target, err := remote.ParseTarget(o.target)
	if err != nil {
		return remote.Job{}, err
	}
	output := f.Lookup("output").Value.String()
	if output == "" {
		return remote.Job{}, exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	job := remote.Job{
		Target: target, Options: o.options, Program: o.binary, Arguments: []string{"run", "--output=" + remote.TableFile},
		Table: output, Journal: profiler.JournalPath(output), Check: checkReturned, CommandLine: commandLine,
	}
	embedded := map[string][]string{"space": space.Names(), "device": devices.Names(), "arch": nil}
	var inputs []string
	f.Visit(func(flag *pflag.Flag) {
		if slices.Contains([]string{"ssh", "ssh-option", "ssh-binary", "output"}, flag.Name) {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if names, isFile := embedded[flag.Name]; isFile && !slices.Contains(names, value) {
				inputs = append(inputs, value)
				value = remote.InputName(len(inputs) - 1)
			}
			job.Arguments = append(job.Arguments, "--"+flag.Name+"="+value)
		}
	})
	if err := command.CheckOutput(output, inputs...); err != nil {
		return remote.Job{}, err
	}
	for _, path := range inputs {
		data, err := files.ReadBounded(path, maxInput)
		if err != nil {
			return remote.Job{}, err
		}
		job.Inputs = append(job.Inputs, data)
	}
	job.ID, err = runID(output, job.Journal)
	return job, err
}

// runID names a run by where its table is, here, and by what the table and its journal hold so far: a run that was interrupted
// goes on under the same name, and one into a file that was removed or changed meanwhile begins anew.
func runID(table, journal string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name of this machine: %w", err)
	}
	path, err := filepath.Abs(table)
	if err != nil {
		return "", err
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	id := sha256.New()
	fmt.Fprintf(id, "%q %d %q\n", host, os.Getuid(), path)
	for _, name := range []string{table, journal} {
		digest, err := digestOf(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(id, digest)
	}
	return hex.EncodeToString(id.Sum(nil))[:32], nil
}

// digestOf is the SHA-256 of a file; none where there is no file.
func digestOf(path string) (string, error) {
	digest, err := files.Digest(path)
	if errors.Is(err, os.ErrNotExist) {
		return "none", nil
	}
	return digest, exit.AsBadInput(err)
}

// checkReturned reads what another machine sent as strictly as any file.
func checkReturned(table, journal string) error {
	if _, err := lut.Read(table); err != nil {
		return err
	}
	if journal == "" {
		return nil
	}
	_, err := profiler.ReadJournal(journal)
	return err
}

// remoteCommand is the other end of --ssh.
func remoteCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "remote FOLDER ID",
		Short:  "Serve a run that another machine asked for by --ssh",
		Hidden: true,
		Args:   command.Arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := surviveTheConnection(c.Context())
			defer stop()
			// The error is in the answer.
			return remote.Serve(ctx, args[0], args[1], c.InOrStdin(), c.OutOrStdout(), func(ctx context.Context, folder string, args []string) error {
				if err := os.Chdir(folder); err != nil {
					return err
				}
				return run(ctx, args, io.Discard, c.ErrOrStderr())
			})
		},
	}
}
