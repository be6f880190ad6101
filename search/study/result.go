package study

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	resultKind    = "densenas.study.part"
	resultVersion = 1
	maxResultFile = 16 << 20 // bytes
	maxScores     = 100_000
	maxImages     = math.MaxInt32
	maxName       = 200 // bytes
)

// Result is what a finished part found.
type Result struct {
	files.Header
	Part string `json:"part"`
	// Seconds that it took, those before an interruption left out.
	Seconds float64 `json:"seconds"`
	Scores  []Score `json:"scores,omitempty"`
}

// Score is how a network did on images.
type Score struct {
	Name    string  `json:"name"` // of the network, or of the part that trained it
	Images  int     `json:"images"`
	Correct int     `json:"correct"`
	Loss    float64 `json:"loss"` // mean cross entropy, in nats
}

// Accuracy is the share of correct answers, 0 to 1.
func (s Score) Accuracy() float64 { return float64(s.Correct) / float64(s.Images) }

func (s Score) check() error {
	switch {
	case s.Name == "" || len(s.Name) > maxName:
		return fmt.Errorf("name has %d bytes, allowed is 1 to %d", len(s.Name), maxName)
	case s.Images < 1 || s.Images > maxImages:
		return fmt.Errorf("images is %d, allowed is 1 to %d", s.Images, maxImages)
	case s.Correct < 0 || s.Correct > s.Images:
		return fmt.Errorf("correct is %d, allowed is 0 to %d", s.Correct, s.Images)
	case !(s.Loss >= 0 && s.Loss <= 1e12):
		return fmt.Errorf("loss is %g, allowed is 0 to 1e12", s.Loss)
	}
	return nil
}

func (r *Result) check() error {
	if !(r.Seconds >= 0 && r.Seconds <= 1e12) {
		return fmt.Errorf("seconds is %g, allowed is 0 to 1e12", r.Seconds)
	}
	if n := len(r.Scores); n > maxScores {
		return fmt.Errorf("scores has %d, allowed are %d", n, maxScores)
	}
	for i, s := range r.Scores {
		if err := s.check(); err != nil {
			return fmt.Errorf("scores[%d]: %w", i, err)
		}
	}
	return nil
}

// Of returns the score of a name.
func (r *Result) Of(name string) (Score, bool) {
	for _, s := range r.Scores {
		if s.Name == name {
			return s, true
		}
	}
	return Score{}, false
}

// PartFolder is the folder of a part in that of a study.
func PartFolder(folder, part string) string { return filepath.Join(folder, PartsFolder, part) }

// WriteResult writes the result of a part into its folder, atomically: then it is finished.
func WriteResult(folder string, r *Result) error {
	path := filepath.Join(PartFolder(folder, r.Part), ResultFile)
	r.Header = files.Header{Kind: resultKind, SchemaVersion: resultVersion}
	return writeJSON(path, r, r.check())
}

// writeJSON writes what was checked.
func writeJSON(path string, v any, err error) error {
	if err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	return files.WriteAtomic(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// ReadResult reads the result of a part; nil where it is not finished.
func ReadResult(folder, part string) (*Result, error) {
	path := filepath.Join(PartFolder(folder, part), ResultFile)
	data, err := files.ReadBounded(path, maxResultFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := parseResult(path, data)
	if err != nil {
		return nil, err
	}
	if r.Part != part {
		return nil, exit.BadInput("%s: is the result of part %.60q, expected %s; remove it to run the part again", path, r.Part, part)
	}
	return r, nil
}

func parseResult(name string, data []byte) (*Result, error) {
	r := new(Result)
	if err := files.DecodeJSONKind(name, data, resultKind, resultVersion, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return r, nil
}
