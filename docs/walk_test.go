package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// quickly are flags that make the commands of the walk short, by program and subcommand; the last of a flag counts.
var quickly = map[string]string{
	"profiler run":     "--backend go --precision 0.5 --limit 50ms",
	"profiler verify":  "--nets 20 --precision 0.5 --limit 50ms",
	"profiler measure": "--backend go --precision 0.5 --limit 20ms",
	"search range":     "",
	"search run":       "--backend go --epochs 2 --architecture-epoch 1 --batch 8",
	"search train":     "--backend go --epochs 1 --batch 8",
	"search eval":      "--backend go",
	"search export":    "",
}

// Who follows "From a folder of pictures to a network" gets a network under the target: its commands, in a smaller space and with next to no
// training, on a folder of pictures.
func TestNewcomerGetsANetwork(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are those of a Unix shell")
	}
	_, section, found := strings.Cut(documents(t)["searching.md"], "\n## From a folder of pictures to a network\n")
	if !found {
		t.Fatal("searching.md has no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	commands := regexp.MustCompile(`(?m)^    \$ ((profiler|search) [a-z]+)(.*)$`).FindAllStringSubmatch(section, -1)
	folder, programs := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", programs, "../cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	drawPictures(t, filepath.Join(folder, "pictures"))
	shell := func(line string) string {
		c := exec.Command("sh", "-c", line)
		c.Dir = folder
		c.Env = append(os.Environ(), "PATH="+programs+string(filepath.ListSeparator)+os.Getenv("PATH"))
		for _, cache := range []string{"XDG_CACHE_HOME", "HOME"} { // not that of who tests
			c.Env = append(c.Env, cache+"="+filepath.Join(folder, "cache"))
		}
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, stderr.String())
		}
		return stdout.String()
	}
	var target float64 // ms
	walked := map[string]string{}
	for _, command := range commands {
		name, rest := command[1], strings.ReplaceAll(command[3], "--space cifar", "--space tiny")
		flags, known := quickly[name]
		if !known {
			t.Fatalf("%s is not among what is walked quickly", name)
		}
		switch name {
		case "search range":
			var span struct {
				Fastest float64 `json:"fastest_ms"`
				Slowest float64 `json:"slowest_ms"`
			}
			if err := json.Unmarshal([]byte(shell(name+rest+" --format json")), &span); err != nil {
				t.Fatal(err)
			}
			target = (span.Fastest + span.Slowest) / 2
		case "search run":
			rest = regexp.MustCompile(`--target-latency \S+`).ReplaceAllString(rest, fmt.Sprintf("--target-latency %.0fns", 1e6*target))
		}
		walked[name] = shell(name + rest + " " + flags)
	}
	for name := range quickly {
		if _, ran := walked[name]; !ran {
			t.Errorf("the section has no %s", name)
		}
	}
	var network struct {
		Predicted struct {
			LatencyMS float64 `json:"latency_ms"`
			Verified  bool    `json:"verified"`
		} `json:"predicted"`
	}
	data, err := os.ReadFile(filepath.Join(folder, "run", "arch.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &network); err != nil {
		t.Fatal(err)
	}
	if ms := network.Predicted.LatencyMS; !network.Predicted.Verified || !(ms > 0 && ms <= target) {
		t.Errorf("the network is predicted to take %g ms, verified %t, for %g ms", ms, network.Predicted.Verified, target)
	}
	if !strings.Contains(walked["profiler measure"], "measured at the verification's speed") || !strings.Contains(walked["search eval"], "top-1") {
		t.Errorf("measured:\n%s\ntested:\n%s", walked["profiler measure"], walked["search eval"])
	}
	if _, err := os.Stat(filepath.Join(folder, "network.onnx")); err != nil {
		t.Error(err)
	}
}

// drawPictures makes a folder of small pictures, of three classes that differ by their colour.
func drawPictures(t *testing.T, folder string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for class, c := range map[string]color.NRGBA{"leaf": {40, 160, 40, 255}, "rose": {200, 30, 60, 255}, "sky": {80, 140, 240, 255}} {
		if err := os.MkdirAll(filepath.Join(folder, class), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			picture := image.NewNRGBA(image.Rect(0, 0, 32, 32))
			for at := range 32 * 32 {
				light := 0.6 + 0.4*r.Float64()
				picture.SetNRGBA(at%32, at/32, color.NRGBA{uint8(light * float64(c.R)), uint8(light * float64(c.G)), uint8(light * float64(c.B)), 255})
			}
			var data bytes.Buffer
			if err := png.Encode(&data, picture); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, class, fmt.Sprintf("%02d.png", i)), data.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
