// Package backends opens the runtime that compiles and executes graphs.
//
// A specification names the runtime: "go" is GoMLX's own backend in pure Go, which is always there; "xla" is XLA
// behind a PJRT plugin, a shared library that is looked up by package plugin; "auto" takes xla where a plugin for the
// CPU is found and go elsewhere, and says which in [Backend.Why]. "xla:PATH" loads one plugin file and "xla:cuda" the
// plugin for NVIDIA GPUs.
//
// Nothing is ever downloaded from here: a missing plugin is an error that says how to get it. The build tag noxla, or
// a build without cgo, leaves XLA out; asking for it is then an error that says so.
package backends
