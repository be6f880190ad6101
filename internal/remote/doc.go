// Package remote runs the profiler on another machine, and brings back what it measured. The machine is reached by a [Road]: the
// system's ssh client, or adb, which reaches Android phones. What a road has to offer is a POSIX shell whose standard input, standard
// output, standard error and exit code come across as they are; the rest is the same for all.
//
// [Run] asks the machine what it is, copies the program for it once, and ONNX Runtime's library where it is asked to, and starts it there in a folder of the run's own; there
// [Serve] takes the request from standard input, runs it, and answers on standard output. Files travel within that connection.
// What is measured stays in the folder until this side has it, so that a lost connection loses nothing: the same request goes on.
//
// Both sides send bytes now and then. Where they fail to come the connection is taken for lost, and the other machine stops
// measuring, with what it has saved. It runs one request at a time, for two would disturb each other.
//
// The other machine is not trusted: only files that were expected are taken, in bounded sizes, into temporary files, which replace
// others after they were read strictly. The only words that its shell sees are fixed ones, hexadecimal digits and a plain file name.
package remote
