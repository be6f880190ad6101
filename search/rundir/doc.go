// Package rundir models the folder of a search: what was asked for, how it went, where it stands and what came out.
//
//	config.yaml    the configuration with every value, as the run began (Config)
//	origin.yaml    what began it: the command, versions, processors (Origin)
//	space.yaml     the space, where it is none that is built in
//	metrics.jsonl  one record per epoch (Record), appended and synced
//	checkpoints/   the state that the run continues from
//	tensorboard/   the records as event files of TensorBoard, where asked for
//	params.json    the architecture parameters
//	arch.json      the derived network
//	.lock          held by the search that is writing the folder, removed at its end (Lock)
//
// The folder of a sweep has sweep.yaml, the plan of many searches (Sweep), and inside a run folder for each that has begun.
//
// The defaults of a search stand in the embedded configs/*.yaml, one per built-in space; those of mbv2 are the paper's
// (Fang et al., CVPR 2020, section 4). Refused, with file and line: unknown, doubled and missing fields, values out of
// their ranges, records out of order, and files over their bounds. One torn record at the end of the metrics, which a
// crash leaves, is dropped and said.
//
// The package knows no runtime, so that a report can read a run wherever it is.
package rundir

// The names in a run folder, and SweepFile in that of a sweep.
const (
	ConfigFile        = "config.yaml"
	OriginFile        = "origin.yaml"
	SpaceFile         = "space.yaml"
	MetricsFile       = "metrics.jsonl"
	CheckpointsFolder = "checkpoints"
	TensorBoardFolder = "tensorboard"
	ParametersFile    = "params.json"
	ArchitectureFile  = "arch.json"
	LockFile          = ".lock"
	SweepFile         = "sweep.yaml"
)
