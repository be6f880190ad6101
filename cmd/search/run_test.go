package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/rundir"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

func TestRunSearchesIntoAFolder(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "a", "run")
	stdout, stderr := succeed(t, f.args(folder)...)
	if !strings.HasPrefix(stdout, filepath.Join(folder, rundir.ArchitectureFile)+": ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("standard output is %q", stdout)
	}
	if !strings.Contains(stderr, "backend: go") || strings.Count(stderr, "3 classes (blue, green, red)") != 1 {
		t.Errorf("standard error is %q", stderr)
	}
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	table, err := lut.Read(f.table)
	if err != nil {
		t.Fatal(err)
	}

	c, err := rundir.ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	if c.Space != f.space || c.SpaceFingerprint != s.Fingerprint() || c.LUT.Path != f.table || c.LUT.Identity != table.Identity() || c.DataIdentity == "" ||
		c.Batch != 8 || c.Rate != 0.05 || c.AdamBeta1 != 0.5 {
		t.Errorf("the configuration is %+v", c)
	}

	origin, err := rundir.ReadOrigin(folder)
	if err != nil {
		t.Fatal(err)
	}
	if origin.Command != command.Line(append([]string{"search"}, f.args(folder)...)...) || !strings.HasPrefix(origin.Runtime, "go ") || origin.Processors != runtime.GOMAXPROCS(0) {
		t.Errorf("the origin is %+v", origin)
	}
	if read(t, folder, rundir.SpaceFile) != smallSpace {
		t.Error("the space is not kept")
	}

	records, torn, err := rundir.ReadRecords(folder)
	if err != nil || torn || len(records) != 3 {
		t.Fatalf("%d records, torn %t, %v", len(records), torn, err)
	}
	for i, r := range records {
		phase := rundir.PhaseArchitecture
		if i == 0 {
			phase = rundir.PhaseWeights
		}
		if r.Epoch != i || r.Phase != phase || (r.HeldOutLoss != nil) != (i > 0) || !(r.Seconds > 0) || !(r.TrainLoss > 0) {
			t.Errorf("record %d is %+v", i, r)
		}
	}
	first, last := records[0], records[2]
	if !(last.TrainLoss < first.TrainLoss) {
		t.Errorf("the loss goes from %.3f to %.3f", first.TrainLoss, last.TrainLoss)
	}
	if first.EntropyAlpha != 1 || first.EntropyBeta != 1 || !(last.EntropyAlpha < 1) || !(last.EntropyBeta < 1) {
		t.Errorf("entropies go from %g, %g to %g, %g", first.EntropyAlpha, first.EntropyBeta, last.EntropyAlpha, last.EntropyBeta)
	}

	p, err := space.ReadParameters(filepath.Join(folder, rundir.ParametersFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(s); err != nil {
		t.Error(err)
	}
	if slices.Max(p.Beta[0]) == 0 {
		t.Error("the architecture parameters are still where they started")
	}
	a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
	if err != nil {
		t.Fatal(err)
	}
	if a.Space != "small" || a.Predicted == nil || a.Predicted.Table != table.Identity() {
		t.Errorf("the architecture is of %q, predicted %+v", a.Space, a.Predicted)
	}
	// Its parameters and its table give the same architecture again.
	if derived, _ := succeed(t, "derive", folder); derived != read(t, folder, rundir.ArchitectureFile) {
		t.Errorf("search derive gives\n%s", derived)
	}
}

func TestRunMeetsItsTarget(t *testing.T) {
	f := smallFiles(t)
	// The least target is what the message about a smaller one says.
	err := run(context.Background(), f.args(filepath.Join(t.TempDir(), "run"), "--target-latency", "1us"), io.Discard, io.Discard)
	if err == nil {
		t.Fatal("a target of 1 µs was accepted")
	}
	words := strings.Fields(err.Error())
	var networks []*space.Architecture
	for _, target := range []string{words[len(words)-1], "1ms"} {
		folder := filepath.Join(t.TempDir(), "run")
		succeed(t, f.args(folder, "--target-latency", target)...)
		c, err := rundir.ReadConfig(folder)
		if err != nil {
			t.Fatal(err)
		}
		a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
		if err != nil {
			t.Fatal(err)
		}
		if a.Predicted.LatencyMS > c.TargetLatencyMS {
			t.Errorf("predicted are %g ms, the target is %s", a.Predicted.LatencyMS, target)
		}
		networks = append(networks, a)
	}
	if cmp.Equal(networks[0].Layers, networks[1].Layers) {
		t.Errorf("both targets give the same network, of %g ms", networks[0].Predicted.LatencyMS)
	}
}

// The resolution of training is independent of that of the table.
func TestRunTrainsAtAnotherResolution(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	_, stderr := succeed(t, f.args(folder, "--resolution", "16", "--epochs", "1", "--architecture-epoch", "0")...)
	if !strings.Contains(stderr, "16×16×3") {
		t.Errorf("standard error is %q", stderr)
	}
	a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
	if err != nil || a.Resolution != 8 {
		t.Errorf("the architecture is for %d, %v", a.Resolution, err)
	}
}

// A file or folder of the working folder that is called like a built-in space does not stand for it.
func TestBuiltInNamesAreNotFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"tiny", "mnist", "pictures"} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want string }{
		{absolute("tiny", space.Names()...), "tiny"},
		{absolute("pictures", space.Names()...), filepath.Join(here, "pictures")},
		{absolute("none"), "none"},
		{absoluteData("mnist"), "mnist"},
		{absoluteData("mnist:pictures"), "mnist:" + filepath.Join(here, "pictures")},
		{absoluteData("pictures"), filepath.Join(here, "pictures")},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestRunRefusesTables(t *testing.T) {
	f := smallFiles(t)
	good := read(t, f.table)
	folder := filepath.Join(t.TempDir(), "run")
	check := func(text string, more []string, messages ...string) {
		t.Helper()
		write(t, f.table, text)
		refused(t, f.args(folder, more...), append(messages, f.table)...)
		missing(t, folder)
		write(t, f.table, good)
	}
	replaced := func(from, to string) string {
		t.Helper()
		if !strings.Contains(good, from) {
			t.Fatalf("the table has no %q", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	check(good[:len(good)/2], nil, "truncated")
	check("", nil, "")
	check(replaced(`"densenas.lut"`, `"densenas.arch"`), nil, "densenas.arch", "densenas.lut")
	check("PK\x03\x04 something else", nil, "is not JSON")
	check(replaced(`"schema_version": 1`, `"schema_version": 99`), nil, "schema version 99", "upgrade")
	check(replaced(`"unit": "ms"`, `"unit": "us"`), nil, `"us"`, `"ms"`)
	check(replaced(`"batch": 1`, `"batch": 8`), nil, "measured at batch 8", "--lut-batch 8")
	check(good, []string{"--lut-batch", "4"}, "measured at batch 1, but 4 is wanted")
	check(replaced(`"dtype": "f32"`, `"dtype": "bf16"`), nil, "measured with bf16", "--lut-dtype bf16")
	check(good, []string{"--lut-dtype", "f16"}, "measured with f32, but f16 is wanted")
	check(replaced(`"layout": "nhwc"`, `"layout": "nhwc", "caches": "cold"`), nil, "measured with cold caches", "--lut-caches cold")
	check(good, []string{"--lut-resolution", "16"}, "measured for resolution 8, but 16 is wanted", "--lut-resolution 8")

	writeTable(t, f, func(table *lut.Table) { table.Entries = table.Entries[:len(table.Entries)-5] })
	refused(t, f.args(folder), f.table, "5 of ", " keys missing, first: ", ", …", "measure them with: profiler run --space ")
	missing(t, folder)
	write(t, f.table, good)

	table, err := lut.Read(f.table)
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	fastest := fmt.Sprintf("takes %.4g ms", fastestOf(t, s, table))
	check(good, []string{"--target-latency", "1us"}, "0.001 ms is below the fastest possible architecture", fastest)
}

// fastestOf tries every architecture of a space whose head and stack candidates are told apart by cost alone.
func fastestOf(t *testing.T, s *space.Space, table *lut.Table) float64 {
	t.Helper()
	fastest := math.Inf(1)
	var walk func(path []int, heads []space.Op, stacks [][]space.Op)
	walk = func(path []int, heads []space.Op, stacks [][]space.Op) {
		for _, c := range s.Outgoing(path[len(path)-1]) {
			for _, head := range s.HeadOps(c) {
				heads := append(slices.Clone(heads), head)
				if c.To == len(s.Blocks) {
					predicted, err := table.Predict(s.Network(path, heads, stacks))
					if err != nil {
						t.Fatal(err)
					}
					fastest = min(fastest, predicted.LatencyMS)
					continue
				}
				for _, op := range s.StackOps(c.To) {
					walk(append(slices.Clone(path), c.To), heads, append(slices.Clone(stacks), []space.Op{op}))
				}
			}
		}
	}
	walk([]int{0}, nil, nil)
	return fastest
}

func TestRunRefusesNames(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	for _, c := range []struct {
		more     []string
		messages []string
	}{
		{[]string{"--space", "large"}, []string{`unknown space "large"`, "cifar, cifar-fixed, mbv2, mbv2-fixed, res, tiny"}},
		{[]string{"--space", f.table}, []string{f.table, "densenas.lut"}},
		{[]string{"--lut", filepath.Join(folder, "none.lut.json")}, []string{"none.lut.json", "no such file"}},
		{[]string{"--lut", ""}, []string{"--lut FILE.lut.json", "profiler run --space"}},
		{[]string{"--backend", "tpu"}, []string{`unknown backend "tpu"`, "auto, go, xla"}},
		{[]string{"--backend", "xla:" + f.table + ".none"}, []string{f.table + ".none", "make xla"}},
		{[]string{"--data", f.data + ".none"}, []string{f.data + ".none", "no such file or folder"}},
		{[]string{"--data", ""}, []string{"--data mnist"}},
		{[]string{"--data", f.config}, []string{f.config, "zip"}},
		{[]string{"--config", f.config + ".none"}, []string{f.config + ".none"}},
		{[]string{"--config", f.space}, []string{f.space, "densenas.config"}},
		{[]string{"--batch", "0"}, []string{"batch is 0"}},
		{[]string{"--batch", "64"}, []string{f.data, "fewer than a batch of 64"}},
		{[]string{"--epochs", "0"}, []string{"epochs is 0"}},
		{[]string{"--epochs", "1"}, []string{"--architecture-epoch is 1", "--epochs 1"}},
		{[]string{"--architecture-epoch", "7", "--target-latency", "1ms"}, []string{"never be trained", "--architecture-epoch is 7", "--epochs 3"}},
		{[]string{"--resolution", "-1"}, []string{"resolution is -1"}},
		{[]string{"--resolution", "4"}, []string{"resolution 4"}},
		{[]string{"--augmentation", "blur"}, []string{`"blur"`, "crop-flip"}},
		{[]string{"--limit", "2"}, []string{"limit of 2"}},
		{[]string{"--target-latency", "0s"}, []string{"--target-latency is 0s"}},
		{[]string{"--target-latency", "fast"}, []string{"--target-latency", "search run --help"}},
		{[]string{"--no-such-flag"}, []string{"--no-such-flag", "search run --help"}},
		{[]string{"more"}, []string{`"more"`, "search run --help"}},
	} {
		refused(t, f.args(folder, c.more...), c.messages...)
		missing(t, folder)
	}
	refused(t, []string{"run", "-o", folder}, "--space")
	refused(t, []string{"run", "--space", f.space}, "-o FOLDER")
	refused(t, []string{"resume"}, "FOLDER")
	refused(t, []string{"resume", folder}, folder, rundir.ConfigFile)
	refused(t, []string{"find"}, `"find"`)
	missing(t, folder)
}

func TestRunRefusesOutputs(t *testing.T) {
	f := smallFiles(t)
	taken := t.TempDir()
	write(t, filepath.Join(taken, "notes.txt"), "mine")
	refused(t, f.args(taken), taken+" is not empty", "search resume "+taken)
	if entries, err := os.ReadDir(taken); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries now, %v", len(entries), err)
	}
	refused(t, f.args(filepath.Join(f.table, "run")), "-o: ", f.table)
	refused(t, f.args(f.table), "-o: ", f.table)
	if runtime.GOOS == "linux" { // there nobody can write to /proc
		// Refused before anything is read.
		refused(t, f.args("/proc/a/run", "--lut", f.table+".none"), "-o: ", "/proc")
	}
	// A run folder among the images would be taken for a class when the run continues.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(f.data, link); err != nil {
		t.Fatal(err)
	}
	for _, inside := range []string{filepath.Join(f.data, "run"), filepath.Join(f.data, "red", "a", "run"), filepath.Join(link, "run")} {
		refused(t, f.args(inside), "-o "+inside+" lies in the folder of the images")
	}
	missing(t, filepath.Join(f.data, "run"))
	// An empty folder is taken.
	folder := t.TempDir()
	succeed(t, f.args(folder, "--epochs", "1", "--architecture-epoch", "0")...)
}

// A run that fails while it begins takes away what it made, and nothing else.
func TestFailedBeginningLeavesNothing(t *testing.T) {
	root, broken := t.TempDir(), errors.New("the disk is full")
	folder := filepath.Join(root, "a", "run")
	halfSaved := func() error {
		for _, name := range []string{rundir.OriginFile, rundir.SpaceFile, rundir.ConfigFile, rundir.ParametersFile} {
			write(t, filepath.Join(folder, name), "all of it")
		}
		write(t, checkpointPath(folder), "half of it")
		return broken
	}
	if _, err := createFolder(folder, halfSaved); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	missing(t, filepath.Join(root, "a"))

	// An empty folder that was there stays, and so does what another run has put into it.
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := createFolder(folder, halfSaved); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	write(t, filepath.Join(folder, rundir.ConfigFile), "another's")
	if _, err := createFolder(folder, halfSaved); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

func TestRunRefusesImages(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	empty := filepath.Join(f.data, "yellow")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	refused(t, f.args(folder), f.data, "class folder yellow is empty")
	missing(t, folder)
	if err := os.Remove(empty); err != nil {
		t.Fatal(err)
	}

	// What is refused is said alone, not behind a description of the images.
	var stderr bytes.Buffer
	if err := run(context.Background(), f.args(folder, "--batch", "50"), io.Discard, &stderr); exit.Code(err) != exit.CodeBadInput || strings.Contains(stderr.String(), "data:") {
		t.Errorf("a batch of 50 images: error %v behind %q", err, stderr.String())
	}
	missing(t, folder)

	broken := read(t, f.data, "red", "03.png")
	write(t, filepath.Join(f.data, "red", "03.png"), broken[:len(broken)/2])
	refused(t, f.args(folder), "corrupt image red/03.png", "1 of 72 images", "--skip-corrupt")
	missing(t, folder)
	_, said := succeed(t, f.args(folder, "--skip-corrupt", "--epochs", "1", "--architecture-epoch", "0")...)
	if strings.Count(said, "red/03.png") != 1 || !strings.Contains(said, "1 corrupt images left out") {
		t.Errorf("standard error is %q", said)
	}
	if !strings.Contains(read(t, folder, rundir.ConfigFile), "skip_corrupt: true") {
		t.Error("a resumed run would not skip corrupt images")
	}
}

// missing reports a folder that a refused run left behind.
func missing(t *testing.T, folder string) {
	t.Helper()
	if _, err := os.Lstat(folder); !os.IsNotExist(err) {
		t.Errorf("%s was left behind", folder)
		os.RemoveAll(folder)
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, command := range []string{"run", "resume", "derive", "cost", "train"} {
		if out, _ := succeed(t, command, "--help"); !strings.Contains(out, "Examples:\n  search "+command) {
			t.Errorf("search %s --help:\n%s", command, out)
		}
	}
	if out, _ := succeed(t); !strings.Contains(out, "Available Commands:") {
		t.Errorf("search alone prints\n%s", out)
	}
	refused(t, []string{"run", "--space"}, "--space", "search run --help")
}

// A search by a verified table says so in its configuration, and of the latency that it prints.
func TestRunKnowsAVerifiedTable(t *testing.T) {
	f := smallFiles(t)
	table, err := lut.Read(f.table)
	if err != nil {
		t.Fatal(err)
	}
	accuracy := lut.NewAccuracy([]float64{1, 2}, []float64{1, 2})
	table.Verification = &lut.Verification{Space: "small", Resolution: 8, Fit: lut.Fit{Networks: 2, Terms: []lut.Term{{Pattern: "*", Scale: 1}}}, HeldOut: accuracy, Sum: accuracy}
	if err := table.Write(f.table); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "run")
	stdout, _ := succeed(t, f.args(folder)...)
	if strings.Contains(stdout, "unverified") {
		t.Errorf("standard output is %q", stdout)
	}
	c, err := rundir.ReadConfig(folder)
	if err != nil || !c.LUT.Verified {
		t.Errorf("the configuration is %+v, %v", c, err)
	}
	a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
	if err != nil || !a.Predicted.Verified {
		t.Errorf("the architecture predicts %+v, %v", a.Predicted, err)
	}
	if out, _ := succeed(t, "range", "--space", f.space, "--lut", f.table); strings.Contains(out, "unverified") {
		t.Errorf("range prints %q", out)
	}
}
