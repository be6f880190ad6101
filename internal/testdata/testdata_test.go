package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSharedLiesBesideTheModule(t *testing.T) {
	parent := t.TempDir()
	deep := filepath.Join(parent, "repository", "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(parent, "shared", "golden"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "repository", "go.mod"), []byte("module m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(parent, "shared", "golden", "case.json")
	if err := os.WriteFile(want, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	got, err := os.ReadFile(Shared(t, "golden/case.json"))
	if err != nil || string(got) != "{}" {
		t.Fatalf("read %q, %v; want the file at %s", got, err, want)
	}
	skipped := false
	t.Run("absent", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Shared(t, "golden/none.json")
	})
	if !skipped {
		t.Error("an absent file did not skip the test")
	}
}
