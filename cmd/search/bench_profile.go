package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/internal/device"
	"densenas/internal/tables"
	"densenas/supernet"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// floors are the speeds that bound every operation, measured on one client of this machine.
type floors struct {
	GFLOPS float64 `json:"gflops"`   // of a matrix product
	GBS    float64 `json:"gb_per_s"` // read and written, by an addition
	CallUS float64 `json:"call_us"`  // an empty call
}

// benchKind is the time of calls that are alike, per step.
type benchKind struct {
	Step           string  `json:"step"`
	Operation      string  `json:"operation"` // with kernel and resolution
	Direction      string  `json:"direction"`
	Lowering       string  `json:"lowering"`
	Calls          float64 `json:"calls"`
	Seconds        float64 `json:"seconds"`
	ArithmeticS    float64 `json:"arithmetic_floor_s"`
	TrafficS       float64 `json:"traffic_floor_s"`
	GigaOperations float64 `json:"gflop"`
	Gigabytes      float64 `json:"gb"`
}

// profile adds the calls up by kind. The arithmetic is that of convolutions and linear layers alone: as much for a forward, a
// backward and an update, and all three for a classifier; the traffic is that of arguments and results, read and written once.
func (b *bench) profile(f floors, choose func(space.Op) op.Lowering) []benchKind {
	var kinds []benchKind
	for _, role := range roles {
		for key, usage := range b.steps[role] {
			k := benchKind{Step: "weights", Operation: string(key.Op.Kind), Direction: key.Role.String(), Lowering: "-"}
			if role == supernet.Backward {
				k.Step = "architecture"
			}
			switch key.Op.Kind {
			case space.MBConv:
				k.Operation = fmt.Sprintf("mbconv_k%d_s%d_r%d", key.Op.Kernel, key.Op.Stride, key.Op.Resolution)
			case space.Basic:
				k.Operation = fmt.Sprintf("basic_s%d_r%d", key.Op.Stride, key.Op.Resolution)
			}
			if op.HasChoice(key.Op) {
				k.Lowering = choose(key.Op).String()
			}
			i := slices.IndexFunc(kinds, func(o benchKind) bool {
				return o.Step == k.Step && o.Operation == k.Operation && o.Direction == k.Direction && o.Lowering == k.Lowering
			})
			if i < 0 {
				i, kinds = len(kinds), append(kinds, k)
			}
			calls := float64(usage.Calls) / float64(b.Steps)
			flop := 2 * float64(key.Op.MultiplyAdds()) * float64(b.Batch)
			if key.Op.Kind == space.Classifier {
				flop *= 3
			}
			sum := &kinds[i]
			sum.Calls += calls
			sum.Seconds += usage.Time.Seconds() / float64(b.Steps)
			sum.GigaOperations += calls * flop / 1e9
			sum.Gigabytes += calls * float64(usage.Bytes) / 1e9
		}
	}
	for i := range kinds {
		kinds[i].ArithmeticS = kinds[i].GigaOperations / f.GFLOPS
		kinds[i].TrafficS = kinds[i].Gigabytes / f.GBS
	}
	slices.SortFunc(kinds, func(a, b benchKind) int {
		if c := strings.Compare(b.Step, a.Step); c != 0 {
			return c
		}
		if a.Seconds != b.Seconds {
			if a.Seconds > b.Seconds {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Operation+a.Direction, b.Operation+b.Direction)
	})
	return kinds
}

func profileTable(kinds []benchKind, f floors) tables.Table {
	t := tables.Table{
		Header:     []string{"step", "operation", "direction", "lowering", "calls", "ms", "arithmetic ms", "traffic ms"},
		RightAlign: []bool{false, false, false, false, true, true, true, true},
		Notes: []string{
			fmt.Sprintf("per step, added up over all clients; floors at %.0f GFLOP/s and %.1f GB/s of one client; an empty call takes %.0f µs", f.GFLOPS, f.GBS, f.CallUS),
		},
	}
	ms := func(s float64) string { return fmt.Sprintf("%.2f", s*1e3) }
	for _, step := range []string{"weights", "architecture"} {
		total := benchKind{Step: step, Operation: "all", Direction: "-", Lowering: "-"}
		for _, k := range kinds {
			if k.Step == step {
				total.Calls += k.Calls
				total.Seconds += k.Seconds
				total.ArithmeticS += k.ArithmeticS
				total.TrafficS += k.TrafficS
			}
		}
		for _, k := range append([]benchKind{total}, kinds...) {
			if k.Step == step {
				t.Rows = append(t.Rows, []string{k.Step, k.Operation, k.Direction, k.Lowering, fmt.Sprintf("%.1f", k.Calls), ms(k.Seconds), ms(k.ArithmeticS), ms(k.TrafficS)})
			}
		}
	}
	return t
}

// measureFloors times a matrix product, an addition to a large array and an empty call.
func measureFloors(b compute.Backend) (floors, error) {
	const side, length = 1024, 16 << 20
	product, err := shortest(b, func(x *Node) *Node { return Dot(x, x).Product() }, side, side)
	if err != nil {
		return floors{}, err
	}
	addition, err := shortest(b, func(x *Node) *Node { return AddScalar(x, 1) }, length)
	if err != nil {
		return floors{}, err
	}
	call, err := shortest(b, func(x *Node) *Node { return AddScalar(x, 1) }, 1)
	if err != nil {
		return floors{}, err
	}
	bytes := shapes.Make(dtypes.Float32, length).ByteSize()
	return floors{
		GFLOPS: 2 * side * side * side / product.Seconds() / 1e9,
		GBS:    2 * float64(bytes) / addition.Seconds() / 1e9,
		CallUS: call.Seconds() * 1e6,
	}, nil
}

// shortest returns the shortest of ten calls of f with zeros.
func shortest(b compute.Backend, f func(x *Node) *Node, dims ...int) (time.Duration, error) {
	exec, err := NewExec(b, f)
	if err != nil {
		return 0, err
	}
	defer exec.Finalize()
	x, err := device.Zeros(b, dims...)
	if err != nil {
		return 0, err
	}
	defer device.Free(x)
	var best time.Duration
	for i := range 11 { // the first compiles
		start := time.Now()
		out, err := exec.Call(x)
		took := time.Since(start)
		if err != nil {
			return 0, err
		}
		device.Free(out...)
		if i == 1 || i > 1 && took < best {
			best = took
		}
	}
	return best, nil
}
