package rundir

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"

	"go.yaml.in/yaml/v3"
)

const (
	sweepKind    = "densenas.sweep"
	sweepVersion = 1
	maxRuns      = 10_000
)

// Sweep is the plan of many searches that differ in target, seed and device. Paths in it that begin with ./ or ../ are relative
// to its folder, so that the folder can be moved, or mounted elsewhere, together with what it names.
type Sweep struct {
	files.Header `yaml:",inline"`

	TargetsMS []float64    `yaml:"targets_ms"` // each from a nanosecond on
	Seeds     []uint64     `yaml:"seeds"`
	Tables    []SweepTable `yaml:"tables"` // one per device
	// Config is what the runs have in common. Its target, seed and table do not count.
	Config Config `yaml:"config"`
}

// SweepTable is the lookup table of a device.
type SweepTable struct {
	Path     string `yaml:"path"`
	Identity string `yaml:"identity"` // of its content
}

// SweepRun is one search of a sweep.
type SweepRun struct {
	Name     string // of its run folder inside the sweep's: device, target and seed
	Device   string // name of the table's file
	Table    SweepTable
	TargetMS float64
	Seed     uint64
}

// Runs lists the searches, seeds innermost and devices outermost. The order is part of the plan: pods of a cluster find theirs
// by its number.
func (s *Sweep) Runs() []SweepRun {
	var runs []SweepRun
	for i, device := range s.devices() {
		for _, target := range s.TargetsMS {
			for _, seed := range s.Seeds {
				name := fmt.Sprintf("%s-%sms-seed%d", device, strconv.FormatFloat(target, 'f', -1, 64), seed)
				runs = append(runs, SweepRun{name, device, s.Tables[i], target, seed})
			}
		}
	}
	return runs
}

// devices names the tables, each differently: by their files, with what is no letter, digit, dot or hyphen left out.
func (s *Sweep) devices() []string {
	var names []string
	for _, table := range s.Tables {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(table.Path), ".json"), ".lut")
		name = strings.Trim(strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
				return r
			}
			return -1
		}, name), ".-")
		name = cmp.Or(name[:min(len(name), 64)], "table")
		// Names that differ in case only are one folder on some systems.
		taken := func(candidate string) bool {
			return slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(other, candidate) })
		}
		unique := name
		for number := 2; taken(unique); number++ {
			unique = fmt.Sprintf("%s-%d", name, number)
		}
		names = append(names, unique)
	}
	return names
}

// ConfigOf is the configuration of a run of the sweep in folder, with paths that do not depend on it.
func (s *Sweep) ConfigOf(folder string, run SweepRun) (*Config, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	c := s.Config
	c.TargetLatencyMS, c.Seed = run.TargetMS, run.Seed
	c.Space, c.Data = resolve(absolute, c.Space), resolve(absolute, c.Data)
	c.LUT.Path, c.LUT.Identity = resolve(absolute, run.Table.Path), run.Table.Identity
	return &c, nil
}

// resolve makes a path of a plan independent of its folder; a specification of data may name a kind before a colon.
func resolve(folder, path string) string {
	kind, rest, named := strings.Cut(path, ":")
	switch {
	case strings.HasPrefix(path, "./"), strings.HasPrefix(path, "../"):
		return filepath.Join(folder, filepath.FromSlash(path))
	case named && (strings.HasPrefix(rest, "./") || strings.HasPrefix(rest, "../")):
		return kind + ":" + filepath.Join(folder, filepath.FromSlash(rest))
	}
	return path
}

// Relative makes an absolute path, which may stand behind the kind of a specification of data, one of a plan in folder. What
// is no absolute path, such as the name of a built-in space, stays as it is.
func Relative(folder, path string) (string, error) {
	base, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if kind, rest, named := strings.Cut(path, ":"); named && !filepath.IsAbs(path) && filepath.IsAbs(rest) {
		rest, err = Relative(folder, rest)
		return kind + ":" + rest, err
	}
	if !filepath.IsAbs(path) {
		return path, nil
	}
	relative, err := filepath.Rel(base, path)
	if err != nil {
		return path, nil // on another volume: no way leads there but the absolute one
	}
	if relative = filepath.ToSlash(relative); !strings.HasPrefix(relative, "../") && relative != ".." {
		relative = "./" + relative
	}
	return relative, nil
}

// Validate reports the first field that is out of its range, by its name in the file.
func (s *Sweep) Validate() error {
	for _, list := range []struct {
		field string
		count int
	}{{"targets_ms", len(s.TargetsMS)}, {"seeds", len(s.Seeds)}, {"tables", len(s.Tables)}} {
		if list.count < 1 || list.count > maxRuns {
			return fmt.Errorf("%s has %d elements, allowed are 1 to %d", list.field, list.count, maxRuns)
		}
	}
	if n := len(s.TargetsMS) * len(s.Seeds) * len(s.Tables); n > maxRuns {
		return fmt.Errorf("targets, seeds and tables make %d runs, allowed are at most %d", n, maxRuns)
	}
	for i, target := range s.TargetsMS {
		if !(target >= 1e-6 && target <= 1e9) {
			return fmt.Errorf("targets_ms has %g, allowed is 0.000001 to 1000000000", target)
		}
		if slices.Contains(s.TargetsMS[:i], target) {
			return fmt.Errorf("targets_ms has %g twice", target)
		}
	}
	for i, seed := range s.Seeds {
		if slices.Contains(s.Seeds[:i], seed) {
			return fmt.Errorf("seeds has %d twice", seed)
		}
	}
	for i, table := range s.Tables {
		if slices.ContainsFunc(s.Tables[:i], func(other SweepTable) bool { return other.Path == table.Path }) {
			return fmt.Errorf("tables has %q twice", table.Path)
		}
		c := s.Config
		c.LUT.Path, c.LUT.Identity = table.Path, table.Identity
		if table.Path == "" {
			return errors.New("tables has an empty path")
		}
		if err := c.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Encode is the plan as its file has it.
func (s *Sweep) Encode() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	whole := *s
	whole.Header = files.Header{Kind: sweepKind, SchemaVersion: sweepVersion}
	whole.Config.Header = files.Header{Kind: configKind, SchemaVersion: configVersion}
	return yaml.Marshal(&whole)
}

// Write writes the plan into the folder of a sweep, atomically.
func (s *Sweep) Write(folder string) error {
	return files.WriteEncoded(filepath.Join(folder, SweepFile), s.Encode)
}

// ReadSweep reads the plan of a sweep's folder.
func ReadSweep(folder string) (*Sweep, error) {
	data, err := files.ReadOfFolder(folder, SweepFile, maxConfigFile, "the folder of a sweep", "search sweep")
	if err != nil {
		return nil, err
	}
	return parseSweep(filepath.Join(folder, SweepFile), data)
}

func parseSweep(name string, data []byte) (*Sweep, error) {
	s := new(Sweep)
	if err := files.DecodeWholeYAML(name, data, sweepKind, sweepVersion, s); err != nil {
		return nil, err
	}
	if err := s.Config.Header.Check(name+" (config)", configKind, configVersion); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return s, nil
}
