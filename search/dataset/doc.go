// Package dataset reads labelled images for classification and hands them out in batches, decoded and augmented by workers
// while the caller computes. It knows no runtime: a batch is a plain []float32.
//
// The data are MNIST, CIFAR-10 in its binary form, or a folder or zip archive of images by class. They come in three parts:
// the training data less a held-out share (Train), that share (HeldOut), and the test data (Test).
//
//	Open: list → limit → check every image → decode what fits the cache → split by class → mean and deviation
//	Batches: order of the epoch → per image: decode, augment, normalise (parallel) → batches, in order
//
// Everything random follows from Options.Seed: a batch depends on seed, part, epoch and its index, and on nothing else, so that
// a resumed run sees the same images whatever the number of workers.
//
// Files come from strangers. Sizes are bounded before allocation; refused, with an error that names the file and what to do,
// are: a missing or unreadable file, an empty class folder, fewer than two classes, images outside class folders, a truncated
// or foreign binary, a label out of range, archive entries with unsafe names or of more than 64 MiB, and images that are
// corrupt or have more than 50 million pixels (those can be left out instead: Options.SkipCorrupt).
package dataset
