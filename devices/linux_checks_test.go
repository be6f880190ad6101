package devices

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"densenas/lut"
)

const cpus = "sys/devices/system/cpu/"

// board is a file system of four processors with a clock that is asked for less than it could.
func board() fstest.MapFS {
	root := fstest.MapFS{
		"proc/loadavg":     file("0.10 0.20 0.30 1/80 11206\n"),
		"proc/meminfo":     file("MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\nSwapTotal: 1000000 kB\nSwapFree: 1000000 kB\n"),
		"proc/self/status": file("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n"),
		"proc/self/cgroup": file("0::/user/run\n"),
		"proc/stat":        file("cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 1 1\n"),
		cpus + "online":    file("0-3\n"),
		"sys/devices/system/clocksource/clocksource0/current_clocksource": file("arch_sys_counter\n"),
	}
	for n := range 4 {
		folder := fmt.Sprintf("%scpu%d/", cpus, n)
		for name, value := range map[string]string{
			"cpufreq/scaling_governor": "performance", "cpufreq/scaling_min_freq": "1500000", "cpufreq/scaling_max_freq": "2400000",
			"cpufreq/cpuinfo_max_freq": "2400000", "cpufreq/scaling_cur_freq": "2400000",
			"topology/thread_siblings_list": fmt.Sprint(n), "thermal_throttle/core_throttle_count": "5",
		} {
			root[folder+name] = file(value + "\n")
		}
	}
	return root
}

// checked gives the check of a name on a tree after changes; an empty one removes the file.
func checked(t *testing.T, name string, use Use, changes map[string]string) Check {
	t.Helper()
	root := board()
	for path, value := range changes {
		if value == "" {
			delete(root, path)
		} else {
			root[path] = file(value)
		}
	}
	m := lookLinux(root, 1)
	checks := checkLinux(root, use, m, m)
	i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %s", name)
	}
	return checks[i]
}

func TestLinuxChecks(t *testing.T) {
	for _, test := range []struct {
		name    string
		use     Use
		changes map[string]string
		state   State
		found   string
	}{
		{"governor", Use{}, nil, OK, "performance"},
		{"governor", Use{}, map[string]string{cpus + "cpu2/cpufreq/scaling_governor": "ondemand\n"}, Warning, "ondemand, performance"},
		{"clock", Use{}, nil, OK, "between 1500 and 2400 MHz, now 2400 to 2400"},
		{"clock", Use{}, map[string]string{cpus + "cpu1/cpufreq/scaling_cur_freq": "1500000"}, Warning, "now 1500 to 2400"},
		{"clock", Use{}, map[string]string{cpus + "cpu0/cpufreq/cpuinfo_max_freq": "1800000"}, Warning, "1800, 2400"},
		{"clock", Use{}, map[string]string{cpus + "cpu0/cpufreq/scaling_min_freq": "unbelievable"}, Unknown, "not published"},
		{"turbo", Use{}, nil, Unknown, "not published"},
		{"turbo", Use{}, map[string]string{cpus + "intel_pstate/no_turbo": "0\n"}, Warning, "on"},
		{"turbo", Use{}, map[string]string{cpus + "intel_pstate/no_turbo": "1\n"}, OK, "off"},
		{"turbo", Use{}, map[string]string{cpus + "cpufreq/boost": "1\n"}, Warning, "on"},
		{"turbo", Use{}, map[string]string{cpus + "cpufreq/boost": "0\n"}, OK, "off"},
		{"heat", Use{}, nil, OK, "20 times since"},
		{"processors", Use{}, nil, OK, "this process may use 4 of 4, for 4 threads"},
		{"processors", Use{Threads: 2}, map[string]string{"proc/self/status": "Cpus_allowed_list:\t1,3\n"}, OK, "may use 2 of 4, for 2 threads"},
		{"processors", Use{Processors: []int{2, 3}}, nil, OK, "2, 3 are chosen, for 2 threads"},
		{"processors", Use{Processors: []int{2, 7}}, nil, Warning, "but not 7"},
		{"processors", Use{}, map[string]string{"sys/fs/cgroup/user/cpu.max": "150000 100000\n"}, Warning, "the time of 1.5"},
		{"processors", Use{Threads: 1}, map[string]string{"sys/fs/cgroup/user/cpu.max": "150000 100000\n"}, OK, "the time of 1.5"},
		{"processors", Use{}, map[string]string{"sys/fs/cgroup/cpu.max": "max 100000\n"}, OK, "for 4 threads"},
		{"processors", Use{}, map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "50000",
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, Warning, "the time of 0.5"},
		{"processors", Use{}, map[string]string{cpus + "cpu0/topology/thread_siblings_list": "0-1", cpus + "cpu1/topology/thread_siblings_list": "0-1"}, Warning, "on 3 cores"},
		{"load", Use{}, nil, OK, "0.10 in the last minute, on 4 processors"},
		{"load", Use{Threads: 3}, map[string]string{"proc/loadavg": "1.40 1 1 1/2 3"}, OK, "1.40"},
		{"load", Use{}, map[string]string{"proc/loadavg": "1.40 1 1 1/2 3"}, Warning, "1.40"},
		{"load", Use{Threads: 1}, map[string]string{"proc/loadavg": "2.40 1 1 1/2 3"}, Warning, "2.40"},
		{"memory", Use{}, nil, OK, "6835 MB available, 0 MB in swap"},
		{"memory", Use{}, map[string]string{"proc/meminfo": "MemAvailable: 100000 kB\n"}, Warning, "97 MB available"},
		{"memory", Use{}, map[string]string{"proc/meminfo": "MemAvailable: 7000000 kB\nSwapTotal: 900000 kB\nSwapFree: 100000 kB\n"}, Warning, "781 MB in swap"},
	} {
		got := checked(t, test.name, test.use, test.changes)
		if got.State != test.state || !strings.Contains(got.Found, test.found) || (got.State == Warning) != (got.Advice != "") {
			t.Errorf("%s with %v and %v: %+v\nwant %s with %q", test.name, test.use, test.changes, got, test.state, test.found)
		}
	}
}

func TestWhatIsNotPublishedIsUnknown(t *testing.T) {
	empty := fstest.MapFS{}
	m := lookLinux(empty, 1)
	for _, c := range checkLinux(empty, Use{}, m, m) {
		if c.Name == "processors" { // Go knows their number
			continue
		}
		if c.State != Unknown || c.Found == "" || c.Advice != "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestChecksOfWhatChanges(t *testing.T) {
	root := board()
	root["proc/12/stat"] = file("12 (make) (j 2)) S 1 1 1 0 -1 4 0 0 0 0 100 50 0 0 20 0 1 0 1 1 1\n")
	root["proc/13/stat"] = file("13 (idle) S 1 1 1 0 -1 4 0 0 0 0 100 50 0 0 20 0 1 0 1 1 1\n")
	root["proc/14/stat"] = file("14 (self) R 1 1 1 0 -1 4 0 0 0 0 100 50 0 0 20 0 1 0 1 1 1\n")
	root["proc/15/stat"] = file("broken")
	before := lookLinux(root, 14)
	quiet := before
	quiet.at = before.at.Add(time.Second)
	quiet.total += 400
	for _, c := range []Check{processesCheck(before, quiet), neighboursCheck(before, quiet), throttleCheck(before, quiet)} {
		if c.State != OK {
			t.Errorf("quiet: %+v", c)
		}
	}

	root["proc/12/stat"] = file("12 (make) (j 2)) S 1 1 1 0 -1 4 0 0 0 0 130 60 0 0 20 0 1 0 1 1 1\n")
	root["proc/14/stat"] = file("14 (self) R 1 1 1 0 -1 4 0 0 0 0 900 50 0 0 20 0 1 0 1 1 1\n")
	root["proc/16/stat"] = file("16 (new) R 1 1 1 0 -1 4 0 0 0 0 900 50 0 0 20 0 1 0 1 1 1\n")
	root["proc/stat"] = file("cpu  200 0 200 1180 0 0 0 20 0 0\n")
	root[cpus+"cpu3/thermal_throttle/core_throttle_count"] = file("8\n")
	after := lookLinux(root, 14)
	after.at = before.at.Add(time.Second)
	for found, c := range map[string]Check{
		"busy: make) (j 2) (process 12, 40 % of a processor)": processesCheck(before, after),
		"5.0 % of the processors' time":                       neighboursCheck(before, after),
		"slowed 3 times":                                      throttleCheck(before, after),
	} {
		if c.State != Warning || !strings.Contains(c.Found, found) {
			t.Errorf("%+v, want a warning with %q", c, found)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("0-3,8")
	f.Add("")
	f.Add("0-999999999")
	f.Fuzz(func(t *testing.T, list string) {
		numbers, ok := parseList(list)
		if ok == (len(numbers) == 0) || len(numbers) > maxProcessors {
			t.Errorf("%q: %d numbers, %v", list, len(numbers), ok)
		}
	})
}

// Whatever the system's files say, checks end, and their warnings fit a table.
func FuzzCheckLinux(f *testing.F) {
	stat := func(n int) string {
		return fmt.Sprintf("17 (a) b) R 1 1 1 0 -1 0 0 0 0 0 %d 5 0 0 20 0 1 0 0\n", n)
	}
	f.Add("cpu  100 0 100 1000 0 0 0 9 0 0\n", stat(40), "0.10 0.20 0.30 1/80 11206\n", "MemAvailable: 70 kB\nSwapTotal: 5 kB\n", "0::/user/run\n", "50000 100000\n", "0-3,7\n")
	f.Add("cpu  1 1 1 1 1 1 1 9223372036854775807 0 0\n", "1 ()", "-1", "MemAvailable: -1 kB", "1:cpu,cpuacct:/../..\n\n", "max 0", "3-0")
	f.Add("", strings.Repeat(")", 100), "NaN", "", "0::/"+strings.Repeat("a/", 200), "1e308 1e-308", "0-99999999999")
	f.Fuzz(func(t *testing.T, counts, process, load, memory, groups, quota, online string) {
		root := board()
		for path, value := range map[string]string{
			"proc/stat": counts, "proc/17/stat": process, "proc/loadavg": load, "proc/meminfo": memory, "proc/self/cgroup": groups,
			"sys/fs/cgroup/cpu.max": quota, "sys/fs/cgroup/user/run/cpu.max": quota, cpus + "online": online,
			"proc/self/status": "Cpus_allowed_list:\t" + online, cpus + "cpu0/topology/thread_siblings_list": online,
			cpus + "cpu1/cpufreq/scaling_governor": load, cpus + "cpu2/thermal_throttle/core_throttle_count": quota,
		} {
			root[path] = file(value)
		}
		before := lookLinux(board(), 1)
		after := lookLinux(root, 1)
		after.at = before.at.Add(time.Second)
		checks := checkLinux(root, Use{Threads: 2}, before, after)
		table := lut.Table{
			Device: lut.Device{Model: "x"}, Runtime: lut.Runtime{Name: "x"}, Batch: 1, Resolutions: []int{1}, DType: "f32", Layout: "nhwc",
			Entries: []lut.Entry{{Key: "skip_i8_o8_s1_r8", MedianMS: 1}}, Warnings: Warnings(checks),
		}
		if err := table.Check(); err != nil {
			t.Errorf("%q: %v", table.Warnings, err)
		}
		for _, c := range checks {
			if c.Name == "" || c.Found == "" || (c.State == Warning) != (c.Advice != "") {
				t.Errorf("%+v", c)
			}
		}
	})
}
