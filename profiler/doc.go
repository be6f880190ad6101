// Package profiler measures how long operations take on a device, and fills a lookup table with it.
//
// Pipeline: spaces and architectures → [NewPlan], the distinct operations with their counts → [Profile], which asks a
// [Runner] for an executable of each, times them under a [Policy], and hands over complete entries as it goes → a table
// ([Settings.NewTable]).
//
// How it measures. Operations are handled in groups, whose executables are in memory together. Each is warmed up until its
// times stay flat. Then come rounds: in each, every operation of the group that is not yet precise enough takes its turn, in
// a new random order, so that a drift of the machine hits all alike. A turn is one untimed lap and a few timed ones; a lap
// repeats a short operation until it lasts about a millisecond. An operation is complete when the 95 % interval of the median
// of its rounds' medians is narrow enough, or, flagged noisy, when its time is used up. The empty call, the smallest graph
// that there is, takes part in every group like an operation.
//
// The package knows no runtime: package gomlxrunner has the one for GoMLX. It refuses a pattern that matches no operation,
// and to continue a table that was measured otherwise.
package profiler
