// Package band draws architectures whose latency, as a table predicts it, lies in a band, every one of them with the same probability.
//
//	(Space, table, band) → numbers of ways to go on from every place, by what they may still cost → Sampler → Architectures
//
// Costs are rounded to a grid, much finer than the band, and the architectures are counted by dynamic programming over grid and
// places. A draw follows the counts, which makes it uniform over the architectures whose rounded latency is so near to the band
// that the exact one may lie in it; one whose exact latency does not is rejected, and drawn again. What is left is uniform over the
// architectures of the band, but for the rounding of the counts, which are float64.
//
// An architecture is a path of blocks and the layers in them; layers that are skipped are left out, so two choices that differ only
// in which layers are skipped are one architecture, and count once.
//
// Refused are bands that hold no architecture, and those so narrow that draws would hardly ever hit them. The package knows no runtime.
package band
