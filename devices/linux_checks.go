package devices

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// moment is what Linux counts, at one time.
type moment struct {
	at        time.Time
	steal     int64          // ticks of all processors that the hypervisor gave to others
	total     int64          // ticks of all processors
	processes map[int]ticks  // by number
	throttled map[string]int // times that a processor was slowed because of its heat, by its folder
}

// ticks are a process's share of the processors' time.
type ticks struct {
	name string
	used int64
}

// maxProcesses bounds how many processes are looked at.
const maxProcesses = 20_000

func lookLinux(root fs.FS, self int) moment {
	m := moment{at: time.Now(), processes: map[int]ticks{}, throttled: map[string]int{}}
	first, _, _ := strings.Cut(string(read(root, "proc/stat")), "\n")
	if fields := strings.Fields(first); len(fields) > 8 && fields[0] == "cpu" {
		for i, field := range fields[1:9] { // user … steal; the time of guests is in user
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				break
			}
			m.total += n
			if i == 7 {
				m.steal = n
			}
		}
	}
	entries, err := fs.ReadDir(root, "proc")
	if err != nil {
		return m
	}
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil || number == self || len(m.processes) == maxProcesses {
			continue
		}
		if t, ok := processTicks(read(root, path.Join("proc", entry.Name(), "stat"))); ok {
			m.processes[number] = t
		}
	}
	for _, folder := range processorFolders(root) {
		if n, err := strconv.Atoi(text(root, path.Join(folder, "thermal_throttle/core_throttle_count"))); err == nil {
			m.throttled[folder] = n
		}
	}
	return m
}

// processTicks reads /proc/N/stat: "N (name) state …", where the name may hold anything, and user and system time are the
// 12th and 13th field after it.
func processTicks(data []byte) (ticks, bool) {
	_, after, found := strings.Cut(string(data), "(")
	end := strings.LastIndexByte(after, ')')
	if !found || end < 0 {
		return ticks{}, false
	}
	fields := strings.Fields(after[end+1:])
	if len(fields) < 13 {
		return ticks{}, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return ticks{clean(after[:end]), user + system}, err1 == nil && err2 == nil
}

// processorFolders are the folders of the processors below /sys, in numeric order.
func processorFolders(root fs.FS) []string {
	names, err := fs.Glob(root, "sys/devices/system/cpu/cpu[0-9]*")
	if err != nil {
		return nil
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(path.Base(name), "cpu")) // what is no number comes first, and has no files
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return names
}

func checkLinux(root fs.FS, use Use, before, after moment) []Check {
	processors := allowed(root)
	return []Check{
		governorCheck(root),
		clockCheck(root),
		turboCheck(root),
		throttleCheck(before, after),
		processorsCheck(root, use, processors),
		loadCheck(text(root, "proc/loadavg"), use, len(processors)),
		processesCheck(before, after),
		neighboursCheck(before, after),
		memoryCheck(read(root, "proc/meminfo")),
	}
}

// perProcessor reads a file of each processor's clock; processors without it are left out.
func perProcessor(root fs.FS, file string) []string {
	var values []string
	for _, folder := range processorFolders(root) {
		if value := text(root, path.Join(folder, "cpufreq", file)); value != "" {
			values = append(values, value)
		}
	}
	return values
}

func governorCheck(root fs.FS) Check {
	const name = "governor"
	governors := perProcessor(root, "scaling_governor")
	slices.Sort(governors)
	governors = slices.Compact(governors)
	switch {
	case len(governors) == 0:
		return unknown(name, "not published: a virtual machine, or a kernel without control of the clock")
	case len(governors) == 1 && governors[0] == "performance":
		return ok(name, "performance")
	}
	return warning(name, "set it to performance while measuring: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
		"%s", strings.Join(governors, ", "))
}

// frequencies reads frequencies in kHz as MHz.
func frequencies(root fs.FS, file string) []int {
	var list []int
	for _, value := range perProcessor(root, file) {
		if kHz, err := strconv.Atoi(value); err == nil && kHz > 0 {
			list = append(list, kHz/1000)
		}
	}
	return list
}

// clockSpread is how far, in shares of its highest, the clock of a processor may be below another's.
const clockSpread = 0.1

func clockCheck(root fs.FS) Check {
	const name = "clock"
	low, high, now := frequencies(root, "scaling_min_freq"), frequencies(root, "scaling_max_freq"), frequencies(root, "scaling_cur_freq")
	if len(low) == 0 || len(low) != len(high) {
		return unknown(name, "not published: a virtual machine, or a kernel without control of the clock")
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(frequencies(root, "cpuinfo_max_freq")))); len(distinct) > 1 {
		return warning(name, "bind the threads to processors of one kind: list them in a device description (processors: [4, 5, 6, 7]) and name it by --device",
			"processors of different kinds, of up to %s MHz", join(distinct))
	}
	least, most := slices.Min(low), slices.Max(high)
	if least == most {
		return ok(name, "fixed at %d MHz", most)
	}
	found := fmt.Sprintf("may change between %d and %d MHz", least, most)
	const advice = "fix it while measuring: the governor performance, or the same lowest and highest clock (cpupower frequency-set -d … -u …)"
	if len(now) == 0 {
		return unknown(name, "%s; its value is not published", found)
	}
	found += fmt.Sprintf(", now %d to %d MHz", slices.Min(now), slices.Max(now))
	if float64(slices.Max(now)-slices.Min(now)) > clockSpread*float64(most) {
		return warning(name, advice, "%s", found)
	}
	return ok(name, "%s", found)
}

func join(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}

func turboCheck(root fs.FS) Check {
	const name, folder = "turbo", "sys/devices/system/cpu/"
	const advice = "turn it off while measuring, for its clock depends on heat and on the other processors: "
	switch text(root, folder+"intel_pstate/no_turbo") {
	case "1":
		return ok(name, "off")
	case "0":
		return warning(name, advice+"echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo", "on")
	}
	switch text(root, folder+"cpufreq/boost") {
	case "0":
		return ok(name, "off")
	case "1":
		return warning(name, advice+"echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost", "on")
	}
	return unknown(name, "not published")
}

func throttleCheck(before, after moment) Check {
	const name = "heat"
	if len(after.throttled) == 0 {
		return unknown(name, "not published whether the processors were slowed because of their heat")
	}
	since, times := 0, 0
	for folder, n := range after.throttled {
		since += n
		times += max(0, n-before.throttled[folder])
	}
	if times > 0 {
		return warning(name, "cool the device, and let it rest before measuring", "the processors were slowed %d times in %v because of their heat", times, window)
	}
	return ok(name, "no processor was slowed in %v; %d times since the start of the system", window, since)
}

// allowed are the numbers of the processors that this process may use; as many as Go knows where Linux does not say.
func allowed(root fs.FS) []int {
	for line := range strings.Lines(string(read(root, "proc/self/status"))) {
		if list, found := strings.CutPrefix(line, "Cpus_allowed_list:"); found {
			if numbers, ok := parseList(strings.TrimSpace(list)); ok {
				return numbers
			}
		}
	}
	numbers := make([]int, runtime.NumCPU())
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// parseList reads a list of processors, "0-3,8".
func parseList(list string) ([]int, bool) {
	var numbers []int
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(item, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || low < 0 || high < low || high >= maxProcessors {
			return nil, false
		}
		if len(numbers)+high-low >= maxProcessors {
			return nil, false
		}
		for n := low; n <= high; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers, true
}

func processorsCheck(root fs.FS, use Use, processors []int) Check {
	const name = "processors"
	found := fmt.Sprintf("this process may use %d", len(processors))
	if online, ok := parseList(text(root, "sys/devices/system/cpu/online")); ok {
		found += fmt.Sprintf(" of %d", len(online))
	}
	chosen := processors
	if len(use.Processors) > 0 {
		chosen = use.Processors
		found += fmt.Sprintf(", of them %s are chosen", join(chosen))
		for _, n := range chosen {
			if !slices.Contains(processors, n) {
				return warning(name, "choose among the processors that this process may use (taskset, cpuset)", "%s, but not %d", found, n)
			}
		}
	}
	threads := use.threads(len(processors))
	found += ", for " + count(threads, "thread")
	if quota, limited := quota(root); limited {
		found += fmt.Sprintf("; a control group allows the time of %.3g", quota)
		if float64(threads) > quota {
			return warning(name, "raise the quota of the container, or use fewer --threads: a process that meets it stands still for many milliseconds", "%s", found)
		}
	}
	siblings := map[string]bool{}
	for _, n := range chosen {
		if core := text(root, fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", n)); core != "" {
			siblings[core] = true
		}
	}
	if cores := len(siblings); cores > 0 && threads > cores {
		return warning(name, fmt.Sprintf("use at most --threads %d: threads that share a core slow each other", cores), "%s, on %s", found, count(cores, "core"))
	}
	return ok(name, "%s", found)
}

// count counts things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// quota is the time of processors that the control groups of this process allow it, the least of them and those above.
func quota(root fs.FS) (processors float64, limited bool) {
	atMost := func(limit, period string) {
		used, err1 := strconv.ParseFloat(limit, 64)
		of, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && used > 0 && of > 0 && (!limited || used/of < processors) {
			processors, limited = used/of, true
		}
	}
	// In a container the path is often that of the host, and its group the top of what is mounted: look there too.
	for line := range strings.Lines(string(read(root, "proc/self/cgroup"))) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		top, second := "sys/fs/cgroup", fields[1] == ""
		if !second {
			if !slices.Contains(strings.Split(fields[1], ","), "cpu") {
				continue
			}
			top = path.Join(top, fields[1])
		}
		for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
			folder := path.Join(top, group)
			if second {
				if words := strings.Fields(text(root, path.Join(folder, "cpu.max"))); len(words) == 2 {
					atMost(words[0], words[1]) // "max" is no number
				}
			} else {
				atMost(text(root, path.Join(folder, "cpu.cfs_quota_us")), text(root, path.Join(folder, "cpu.cfs_period_us")))
			}
			if group == "/" {
				break
			}
		}
	}
	return processors, limited
}

// loadCheck judges the load of the last minute, "0.20 0.18 0.12 1/80 11206", by what the threads leave of the processors.
func loadCheck(loads string, use Use, processors int) Check {
	const name = "load"
	first, _, _ := strings.Cut(loads, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return unknown(name, "not published")
	}
	return judgeLoad(load, use, processors)
}

// judgeLoad allows a load of half a processor beside the threads, and of half of the processors in all.
func judgeLoad(load float64, use Use, processors int) Check {
	const name = "load"
	found := fmt.Sprintf("%.2f in the last minute, on %s", load, count(processors, "processor"))
	if free := float64(processors - use.threads(processors)); load > max(0, free)+0.5 || load > max(0.5, float64(processors)/2) {
		return warning(name, "close other programs, and wait a minute after heavy work", "%s", found)
	}
	return ok(name, "%s", found)
}

const (
	ticksPerSecond = 100 // USER_HZ, the same on all of Linux's common architectures
	busyProcess    = 0.2 // of a processor
)

func processesCheck(before, after moment) Check {
	const name = "processes"
	seconds := after.at.Sub(before.at).Seconds()
	if len(after.processes) == 0 || seconds <= 0 {
		return unknown(name, "not published")
	}
	type busy struct {
		text string
		used float64
	}
	var list []busy
	for number, t := range after.processes {
		earlier, there := before.processes[number]
		if !there {
			continue
		}
		if used := float64(t.used-earlier.used) / ticksPerSecond / seconds; used > busyProcess {
			list = append(list, busy{fmt.Sprintf("%.40s (process %d, %.0f %% of a processor)", t.name, number, 100*used), used})
		}
	}
	if len(list) == 0 {
		return ok(name, "no other process is busy")
	}
	slices.SortFunc(list, func(a, b busy) int { return cmp.Or(cmp.Compare(b.used, a.used), strings.Compare(a.text, b.text)) })
	var texts []string
	for _, b := range list[:min(len(list), 3)] {
		texts = append(texts, b.text)
	}
	return warning(name, "close them, or wait for their end", "busy: %s", strings.Join(texts, ", "))
}

// stolen is the share of the processors' time that a hypervisor may give to others unnoticed.
const stolen = 0.02

func neighboursCheck(before, after moment) Check {
	const name = "neighbours"
	total := after.total - before.total
	if after.total == 0 || total <= 0 {
		return unknown(name, "not published")
	}
	part := float64(after.steal-before.steal) / float64(total)
	found := fmt.Sprintf("%.1f %% of the processors' time went to other virtual machines", 100*part)
	if part > stolen {
		return warning(name, "measure when the host of this virtual machine is quiet, or on a machine of one's own", "%s", found)
	}
	return ok(name, "%s", found)
}

const (
	leastMemoryMB = 512 // available
	swapMB        = 64  // in use
)

func memoryCheck(meminfo []byte) Check {
	const name = "memory"
	available, known := memoryField(meminfo, "MemAvailable:")
	if !known {
		return unknown(name, "not published")
	}
	total, _ := memoryField(meminfo, "SwapTotal:")
	free, _ := memoryField(meminfo, "SwapFree:")
	return judgeMemory(available, total-free)
}

func judgeMemory(availableMB, swappedMB int) Check {
	const name = "memory"
	found := fmt.Sprintf("%d MB available, %d MB in swap", availableMB, swappedMB)
	if availableMB < leastMemoryMB || swappedMB > swapMB {
		return warning(name, "close other programs; then empty the swap: sudo swapoff -a && sudo swapon -a", "%s", found)
	}
	return ok(name, "%s", found)
}

func clockSourceLinux(root fs.FS) string {
	return text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource")
}
