package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/search/study"
	"densenas/supernet/space"
)

// studyOptions are what search study is asked for.
type studyOptions struct {
	Config        string // file; empty: that of the folder
	LUT           string // these go before the file's
	Data          string
	TargetLatency time.Duration
	Format        tables.Format
	Output        string
}

func (o *studyOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.LUT, "lut", "", "lookup table of the device, FILE.lut.json (default: the configuration's)")
	f.StringVar(&o.Data, "data", "", "images, as for search run (default: the configuration's)")
	f.DurationVar(&o.TargetLatency, "target-latency", 0, "latency to compare at, such as 0.65ms (default: the configuration's)")
	f.Var(&o.Format, "format", tables.FormatUsage)
	f.StringVarP(&o.Output, "output", "o", "", "folder of the study, to create or to continue")
}

func (o *studyOptions) Validate() error {
	switch {
	case o.Output == "":
		return exit.BadInput("no folder for the study: give -o FOLDER")
	case o.TargetLatency < 0:
		return exit.BadInput("--target-latency is %v, allowed is a positive duration such as 0.65ms", o.TargetLatency)
	case o.Config == "" && (o.LUT != "" || o.Data != "" || o.TargetLatency != 0):
		return exit.BadInput("--lut, --data and --target-latency are for a new study: name its CONFIG")
	}
	return command.CheckOutputFolder(o.Output)
}

func newStudyCommand() *cobra.Command {
	var o studyOptions
	c := &cobra.Command{
		Use:   "study [CONFIG] -o FOLDER",
		Short: "Compare what a search finds with random and hand-made networks",
		Long: `Compare networks of one latency: those that searches derive, random ones, those that a space of fixed widths gives when it is searched
likewise, and MobileNetV2 scaled to the latency. All are trained from scratch by one recipe.

Prints the accuracy of each group with its interval, the gain over the random networks with the smallest gain that could have been seen,
and how well the accuracy inside the super network ranks networks; study.json and study.svg in the folder have the same.
Test images are looked at once, at the end, when everything is trained.

What is finished is not repeated: after Ctrl-C the same command goes on, or search study -o FOLDER. Several processes may share the
work of a folder: each takes parts that no other is at.`,
		Example: `  search study study.yaml -o study
  search study scripts/study.yaml --lut phone.lut.json --data pictures.zip --target-latency 0.65ms -o study
  search study -o study --format markdown
  taskset -c 0 search study study.yaml -o study & taskset -c 1 search study study.yaml -o study`,
		Args: command.Arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Config = args[0]
			}
			if err := o.Validate(); err != nil {
				return err
			}
			err := o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			if exit.Code(err) == exit.CodeInterrupted {
				return exit.Interrupted{Continue: command.Line("search", "study", "-o", o.Output)}
			}
			return err
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *studyOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	s, err := o.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.execute(ctx); err != nil {
		return err
	}
	r, err := study.ReadResults(filepath.Join(o.Output, study.ResultsFile))
	if err != nil {
		return err
	}
	return r.Print(stdout, o.Format)
}

// open reads and checks everything, and creates the folder of the study or continues the same one.
func (o *studyOptions) open(ctx context.Context, stderr io.Writer) (*studying, error) {
	c, err := o.read()
	if err != nil {
		return nil, err
	}
	s := &studying{folder: o.Output, config: c, stderr: stderr}
	if err := s.openSpaces(); err != nil {
		return nil, err
	}
	if inside(o.Output, dataset.Folder(c.Search.Data)) {
		return nil, exit.BadInput("-o %s lies in the folder of the images, %s, and would become a part of them; name a folder elsewhere", o.Output, dataset.Folder(c.Search.Data))
	}
	if err := s.openData(ctx, c.HeldOutSeed()); err != nil {
		return nil, err
	}
	c.Search.DataIdentity = s.data.Identity()
	if err := s.create(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// read reads the configuration.
func (o *studyOptions) read() (*study.Config, error) {
	if o.Config == "" {
		return study.Read(o.Output)
	}
	c, err := study.Load(o.Config, func(c *study.Config) {
		if o.LUT != "" {
			c.Search.LUT.Path = o.LUT
		}
		if o.Data != "" {
			c.Search.Data = o.Data
		}
		if o.TargetLatency != 0 {
			c.Search.TargetLatencyMS = milliseconds(o.TargetLatency)
		}
	})
	if err != nil {
		return nil, err
	}
	c.Search.Space, c.Search.Data, c.Search.LUT.Path = absolute(c.Search.Space, space.Names()...), absoluteData(c.Search.Data), absolute(c.Search.LUT.Path)
	c.Fixed.Space = absolute(c.Fixed.Space, space.Names()...)
	return c, nil
}

// create creates the folder with the configuration, or accepts one that has the same.
func (s *studying) create(ctx context.Context) error {
	if there, err := s.continues(); there || err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return exit.BadInput("-o: %w; name a folder that can be created", err)
	}
	// Of processes that begin at the same time one writes the configuration, and the others find it.
	lock, err := rundir.Acquire(s.folder)
	for locked := (rundir.LockedError{}); errors.As(err, &locked); lock, err = rundir.Acquire(s.folder) {
		if err := pause(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if there, err := s.continues(); there || err != nil {
		return err
	}
	if empty, err := rundir.Empty(s.folder); err == nil && !empty {
		return exit.BadInput("%s is not empty and holds no study; name another folder", s.folder)
	}
	return s.config.Write(s.folder)
}

// continues says whether the folder holds a study, which must be this one.
func (s *studying) continues() (bool, error) {
	if _, err := os.Stat(filepath.Join(s.folder, study.ConfigFile)); err != nil {
		return false, nil
	}
	there, err := study.Read(s.folder)
	if err != nil {
		return true, err
	}
	differ, err := there.Differences(s.config)
	if err == nil && len(differ) > 0 {
		err = exit.BadInput("%s holds another study: it differs there and here in %s; continue that one by `%s`, or name another folder",
			s.folder, strings.Join(differ[:min(3, len(differ))], ", "), command.Line("search", "study", "-o", s.folder))
	}
	return true, err
}

// waitForOthers is the time between two looks at what other processes have finished.
const waitForOthers = time.Second

// execute does all parts that are not finished, as far as no other process is at them, and waits for those.
func (s *studying) execute(ctx context.Context) error {
	waiting := false
	for {
		did, all, err := s.next(ctx)
		switch {
		case err != nil:
			return err
		case all:
			return nil
		case did:
			waiting = false
			continue
		case !waiting:
			waiting = true
			fmt.Fprintln(s.stderr, "waiting for the parts that other processes are at")
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits until it is time for another look at what other processes do.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(waitForOthers):
		return nil
	}
}

// next does the first part that is not finished, that waits for no other part, and that no other process is at. It returns whether it
// did one, and whether all parts are finished.
func (s *studying) next(ctx context.Context) (did, all bool, err error) {
	finished := map[string]*study.Result{}
	for _, p := range s.parts {
		r, err := study.ReadResult(s.folder, p.Name)
		if err != nil {
			return false, false, err
		}
		if r != nil {
			finished[p.Name] = r
		}
	}
	if len(finished) == len(s.parts) {
		return false, true, nil
	}
	for i, p := range s.parts {
		if finished[p.Name] != nil || !ready(p, finished) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, false, err
		}
		at := study.PartFolder(s.folder, p.Name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return false, false, err
		}
		lock, err := rundir.Acquire(at)
		if locked := (rundir.LockedError{}); errors.As(err, &locked) {
			continue
		}
		if err != nil {
			return false, false, err
		}
		r, err := study.ReadResult(s.folder, p.Name) // it may have been finished meanwhile
		if err == nil && r == nil {
			fmt.Fprintf(s.stderr, "part %d of %d: %s%s\n", i+1, len(s.parts), p.Name, timeLeft(s.parts, finished))
			err = s.do(ctx, p)
		}
		lock.Release()
		if err != nil && exit.Code(err) != exit.CodeInterrupted {
			err = fmt.Errorf("part %s: %w", p.Name, err)
		}
		return err == nil, false, err
	}
	return false, false, nil
}

func ready(p study.Part, finished map[string]*study.Result) bool {
	for _, name := range p.After {
		if finished[name] == nil {
			return false
		}
	}
	return true
}

// timeLeft says how long the unfinished parts take one after another, as far as parts of their kind have been seen.
func timeLeft(parts []study.Part, finished map[string]*study.Result) string {
	seconds, seen, left := map[study.Kind]float64{}, map[study.Kind]int{}, map[study.Kind]int{}
	for _, p := range parts {
		if r := finished[p.Name]; r != nil {
			seconds[p.Kind] += r.Seconds
			seen[p.Kind]++
		} else {
			left[p.Kind]++
		}
	}
	sum, least := 0.0, ""
	for kind, n := range left {
		if seen[kind] > 0 {
			sum += float64(n) * seconds[kind] / float64(seen[kind])
		} else if kind == study.KindSearch || kind == study.KindTrain {
			least = "at least "
		}
	}
	if sum == 0 {
		return ""
	}
	return fmt.Sprintf(", %s%v of work left", least, time.Duration(sum*float64(time.Second)).Round(time.Second))
}
