package main

import (
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/exit"
	"densenas/supernet"
)

// sharing is how devices of the host share the batches of a super network.
type sharing struct {
	Devices       int
	SyncBatchNorm bool
}

func (o *sharing) AddFlags(f *pflag.FlagSet) {
	f.IntVar(&o.Devices, "devices", 0, "devices that share every batch (default: all GPUs with xla:cuda, else 1; more on the CPU are virtual)")
	f.BoolVar(&o.SyncBatchNorm, "sync-batch-norm", false, "batch norm over the whole batch instead of over each device's share")
}

// apply has the devices of an open backend share batches, which must be possible evenly.
func (o sharing) apply(to *supernet.Options, b backends.Backend) error {
	to.Clients, to.Devices, to.SynchronisedNorm = b.More, b.Devices, o.SyncBatchNorm
	if to.Batch%b.Devices != 0 {
		return exit.BadInput("%d devices cannot share a batch of %d evenly; give --batch as a multiple, or fewer --devices", b.Devices, to.Batch)
	}
	return nil
}
