package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plugins makes a folder of plugin files that only have names.
func plugins(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestFindOrder(t *testing.T) {
	none := plugins(t, "libpjrt_cpu.so", "pjrt_c_api_tpu_plugin.so")
	versions := plugins(t, "pjrt_c_api_cpu_v0.98.0_plugin.so", "pjrt_c_api_cpu_v0.106_plugin.so", "pjrt_c_api_cuda_v13_plugin.so")
	plain := plugins(t, "pjrt_c_api_cpu_v0.200_plugin.so", "pjrt-plugin-cpu.so")
	for _, test := range []struct {
		folders     []string
		accelerator Accelerator
		want        string
	}{
		{[]string{none, versions}, CPU, "pjrt_c_api_cpu_v0.106_plugin.so"},
		{[]string{versions, plain}, CPU, "pjrt_c_api_cpu_v0.106_plugin.so"},
		{[]string{plain, versions}, CPU, "pjrt-plugin-cpu.so"},
		{[]string{plain, versions}, CUDA, "pjrt_c_api_cuda_v13_plugin.so"},
		{[]string{none, "", "/no/such/folder"}, CPU, ""},
	} {
		t.Setenv(PathsVariable, strings.Join(test.folders, string(os.PathListSeparator)))
		got, err := Find(test.accelerator)
		if (err != nil) != (test.want == "") || test.want != "" && filepath.Base(got) != test.want {
			t.Errorf("%s in %v: %q, %v; want %q", test.accelerator, test.folders, got, err, test.want)
		}
	}
}

func TestLoaderFoldersFollowsIncludes(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("b.conf", "/two\ninclude a.conf\n")
	root := write("a.conf", "# comment\n/one\nrelative\ninclude b.conf\n")
	if got := strings.Join(loaderFolders(root), " "); got != "/one /two" {
		t.Errorf("folders %q", got)
	}
}

// Whatever a configuration includes, itself too, its folders are absolute and no more than it has lines.
func FuzzLoaderFolders(f *testing.F) {
	f.Add("/one\ninclude *\ninclude a.conf\n")
	f.Add("include [\ninclude \n/\nrelative")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "a.conf")
		if strings.Contains(text, "include /") || strings.Contains(text, "..") { // stays within the folder
			t.Skip()
		}
		if os.WriteFile(path, []byte(text), 0o644) != nil {
			t.Skip()
		}
		folders := loaderFolders(path)
		if len(folders) > strings.Count(text, "\n")+1 {
			t.Errorf("%d folders in %d lines", len(folders), strings.Count(text, "\n")+1)
		}
		for _, folder := range folders {
			if !filepath.IsAbs(folder) {
				t.Errorf("folder %q", folder)
			}
		}
	})
}
