// Package remote runs the profiler on another machine, reached by the system's ssh client, and brings back what it measured.
//
// [Run] asks the machine what it is, copies the program for it once, and starts it there in a folder of the run's own; there
// [Serve] takes the request from standard input, runs it, and answers on standard output. Files travel within that connection.
// What is measured stays in the folder until this side has it, so that a lost connection loses nothing: the same request goes on.
//
// Both sides send bytes now and then. Where they fail to come the connection is taken for lost, and the other machine stops
// measuring, with what it has saved. It runs one request at a time, for two would disturb each other.
//
// The other machine is not trusted: only files that were expected are taken, in bounded sizes, into temporary files, which replace
// others after they were read strictly. The only words that its shell sees are fixed ones and hexadecimal digits.
package remote
