// Xlaplugin finds XLA's plugin, or installs it by go-xla's own installer. `make xla` calls it.
//
//	xlaplugin find cpu|cuda       prints the plugin's path; fails where there is none
//	xlaplugin folder              prints the folder that plugins are installed in
//	xlaplugin install cpu|cuda    downloads a plugin into that folder
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gomlx/go-xla/installer"

	"densenas/internal/backends/plugin"
	"densenas/internal/exit"
)

// A server that does not answer is given up soon, a download that proceeds is not.
const (
	answerLimit  = 20 * time.Second
	installLimit = 10 * time.Minute
)

const usage = "usage: xlaplugin find cpu|cuda, xlaplugin folder, xlaplugin install cpu|cuda"

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, _ io.Writer) error {
	folder := plugin.Folder()
	if folder == "" {
		return exit.BadInput("no home folder, so no plugin folder; set HOME")
	}
	if len(args) == 1 && args[0] == "folder" {
		fmt.Fprintln(stdout, folder)
		return nil
	}
	if len(args) != 2 || args[1] != string(plugin.CPU) && args[1] != string(plugin.CUDA) {
		return exit.BadInput(usage)
	}
	accelerator := plugin.Accelerator(args[1])
	switch args[0] {
	case "find":
		path, err := plugin.Find(accelerator)
		if err == nil {
			fmt.Fprintln(stdout, path)
		}
		return err
	case "install":
		if transport, ok := http.DefaultTransport.(*http.Transport); ok {
			transport.ResponseHeaderTimeout = answerLimit
		}
		return limited(ctx, installLimit, func() error { return install(accelerator, folder) })
	}
	return exit.BadInput(usage)
}

// limited runs work, which cannot be cancelled, and gives it up after a while: the process ends then.
func limited(ctx context.Context, limit time.Duration, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return errors.New("the download took too long")
	}
}

func install(accelerator plugin.Accelerator, folder string) error {
	if accelerator == plugin.CPU {
		return installer.CPUAutoInstall(folder, true, installer.Quiet)
	}
	// Elsewhere it would install nothing, and say nothing.
	if !installer.HasNvidiaGPU() {
		return errors.New("no NVIDIA GPU with its driver is found here (Linux on x86-64, nvidia-smi)")
	}
	if err := installer.CudaAutoInstall(folder, true, installer.Quiet); err != nil {
		return err
	}
	_, err := plugin.Find(accelerator)
	return err
}
