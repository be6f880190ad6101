package profiler

import (
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/supernet/space"
)

func someNetworks() *NetworksFile {
	f := &NetworksFile{Table: "ab", Space: "cd", Resolution: 32, Drawn: 20, Policy: soon().Journal()}
	for range 2 {
		f.Networks = append(f.Networks, NetworkRounds{MediansMS: []float64{1, 2, 3, 4, 5, 6}, SentinelMS: []float64{1, 1, 1, 1, 1, 2}, Noisy: true})
	}
	return f
}

func TestNetworksFileComesBack(t *testing.T) {
	path := NetworksPath(filepath.Join(t.TempDir(), "a.lut.json"))
	f := someNetworks()
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadNetworks(path)
	if err != nil || !reflect.DeepEqual(got, f) || !strings.HasSuffix(path, "a.networks.json") {
		t.Errorf("%s: %+v, %v", path, got, err)
	}
	if !got.Continues(f) {
		t.Error("does not continue itself")
	}
	for name, change := range map[string]func(*NetworksFile){
		"table":  func(f *NetworksFile) { f.Table = "ef" },
		"space":  func(f *NetworksFile) { f.Space = "ef" },
		"size":   func(f *NetworksFile) { f.Resolution = 64 },
		"number": func(f *NetworksFile) { f.Drawn = 21 },
		"seed":   func(f *NetworksFile) { f.Policy.Seed = 2 },
	} {
		other := *f
		change(&other)
		if got.Continues(&other) {
			t.Errorf("another %s is continued", name)
		}
	}
}

func TestBadNetworksAreRefused(t *testing.T) {
	for name, change := range map[string]func(*NetworksFile){
		"few rounds":          func(f *NetworksFile) { f.Networks[1].MediansMS = []float64{1} },
		"a time of 0":         func(f *NetworksFile) { f.Networks[1].MediansMS[3] = 0 },
		"next to no sentinel": func(f *NetworksFile) { f.Networks[1].SentinelMS[3] = 5e-324 },
		"a negative sentinel": func(f *NetworksFile) { f.Networks[1].SentinelMS[0] = -1 },
		"a shorter sentinel":  func(f *NetworksFile) { f.Networks[1].SentinelMS = []float64{1} },
		"no sentinel of one":  func(f *NetworksFile) { f.Networks[1].SentinelMS = nil },
		"more than are drawn": func(f *NetworksFile) { f.Networks = make([]NetworkRounds, 21) },
		"none drawn":          func(f *NetworksFile) { f.Drawn = 0 },
	} {
		path := filepath.Join(t.TempDir(), "a.networks.json")
		f := someNetworks()
		change(f)
		if err := f.Write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadNetworks(path); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNetworks(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.networks.json")
	if err := someNetworks().Write(path); err != nil {
		f.Fatal(err)
	}
	whole := string(readFile(f, path))
	if _, err := parseNetworks("seed", []byte(whole)); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(whole))
	f.Add([]byte(strings.Replace(whole, `"sentinel_ms":[1,`, `"sentinel_ms":[1e-7,`, 1)))
	f.Add([]byte(strings.ReplaceAll(whole, `,"sentinel_ms":[1,1,1,1,1,2]`, "")))
	f.Add([]byte(strings.ReplaceAll(whole, `"medians_ms":[1,`, `"medians_ms":[1000000000,`)))
	f.Add([]byte(whole[:len(whole)/2]))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseNetworks("fuzzed", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput {
				t.Errorf("%v is not bad input", err)
			}
			return
		}
		var times []float64
		for i := range got.Networks {
			times = append(times, got.Networks[i].SentinelMS...)
		}
		reference := 0.0
		if len(times) > 0 {
			reference = median(times)
		}
		for i := range got.Networks {
			for _, ms := range []float64{reference, 0} {
				if w := got.Networks[i].whole(nil, ms); !(w.MedianMS > 0 && w.EvenMS > 0 && w.OddMS > 0) || math.IsInf(w.MedianMS+w.EvenMS+w.OddMS, 0) {
					t.Errorf("network %d takes %g ms, halves %g and %g", i, w.MedianMS, w.EvenMS, w.OddMS)
				}
			}
		}
	})
}

func TestMeasuringNetworksGoesOn(t *testing.T) {
	table, s := tableOf(t, "tiny")
	networks, err := DrawNetworks(table, s, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := soon()
	p.Group, p.Settle = 8, 0
	steady, compiled := 1.0, 0
	compile := func(a *space.Architecture) (Call, error) {
		compiled++
		return deviceCall{time.Duration(truth(table, a) * float64(time.Millisecond)), &steady}, nil
	}
	sentinel := deviceCall{time.Millisecond, &steady}
	var kept []NetworkRounds
	full := errors.New("full")
	_, err = MeasureNetworks(t.Context(), networks, compile, sentinel, p, Measured{Save: func(all []NetworkRounds) error {
		kept = all
		return full
	}}, func(string) {})
	if !errors.Is(err, full) || len(kept) != p.Group {
		t.Fatalf("%d networks were kept, error %v", len(kept), err)
	}
	compiled = 0
	steps := 0
	wholes, err := MeasureNetworks(t.Context(), networks, compile, sentinel, p, Measured{Networks: kept}, func(string) { steps++ })
	if err != nil || compiled != len(networks)-p.Group || len(wholes) != len(networks) || steps != 2*len(networks) {
		t.Fatalf("%d networks after %d compilations and %d steps, error %v", len(wholes), compiled, steps, err)
	}
	for i, w := range wholes {
		if want := truth(table, networks[i]); w.Network != networks[i] || w.MedianMS < 0.999*want || w.MedianMS > 1.001*want {
			t.Errorf("network %d: %g ms, want %g", i, w.MedianMS, want)
		}
	}
}
