// Package study models a study: the comparison that says whether a search finds better networks than chance does. Networks that are searched at
// a latency stand beside random ones of the same band of latency, those that a space of fixed widths gives when it is searched in the
// same way, and MobileNetV2 scaled into the band; all are trained from scratch by one recipe.
//
// A study is a list of parts (Part): searches, trainings, the accuracy of networks inside a super network, and last the test. Each has a
// folder of its own with a result (Result) once it is finished; all of them together are the results (Results), of which a
// summary (Summary) is computed: means with their intervals, the gain over the random networks and what gain could have been
// seen, and how the accuracy inside the super network ranks networks.
//
//	study.yaml     the configuration with every value (Config)
//	architectures/ the networks
//	parts/         a folder for each part, with its result.json
//	study.json     the results
//	study.svg      the plot of them
//
// Test images decide nothing: up to the last part networks are trained without the held-out images and compared by them. The package runs
// nothing, so that whoever shows a study needs no runtime. Refused, with file and place, are unknown, doubled and missing
// fields, values out of their ranges, and results of a part that is another one's.
package study

// The names in a study's folder.
const (
	ConfigFile          = "study.yaml"
	ArchitecturesFolder = "architectures"
	PartsFolder         = "parts"
	ResultFile          = "result.json" // in the folder of a part
	ResultsFile         = "study.json"
	PlotFile            = "study.svg"
)
