package main

import (
	"strings"

	"github.com/gomlx/compute/dtypes"

	"densenas/internal/exit"
	"densenas/lut"
)

// dtypeUsage is the help text of a --dtype flag.
const dtypeUsage = "type of numbers of activations and products: f32 or bf16; weights and statistics are f32"

// activationsType returns the type that a name stands for.
func activationsType(name string) (dtypes.DType, error) {
	switch name {
	case lut.F32:
		return dtypes.Float32, nil
	case lut.BF16:
		return dtypes.BFloat16, nil
	}
	return dtypes.InvalidDType, exit.BadInput("--dtype %q is unknown, give %s", name, strings.Join([]string{lut.F32, lut.BF16}, " or "))
}
