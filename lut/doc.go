// Package lut models a lookup table: how long each operation takes on one device, with one runtime, batch and precision.
//
// A profiler fills a Table and Writes it; an importer brings published ones. A search, a derivation or a report Reads it,
// checks that it was measured for the settings they name (CheckMatch) and has the keys that they need (Require), and asks
// for the latency of an op (Op, Stem) or of a whole network (Network). Times are stored as they were measured, each with
// the call of the runtime in it; what is asked for comes with the time of an empty call subtracted, and a network's has
// one call added. Intervals are carried along.
//
// Refused, with file and place: another unit than ms, another kind or a newer schema version, unknown, doubled or missing
// fields, keys that do not parse, doubled keys, times that are no positive numbers, intervals that do not hold their
// median, files over 64 MiB and more than 100,000 entries.
package lut
