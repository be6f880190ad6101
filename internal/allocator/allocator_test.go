package allocator

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The test's own program stands for one that calls Keep first: it prints whether it has the settings.
func TestMain(m *testing.M) {
	if os.Getenv("ALLOCATOR_TEST") == "" {
		os.Exit(m.Run())
	}
	Keep()
	if Kept() {
		os.Stdout.WriteString("kept " + strings.Join(os.Args[1:], " "))
	} else {
		os.Stdout.WriteString("as it was")
	}
}

func TestKeepStartsAgain(t *testing.T) {
	if !supported {
		t.Skip("only on Linux with XLA built in")
	}
	for _, c := range []struct {
		name, variable, want string
	}{
		{"by default", "", "kept a b"},
		{"switched off", Variable + "=" + Off, "as it was"},
		{"with a setting of the user's", "MALLOC_ARENA_MAX=4", "as it was"},
	} {
		command := exec.Command(os.Args[0], "a", "b")
		env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MALLOC_") || strings.HasPrefix(v, Variable) })
		command.Env = append(env, "ALLOCATOR_TEST=1", c.variable)
		out, err := command.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, out, err, c.want)
		}
	}
}

func TestEnvironmentIsLeftToTheUser(t *testing.T) {
	if env := environment([]string{"HOME=/home", "MALLOC_TRIM_THRESHOLD_=1"}, nil); env != nil {
		t.Errorf("overrode the user's: %v", env)
	}
	if env := environment([]string{"HOME=/home", "GLIBC_TUNABLES=glibc.malloc.hugetlb=0"}, []string{HugePages}); env != nil {
		t.Errorf("overrode the user's: %v", env)
	}
	if env := environment([]string{"HOME=/home"}, []string{"glibc.malloc.a=1", HugePages}); len(env) != 2+len(settings) || env[0] != "HOME=/home" || env[1+len(settings)] != tunables+"glibc.malloc.a=1:"+HugePages {
		t.Errorf("environment %v", env)
	}
}
