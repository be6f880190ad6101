package profiler

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
)

// Kind and SchemaVersion of a file of measured networks, *.networks.json.
const (
	NetworksKind          = "densenas.networks"
	NetworksSchemaVersion = 1
)

// maxNetworksFile bounds such a file, in bytes.
const maxNetworksFile = 256 << 20

// NetworksPath is where a verification keeps the networks that it has measured: a.networks.json beside a.lut.json.
func NetworksPath(table string) string {
	return strings.TrimSuffix(table, ".lut.json") + ".networks.json"
}

// NetworkRounds are the rounds of a network that count.
type NetworkRounds struct {
	MediansMS  []float64 `json:"medians_ms"`            // of the laps in each, as observed
	SentinelMS []float64 `json:"sentinel_ms,omitempty"` // around them; none without a sentinel
	Noisy      bool      `json:"noisy,omitempty"`       // the time was used up before the interval was narrow enough
}

// NetworksFile holds the first of the networks that a verification draws, as far as they were measured: all, when it ended.
type NetworksFile struct {
	files.Header
	Table      string          `json:"table"` // identity of the table without its verification
	Space      string          `json:"space"` // fingerprint
	Resolution int             `json:"resolution"`
	Drawn      int             `json:"drawn"` // networks
	Policy     JournalPolicy   `json:"policy"`
	Networks   []NetworkRounds `json:"networks"`
}

// Continues says whether the networks are the first ones of another verification, which may go on from them.
func (f *NetworksFile) Continues(other *NetworksFile) bool {
	return f.Table == other.Table && f.Space == other.Space && f.Resolution == other.Resolution && f.Drawn == other.Drawn && f.Policy == other.Policy
}

// Write writes the file atomically.
func (f *NetworksFile) Write(path string) error {
	f.Header = files.Header{Kind: NetworksKind, SchemaVersion: NetworksSchemaVersion}
	return files.WriteAtomic(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(f) })
}

// ReadNetworks reads a file of measured networks strictly. What is wrong with it is bad input that names file, place and way out.
func ReadNetworks(path string) (*NetworksFile, error) {
	data, err := files.ReadBounded(path, maxNetworksFile)
	if err != nil {
		return nil, err
	}
	return parseNetworks(path, data)
}

func parseNetworks(name string, data []byte) (*NetworksFile, error) {
	var f NetworksFile
	if err := files.DecodeJSONKind(name, data, NetworksKind, NetworksSchemaVersion, &f); err != nil {
		return nil, err
	}
	if f.Drawn < FewestNetworks || f.Drawn > MaxNetworks || len(f.Networks) > f.Drawn {
		return nil, exit.BadInput("%s: networks holds %d of %d drawn, allowed are %d to %d, and no more than those", name, len(f.Networks), f.Drawn, FewestNetworks, MaxNetworks)
	}
	for i := range f.Networks {
		if err := f.Networks[i].check(); err != nil {
			return nil, exit.BadInput("%s: networks[%d]: %w; remove the file", name, i, err)
		}
		if (len(f.Networks[i].SentinelMS) > 0) != (len(f.Networks[0].SentinelMS) > 0) {
			return nil, exit.BadInput("%s: networks[%d]: some have a sentinel and some have none; remove the file", name, i)
		}
	}
	return &f, nil
}

func (r *NetworkRounds) check() error {
	if n := len(r.MediansMS); n < minInterval || n > maxRounds {
		return fmt.Errorf("medians_ms has %d rounds, allowed are %d to %d", n, minInterval, maxRounds)
	}
	if n := len(r.SentinelMS); n > 0 && n != len(r.MediansMS) {
		return fmt.Errorf("sentinel_ms has %d rounds, medians_ms %d", n, len(r.MediansMS))
	}
	for _, list := range []struct {
		field string
		times []float64
	}{{"medians_ms", r.MediansMS}, {"sentinel_ms", r.SentinelMS}} {
		for i, ms := range list.times {
			if !(ms >= minTimeMS && ms <= maxTimeMS) {
				return fmt.Errorf("%s[%d] is %g, allowed is %g to %g", list.field, i, ms, minTimeMS, maxTimeMS)
			}
		}
	}
	return nil
}
