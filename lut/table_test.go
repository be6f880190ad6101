package lut

import (
	"math"
	"strings"
	"testing"

	"densenas/supernet/space"
)

// small is the space of most tests.
const small = "testdata/small.yaml"

// sample is a valid table of every op of a space. The n-th op takes n+1 ms and more, plus the call of half a ms.
func sample(t testing.TB, name string) (*Table, *space.Space) {
	t.Helper()
	s, err := space.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	table := &Table{
		Device:      Device{Model: "Example CPU 9000", Architecture: "amd64", Cores: 2, MemoryMB: 8000, OperatingSystem: "linux"},
		Runtime:     Runtime{Name: "go", Version: "0.1"},
		Threads:     2,
		Batch:       1,
		Resolutions: []int{s.Resolution},
		DType:       "f32",
		Layout:      "nhwc",
		CallMS:      0.5, CallLowMS: 0.25, CallHighMS: 0.75,
		Policy: &Policy{Precision: 0.01, MinRounds: 10, Seed: 1},
		Notes:  []string{"a note"},
	}
	for n, c := range s.Ops() {
		ms := 0.5 + float64(n+1)
		table.Entries = append(table.Entries, Entry{Key: c.Op.Key(), MedianMS: ms, LowMS: ms - 0.25, HighMS: ms + 0.5, MADMS: 0.125,
			P10MS: ms - 0.25, P90MS: ms + 1, MinMS: ms - 0.375, Count: 40, Rounds: 10, MultiplyAdds: c.Op.MultiplyAdds()})
	}
	table.Entries[0].Flags = []string{"noisy"}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	return table, s
}

func TestCheckRefuses(t *testing.T) {
	two := 2
	for _, c := range []struct {
		name   string
		change func(*Table)
		want   string
	}{
		{"no device", func(t *Table) { t.Device.Model = "" }, "device.model is empty; name the device"},
		{"no runtime", func(t *Table) { t.Runtime.Name = "" }, "runtime.name is empty; name the runtime"},
		{"control characters", func(t *Table) { t.Device.Kernel = "6.1\x1b[2J" }, `device.kernel "6.1\x1b[2J" has characters that cannot be printed`},
		{"long note", func(t *Table) { t.Notes[0] = strings.Repeat("x", 501) }, "notes[0] has 501 bytes, allowed are at most 500"},
		{"batch", func(t *Table) { t.Batch = 0 }, "batch is 0, allowed is 1 to 65536"},
		{"threads", func(t *Table) { t.Threads = -1 }, "threads is -1, allowed is 0 to 1048576"},
		{"processor", func(t *Table) { t.Processors = []int{65536} }, "processors[0] is 65536, allowed is 0 to 65535"},
		{"doubled processor", func(t *Table) { t.Processors = []int{4, 4} }, "processors[1] is 4 after 4, allowed is an ascending order"},
		{"no resolution", func(t *Table) { t.Resolutions = nil }, "number of resolutions is 0, allowed is 1 to 100"},
		{"large resolution", func(t *Table) { t.Resolutions = []int{32, 5000} }, "resolutions[1] is 5000, allowed is 1 to 1024"},
		{"doubled resolution", func(t *Table) { t.Resolutions = []int{32, 32} }, "resolutions[1] is 32 after 32, allowed is an ascending order"},
		{"precision", func(t *Table) { t.DType = "int8" }, `dtype is "int8", known are f32, bf16 and f16`},
		{"layout", func(t *Table) { t.Layout = "hwc" }, `layout is "hwc", known are nhwc and nchw`},
		{"call", func(t *Table) { t.CallLowMS = 0.6 }, "call_low_ms 0.6, call_ms 0.5 and call_high_ms 0.75: allowed is 0 to 1e+09 in this order"},
		{"call not a number", func(t *Table) { t.CallMS = math.NaN() }, "call_low_ms 0.25, call_ms NaN and call_high_ms 0.75: allowed is 0 to 1e+09 in this order"},
		{"policy", func(t *Table) { t.Policy.Precision = -1 }, "policy.precision is -1, allowed is 0 to 1e+09"},
		{"no entries", func(t *Table) { t.Entries = nil }, "number of entries is 0, allowed is 1 to 100000"},
		{"too many entries", func(t *Table) { t.Entries = make([]Entry, MaxEntries+1) }, "number of entries is 100001, allowed is 1 to 100000"},
		{"key", func(t *Table) { t.Entries[1].Key = "mbconv_k4_t1_i8_o8_s1_r16" }, `entries[1]: key "mbconv_k4_t1_i8_o8_s1_r16": kernel is 4, allowed are 3, 5 and 7`},
		{"composite", func(t *Table) { t.Entries[1].Key += "+" + t.Entries[2].Key }, `entries[1]: key "mbconv_k3_t1_i8_o8_s1_r16+mbconv_k3_t3_i8_o12_s2_r16": only a stem and the block that follows it are joined by +`},
		{"doubled key", func(t *Table) { t.Entries = append(t.Entries, t.Entries[3]) }, "key mbconv_k3_t6_i8_o12_s2_r16 stands in entries[3] too, at the same place; remove one"},
		{"median", func(t *Table) { t.Entries[2].MedianMS = 0 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: median_ms is 0, allowed is above 0 to 1e+09; is it in ms?"},
		{"median not a number", func(t *Table) { t.Entries[2].MedianMS = math.NaN() }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: median_ms is NaN, allowed is above 0 to 1e+09; is it in ms?"},
		{"interval", func(t *Table) { t.Entries[2].HighMS = 3.4 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: low_ms 3.25, median_ms 3.5 and high_ms 3.4: allowed is 0 to 1e+09 in this order"},
		{"endless interval", func(t *Table) { t.Entries[2].HighMS = math.Inf(1) }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: low_ms 3.25, median_ms 3.5 and high_ms +Inf: allowed is 0 to 1e+09 in this order"},
		{"percentiles", func(t *Table) { t.Entries[2].P10MS = 9 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: min_ms 3.125, p10_ms 9 and p90_ms 4.5: allowed is above 0 in ascending order"},
		{"deviation", func(t *Table) { t.Entries[2].MADMS = -1 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: mad_ms is -1, allowed is 0 to 1e+09"},
		{"rounds", func(t *Table) { t.Entries[2].Rounds = 41 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: count is 40 and rounds is 41, allowed is from 0, and at most one round per lap"},
		{"statistics of nothing", func(t *Table) { t.Entries[2].Count, t.Entries[2].Rounds = 0, 0 }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: has statistics but no count; give count, or the median alone"},
		{"flag", func(t *Table) { t.Entries[2].Flags = []string{"no\nisy"} }, `entries[2]: mbconv_k3_t3_i8_o12_s2_r16: flag "no\nisy", allowed are small letters and _`},
		{"multiply-adds", func(t *Table) { t.Entries[2].MultiplyAdds++ }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: multiply_adds is 81409, but the key says 81408"},
		{"place without lane", func(t *Table) { t.Entries[2].Position = &Position{Block: 1} }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: position needs either connection or layer"},
		{"place with two", func(t *Table) { t.Entries[2].Position = &Position{Block: 1, Connection: &two, Layer: &two} }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: position needs either connection or layer"},
		{"place out of reach", func(t *Table) { p := Connection(65, 0); t.Entries[2].Position = &p }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: position.block is 65, allowed is 0 to 64"},
		{"layer out of reach", func(t *Table) { p := Layer(1, -1); t.Entries[2].Position = &p }, "entries[2]: mbconv_k3_t3_i8_o12_s2_r16: position.layer is -1, allowed is 0 to 31"},
	} {
		table, _ := sample(t, small)
		c.change(table)
		err := table.Check()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
		if table.Identity() != "" {
			t.Errorf("%s: a refused table has an identity", c.name)
		}
	}
}

func TestAKeyStandsTwiceAtDifferentPlaces(t *testing.T) {
	table, _ := sample(t, small)
	first, again := table.Entries[3], table.Entries[3]
	places := []Position{Layer(1, 0), Connection(1, 0), Layer(2, 0), Layer(1, 1)}
	table.Entries = nil
	for i := range places {
		first.Position = &places[i]
		table.Entries = append(table.Entries, first)
	}
	table.Entries = append(table.Entries, again)
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	place := Layer(2, 0) // another pointer, the same place
	again.Position = &place
	table.Entries = append(table.Entries, again)
	if err := table.Check(); err == nil || !strings.Contains(err.Error(), "stands in entries[2] too") {
		t.Errorf("a doubled place: error %v", err)
	}
}
