package op

import (
	"fmt"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"

	"densenas/internal/backends/backendstest"
)

func TestSavedDimsAreThoseOfForward(t *testing.T) {
	backend := backendstest.Go(t)
	const batch = 3
	for _, o := range cases() {
		g := NewGraph(backend.Backend, o.Key())
		var params []*Node
		x := Parameter(g, "x", shapes.Make(dtypes.Float32, batch, o.Resolution, o.Resolution, o.In))
		for _, p := range TrainingParameters(o, false) {
			params = append(params, Parameter(g, p.Name, shapes.Make(dtypes.Float32, p.Dims...)))
		}
		_, saved := Forward(o, Form{}, x, params)
		var got [][]int
		for _, node := range saved {
			got = append(got, node.Shape().Dimensions)
		}
		if want := SavedDims(o, batch); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s saves %v, SavedDims says %v", o.Key(), got, want)
		}
	}
}
