// Package profiler measures how long operations take on a device, and fills a lookup table with it.
//
// Pipeline: spaces and architectures → [NewPlan], the distinct operations with their counts, or a [Plan.Shard] of it →
// [Settings.Open], which finds out what a table and its journal have already → [Profile], which asks a [Runner] for an executable
// of each operation, times them under a [Policy], and hands over a [Record] of each as soon as it is complete → [Store.Save],
// which adds it to the journal (journal.go), from which the table follows ([Settings.Fill]).
//
// How it measures. Operations are handled in groups, whose executables are in memory together: a whole plan, where all of it can have
// a turn within two seconds. They are warmed up in turns for a while, and until the times of each stay flat. Then come rounds
// (interleave.go), of eight operations each: every operation that is not done takes a turn, in a new random order, before one takes
// another, so that a drift of the machine hits all alike. A turn is a part of a lap, untimed, and two laps; a lap repeats a short
// operation until it lasts about a millisecond (timer.go). The empty call, a graph of next to no work, takes turns like an operation.
//
// When it stops (stopping.go). The unit of the interval is the median of a round. The 95 % interval of their median is looked
// at after 10, 20, 40, … rounds and never in between: so it holds the true median about as often as it says, whenever it is
// narrow enough to stop (93 to 98 %, by simulation). An operation whose time is used up, or will be before that, is kept and flagged
// noisy.
//
// What is corrected, and what does not count (sentinel.go). One operation of the plan, the sentinel, runs at both ends of every
// round, and within it between turns, of which several may pass where they are short. A neighbour on the same core comes and goes
// within tens of milliseconds, and slows all operations by about the same factor: so the median of a turn is divided by how much
// slower than its median over the run the sentinel was right before and after. The journal holds both times as they were
// observed; the correction is made where they are summarised. Where the sentinel is slower by more than Policy.Off, and than its
// own noise explains, the round does not count, and the next one waits, up to a bound; after that, rounds count again, and
// operations that were measured while it was far off are flagged throttled. Where it becomes faster, the device was disturbed
// before: rounds until then do not count any more, and operations that were complete when it was far slower are measured anew at
// the end. Discarded rounds stay in the journal. Nothing else is left out: outliers are counted, and do not move a median.
//
// Garbage. While rounds go on, Go's collector is off; it runs between laps when there is something to collect (collect.go).
// Laps allocate nothing themselves. A runtime may: the pure-Go backend allocates within a call, and its calls take the time
// for it; its garbage is collected outside, unless a single lap leaves more than 2 GB.
//
// The package knows no runtime: package gomlxrunner has the one for GoMLX. It refuses a pattern that matches no operation, to
// continue what was measured otherwise, and a table that disagrees with its journal.
package profiler
