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

// remoteOptions say where else to run.
type remoteOptions struct {
	ssh        string
	sshOptions []string
	adb        string
	binary     string
	library    string
}

// anyPhone is the value of --adb without one.
const anyPhone = "(the only one)"

// remoteFlags are those of remoteOptions.
var remoteFlags = []string{"ssh", "ssh-option", "adb", "remote-binary", "remote-library"}

func (o *remoteOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.ssh, "ssh", "", "run on another machine, `USER@HOST[:PORT]`, by the system's ssh, and bring table and samples back")
	f.StringArrayVar(&o.sshOptions, "ssh-option", nil, "option of ssh, as in its -o: 'IdentityFile=~/.ssh/board'; may be repeated")
	f.StringVar(&o.adb, "adb", "", "run on the Android phone that adb reaches, --adb=`SERIAL` where it reaches several, and bring table and samples back")
	f.Lookup("adb").NoOptDefVal = anyPhone
	f.StringVar(&o.binary, "remote-binary", "", "profiler to copy there, a `FILE` (default: profiler-SYSTEM-ARCHITECTURE beside this program or in dist, as made by \"make dist\")")
	f.StringVar(&o.library, "remote-library", "", "library of ONNX Runtime to copy there, a `FILE` (default: the one that \"sh scripts/onnxruntime.sh SYSTEM/ARCHITECTURE\" got; without it, one that is there)")
}

func (o *remoteOptions) Validate(f *pflag.FlagSet) error {
	switch {
	case o.ssh != "" && f.Changed("adb"):
		return exit.BadInput("--ssh and --adb are two machines: give one")
	case o.ssh == "" && len(o.sshOptions) > 0:
		return exit.BadInput("--ssh-option is for a run on another machine: name it by --ssh")
	case o.ssh == "" && !f.Changed("adb") && (o.binary != "" || o.library != ""):
		return exit.BadInput("--remote-binary and --remote-library are for a run on another machine: name it by --ssh or --adb")
	case f.Changed("adb") && o.adb == "":
		return exit.BadInput("--adb= names no phone: give its serial number, as `adb devices` lists it, or --adb alone for the only one")
	}
	return nil
}

// road is the way to the other machine; nil where there is none.
func (o *remoteOptions) road() (remote.Road, error) {
	switch {
	case o.ssh != "":
		target, err := remote.ParseTarget(o.ssh)
		return remote.SSH{Target: target, Options: o.sshOptions}, err
	case o.adb == anyPhone:
		return remote.ADB{}, nil
	case o.adb != "":
		return remote.ADB{Serial: o.adb}, nil
	}
	return nil, nil
}

// elsewhere lets a run go on another machine. The flags of the run are checked there, where its runtimes and processors are.
func elsewhere(c *cobra.Command, commandLine string) *cobra.Command {
	var o remoteOptions
	o.AddFlags(c.Flags())
	arguments, here := c.Args, c.RunE
	c.Args = func(c *cobra.Command, args []string) error {
		if o.adb == anyPhone && len(args) > 0 {
			return exit.BadInput("unexpected argument %q; a phone's serial number follows an equals sign: --adb=%s", args[0], args[0])
		}
		return arguments(c, args)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.Validate(c.Flags()); err != nil {
			return err
		}
		road, err := o.road()
		if err != nil {
			return err
		}
		if road == nil {
			return here(c, args)
		}
		job, err := o.job(road, c.Flags(), commandLine)
		if err != nil {
			return err
		}
		return remote.Run(c.Context(), job, c.ErrOrStderr())
	}
	c.Example += "\n  profiler run --space mbv2 --ssh pi@board -o pi.lut.json" +
		"\n  profiler run --space mbv2 --adb -o phone.lut.json"
	return c
}

// maxInput bounds a file that goes along, in bytes. Its reader has a bound of its own.
const maxInput = 16 << 20

// job turns the flags of a run here into a run there: files that they name go along.
func (o *remoteOptions) job(road remote.Road, f *pflag.FlagSet, commandLine string) (remote.Job, error) {
	output := f.Lookup("output").Value.String()
	if output == "" {
		return remote.Job{}, exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	job := remote.Job{
		Road: road, Program: o.binary, Library: o.library, Arguments: []string{"run", "--output=" + remote.TableFile},
		Table: output, Journal: profiler.JournalPath(output), Check: checkReturned, CommandLine: commandLine,
	}
	backend, err := backendOf(f)
	if err != nil {
		return remote.Job{}, err
	}
	named, onnx := libraryOf(backend)
	job.ONNXRuntime, job.CopyLibrary = onnx, onnx && named == ""
	if o.library != "" && !job.CopyLibrary {
		return remote.Job{}, exit.BadInput("--remote-library is for --backend onnxruntime, and the backend is %s; leave one of them out", backend)
	}
	embedded := map[string][]string{"space": space.Names(), "device": devices.Names(), "arch": nil}
	var inputs []string
	f.Visit(func(flag *pflag.Flag) {
		if flag.Name == "output" || slices.Contains(remoteFlags, flag.Name) {
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

// backendOf is the backend of a run: the one given, or that of a device's description.
func backendOf(f *pflag.FlagSet) (string, error) {
	if device := f.Lookup("device").Value.String(); device != "" && !f.Changed("backend") {
		d, err := devices.Load(device)
		if err != nil {
			return "", err
		}
		return d.Backend, nil
	}
	return f.Lookup("backend").Value.String(), nil
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

// remoteCommand is the other end of --ssh and --adb.
func remoteCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "remote FOLDER ID",
		Short:  "Serve a run that another machine asked for by --ssh or --adb",
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
