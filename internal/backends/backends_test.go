package backends_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
)

func TestEachBackendComputes(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, backend backends.Backend) {
		sum := graph.MustNewExec(backend.Backend, func(x, y *graph.Node) *graph.Node { return graph.Add(x, y) })
		defer sum.Finalize()
		got := sum.MustCall1(tensors.FromValue([]float32{1, 2}), tensors.FromValue([]float32{10, 20}))
		defer got.FinalizeAll()
		if values := tensors.MustCopyFlatData[float32](got); values[0] != 11 || values[1] != 22 {
			t.Errorf("1+10, 2+20 = %v", values)
		}
		if !strings.Contains(t.Name(), backend.Name) || !strings.HasPrefix(backend.Version, "gomlx ") {
			t.Errorf("name %q, version %q", backend.Name, backend.Version)
		}
		digest, err := backend.PluginDigest()
		if err != nil || (backend.Name == backends.XLA) != (len(digest) == 64) || (backend.Plugin == "") != (digest == "") {
			t.Errorf("plugin %q with digest %q, %v", backend.Plugin, digest, err)
		}
	})
}

func TestIdentifySaysWhatWouldBeOpened(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, backend backends.Backend) {
		build, err := backends.Identify(backend.Name)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := backend.PluginDigest()
		if err != nil || build.Name != backend.Name || build.Version != backend.Version || build.Plugin != backend.PluginPath || build.Digest != digest {
			t.Errorf("%+v, but %+v with digest %s was opened, %v", build, backend, digest, err)
		}
	})
	if _, err := backends.Identify("xla:/no/such/plugin.so"); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("a missing plugin: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty, folder := filepath.Join(t.TempDir(), "empty.so"), t.TempDir()
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "pjrt_c_api_cpu_plugin.so")
	if err := os.WriteFile(broken, []byte("no shared library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{
		"", "torch", "XLA", "go:1", "auto:x", "xla:", "xla:" + empty, "xla:" + folder, "xla:" + broken,
		"xla:/no/such/plugin.so", "xla:/a,b.so",
	} {
		_, err := backends.Open(spec)
		if err == nil || exit.Code(err) != exit.CodeBadInput || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%q): %v, want bad input in one line", spec, err)
		}
	}
	for _, threads := range []int{-1, 1 << 20} {
		if _, err := backends.OpenWith("go", backends.Options{Threads: threads}); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%d threads: %v, want bad input", threads, err)
		}
	}
}

func TestAutoFallsBackToGo(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", folder)
	backend, err := backends.Open("auto")
	if err != nil {
		t.Fatal(err)
	}
	if backend.Name != backends.Go || !strings.Contains(backend.Why, "because") {
		t.Errorf("without a plugin auto opened %s: %s", backend.Name, backend.Why)
	}
	if _, err := backends.Open("xla"); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("xla without a plugin: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "pjrt_c_api_cpu_plugin.so"), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	backend, err = backends.Open("auto")
	if err != nil || backend.Name != backends.Go {
		t.Errorf("with a broken plugin auto opened %s, %v", backend.Name, err)
	}
}

func TestAutoTakesThePlugin(t *testing.T) {
	backendstest.XLA(t)
	backend, err := backends.Open("auto")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Finalize()
	if backend.Name != backends.XLA || !strings.Contains(backend.Why, backend.PluginPath) {
		t.Errorf("auto opened %s: %s", backend.Name, backend.Why)
	}
}
