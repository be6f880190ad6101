package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	metricsKind    = "densenas.metrics"
	metricsVersion = 1
	maxMetricsFile = 64 << 20 // bytes
	maxMetricsLine = 64 << 10
	maxEpoch       = 1_000_000
)

// The phases of a search: weights alone, then architecture parameters and weights in turn.
const (
	PhaseWeights      = "weights"
	PhaseArchitecture = "architecture"
)

// Record describes one epoch.
type Record struct {
	files.Header

	Epoch           int     `json:"epoch"` // from 0
	Phase           string  `json:"phase"` // PhaseWeights or PhaseArchitecture
	Steps           int     `json:"steps"` // of both passes
	Seconds         float64 `json:"seconds"`
	ImagesPerSecond float64 `json:"images_per_second"`
	TrainLoss       float64 `json:"train_loss"`     // cross entropy, of the weight pass
	TrainAccuracy   float64 `json:"train_accuracy"` // 0 to 1
	// Of the architecture pass; nil in an epoch that has none.
	HeldOutLoss     *float64 `json:"held_out_loss,omitempty"`
	HeldOutAccuracy *float64 `json:"held_out_accuracy,omitempty"`

	// Of the latency by the first table; 0 where latency is no objective.
	ExpectedLatencyMS float64 `json:"expected_latency_ms"`         // the chained cost
	TargetLatencyMS   float64 `json:"target_latency_ms,omitempty"` // 0: none
	Factor            float64 `json:"factor"`                      // of the latency in the loss; with a target the multiplier, of either sign
	// Others are the objectives besides, in the order of the configuration: latencies by further tables, then what is counted.
	Others       []OtherObjective `json:"other_objectives,omitempty"`
	EntropyAlpha float64          `json:"entropy_alpha"` // mean over the layers, as a share of the largest: 0 to 1
	EntropyBeta  float64          `json:"entropy_beta"`  // likewise, over the blocks
	SkipShare    float64          `json:"skip_share"`    // mean probability of the skip where there is one
	// Warnings are of what is beyond its limit in the epoch.
	Warnings []Warning `json:"warnings,omitempty"`
}

// OtherObjective is an objective besides the latency by the first table.
type OtherObjective struct {
	Objective string  `json:"objective"`        // ObjectiveLatency, ObjectiveMultiplyAdds or ObjectiveParameters
	Table     string  `json:"table,omitempty"`  // name of the table's file, for a latency
	Unit      string  `json:"unit"`             // of the next two: ms or millions
	Expected  float64 `json:"expected"`         // the chained cost
	Target    float64 `json:"target,omitempty"` // 0: none
	Factor    float64 `json:"factor"`           // of the cost in the loss; with a target the multiplier, of either sign
}

func (r *Record) check() error {
	if r.Epoch < 0 || r.Epoch > maxEpoch {
		return fmt.Errorf("epoch is %d, allowed is 0 to %d", r.Epoch, maxEpoch)
	}
	if r.Phase != PhaseWeights && r.Phase != PhaseArchitecture {
		return fmt.Errorf("phase is %.40q, known are %s and %s", r.Phase, PhaseWeights, PhaseArchitecture)
	}
	if r.Steps < 0 {
		return fmt.Errorf("steps is %d, allowed is from 0", r.Steps)
	}
	if err := r.checkWarnings(); err != nil {
		return err
	}
	loss, accuracy := 0.0, 0.0
	if r.HeldOutLoss != nil {
		loss = *r.HeldOutLoss
	}
	if r.HeldOutAccuracy != nil {
		accuracy = *r.HeldOutAccuracy
	}
	const most, share = 1e12, 1 + 1e-9
	type bounded struct {
		field       string
		value, high float64
	}
	if n := len(r.Others); n > maxOtherLUTs+2 {
		return fmt.Errorf("other_objectives has %d, allowed are at most %d", n, maxOtherLUTs+2)
	}
	var others []bounded
	for i, o := range r.Others {
		at := fmt.Sprintf("other_objectives[%d].", i)
		if len(o.Objective) > 100 || len(o.Table) > maxText || len(o.Unit) > 100 {
			return fmt.Errorf("%sobjective, table or unit is too long", at)
		}
		others = append(others, bounded{at + "expected", o.Expected, most}, bounded{at + "target", o.Target, most}, bounded{at + "factor", math.Abs(o.Factor), most})
	}
	for _, f := range append(others, []bounded{{"seconds", r.Seconds, most}, {"images_per_second", r.ImagesPerSecond, most}, {"train_loss", r.TrainLoss, most}, {"train_accuracy", r.TrainAccuracy, share},
		{"held_out_loss", loss, most}, {"held_out_accuracy", accuracy, share}, {"expected_latency_ms", r.ExpectedLatencyMS, most},
		{"target_latency_ms", r.TargetLatencyMS, most}, {"factor", math.Abs(r.Factor), most}, {"entropy_alpha", r.EntropyAlpha, share},
		{"entropy_beta", r.EntropyBeta, share}, {"skip_share", r.SkipShare, share}}...) {
		if !(f.value >= 0 && f.value <= f.high) {
			return fmt.Errorf("%s is %g, allowed is 0 to %.0f", f.field, f.value, f.high)
		}
	}
	return nil
}

// AppendRecord adds a record to a run folder's metrics and syncs it. A torn record that a crash left at the end is removed
// before.
func AppendRecord(folder string, r Record) (err error) {
	path := filepath.Join(folder, MetricsFile)
	r.Header = files.Header{Kind: metricsKind, SchemaVersion: metricsVersion}
	if err := r.check(); err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	line, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	existing, err := files.ReadBounded(path, maxMetricsFile)
	created := errors.Is(err, fs.ErrNotExist)
	if err != nil && !created {
		return err
	}
	line = append(line, '\n')
	whole := int64(bytes.LastIndexByte(existing, '\n') + 1)
	if tail := existing[whole:]; json.Valid(tail) { // only its end of line is lost
		whole, line = int64(len(existing)), append([]byte{'\n'}, line...)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	if err := f.Truncate(whole); err != nil {
		return err
	}
	if _, err := f.WriteAt(line, whole); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if created {
		return files.SyncFolder(folder)
	}
	return nil
}

// KeepRecords drops the records of epoch before and of later ones, which a search that continues from a checkpoint makes
// again, and a torn one at the end. A folder without metrics is left as it is.
func KeepRecords(folder string, before int) error {
	path := filepath.Join(folder, MetricsFile)
	records, _, err := ReadRecords(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return files.WriteAtomic(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		for i := range records {
			if records[i].Epoch >= before {
				break
			}
			if err := e.Encode(&records[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReadRecords reads a run folder's metrics. torn says that the last line broke off and was dropped, as a crash leaves it.
func ReadRecords(folder string) (records []Record, torn bool, err error) {
	path := filepath.Join(folder, MetricsFile)
	data, err := files.ReadBounded(path, maxMetricsFile)
	if err != nil {
		return nil, false, err
	}
	return parseRecords(path, data)
}

func parseRecords(name string, data []byte) (records []Record, torn bool, err error) {
	for number := 1; len(data) > 0; number++ {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		data = rest
		place := fmt.Sprintf("%s:%d", name, number)
		if len(line) > maxMetricsLine {
			return nil, false, exit.BadInput("%s: a line of %d bytes, allowed are at most %d; is it the right file?", place, len(line), maxMetricsLine)
		}
		if !ended && !json.Valid(line) {
			return records, true, nil
		}
		var r Record
		if err := files.DecodeJSONKind(place, line, metricsKind, metricsVersion, &r); err != nil {
			// Empty lines before it put the line at its place in the file.
			padded := append(bytes.Repeat([]byte{'\n'}, number-1), line...)
			if placed := files.DecodeJSONKind(name, padded, metricsKind, metricsVersion, &r); placed != nil && strings.HasPrefix(placed.Error(), place+":") {
				err = placed
			}
			return nil, false, err
		}
		if err := r.check(); err != nil {
			return nil, false, exit.BadInput("%s: %w", place, err)
		}
		if n := len(records); n > 0 && r.Epoch <= records[n-1].Epoch {
			return nil, false, exit.BadInput("%s: epoch %d after epoch %d; remove the doubled records", place, r.Epoch, records[n-1].Epoch)
		}
		records = append(records, r)
	}
	return records, false, nil
}
