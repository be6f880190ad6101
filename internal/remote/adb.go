package remote

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"densenas/internal/exit"
)

// ADB is the road of the Android Debug Bridge, by the adb of the Android SDK's platform tools.
type ADB struct {
	Serial string // of the phone, as `adb devices` lists it; empty: the only one that is connected
}

// String is the phone as messages name it.
func (a ADB) String() string {
	if a.Serial == "" {
		return "the phone"
	}
	return "the phone " + exit.OneLine(a.Serial)
}

// phoneFolder is where adb's shell may write files and run them, on every phone.
const phoneFolder = "/data/local/tmp"

// phoneScript comes before every script: a phone's shell has no home folder that can be written to.
const phoneScript = "export HOME=" + phoneFolder + " XDG_CACHE_HOME=" + phoneFolder + " TMPDIR=" + phoneFolder + "; "

// passed is an exit code that no shell and no adb gives by itself.
const passed = 42

// connect finds the phone, and asks for its processor. Older phones, whose adb has neither exit codes nor streams of its own for a
// script, are refused.
func (a ADB) connect(ctx context.Context) (connection, error) {
	client, err := exec.LookPath("adb")
	if err != nil {
		return nil, exit.BadInput("there is no adb on the PATH; install the Android SDK's platform tools (Debian: apt-get install adb)")
	}
	listed, err := do(adb(ctx, client, "devices"), nil, bridge{})
	if err != nil {
		return nil, err
	}
	c := adbConnection{client: client}
	if c.Serial, err = choosePhone(parsePhones(listed), cmp.Or(a.Serial, os.Getenv("ANDROID_SERIAL"))); err != nil {
		return nil, err
	}
	command, err := c.command(ctx, fmt.Sprintf("getprop ro.product.cpu.abi; exit %d", passed))
	if err != nil {
		return nil, err
	}
	c.abi, err = do(command, nil, c)
	var exited *exec.ExitError
	switch {
	case err == nil:
		return nil, exit.BadInput("%s passes no exit codes on: it needs Android 7 or newer, and adb from the platform tools of 2016 or newer", c.ADB)
	case !errors.As(err, &exited) || exited.ExitCode() != passed:
		return nil, err
	}
	return c, nil
}

// bridge is adb itself, in messages.
type bridge struct{}

func (bridge) String() string { return "adb" }

// adb runs the program with arguments.
func adb(ctx context.Context, client string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, client, args...)
	apart(c)
	return c
}

// phone is one that adb lists.
type phone struct{ serial, state string }

// parsePhones reads what `adb devices` prints: a title, then a serial number and a state in each line.
func parsePhones(list string) []phone {
	var phones []phone
	lines := bufio.NewScanner(strings.NewReader(list))
	for lines.Scan() {
		serial, state, found := strings.Cut(lines.Text(), "\t")
		if found && serial != "" && !strings.HasPrefix(serial, "*") {
			phones = append(phones, phone{serial, strings.TrimSpace(state)})
		}
	}
	return phones
}

// choosePhone gives the serial number of the phone that is meant, if it can be used.
func choosePhone(phones []phone, serial string) (string, error) {
	names := make([]string, len(phones))
	for i, p := range phones {
		names[i] = fmt.Sprintf("%.80q", p.serial)
	}
	chosen := slices.IndexFunc(phones, func(p phone) bool { return p.serial == serial })
	switch {
	case len(phones) == 0:
		return "", exit.BadInput("adb lists no phone: connect one, switch on USB debugging in its developer options, and look at `adb devices`")
	case serial == "" && len(phones) > 1:
		return "", exit.BadInput("adb lists %d phones: name one by --adb=SERIAL, of %s", len(phones), strings.Join(names, ", "))
	case serial == "":
		chosen = 0
	case chosen < 0:
		return "", exit.BadInput("adb does not list the phone %.80q, only %s; connect it, over a network by `adb connect HOST:PORT`", serial, strings.Join(names, ", "))
	}
	switch p := phones[chosen]; {
	case p.state == "device":
		return p.serial, nil
	case p.state == "unauthorized" || p.state == "authorizing":
		return "", exit.BadInput("the phone %.80q does not trust this machine yet: unlock it, and allow USB debugging in the question that it shows", p.serial)
	case p.state == "offline" || p.state == "connecting":
		return "", exit.BadInput("the phone %.80q is %s: plug it in again, or run `adb reconnect`", p.serial, p.state)
	case strings.HasPrefix(p.state, "no permissions"):
		return "", exit.BadInput("adb may not use the phone %.80q: it needs a udev rule (Debian: apt-get install android-sdk-platform-tools-common), then `adb kill-server`", p.serial)
	default:
		return "", exit.BadInput("the phone %.80q is in the state %.40q: start Android on it, and look at `adb devices`", p.serial, p.state)
	}
}

type adbConnection struct {
	ADB
	client string
	abi    string // of the phone, as Android names it
}

func (c adbConnection) String() string { return c.ADB.String() + " by adb" }

// command hands the script to adb in one word: adb passes it to the phone's shell as it is.
func (c adbConnection) command(ctx context.Context, script string) (*exec.Cmd, error) {
	return adb(ctx, c.client, "-s", c.Serial, "shell", "-T", phoneScript+script), nil
}

func (c adbConnection) platform(string) (platform, error) {
	switch abi := strings.TrimSpace(c.abi); abi {
	case "arm64-v8a":
		return platform{android, "arm64"}, nil
	case "x86_64":
		return platform{android, "amd64"}, nil
	case "armeabi-v7a", "armeabi", "x86":
		return platform{}, exit.BadInput("%s runs a 32-bit Android (%s), which the runtimes are not made for", c.ADB, abi)
	default:
		return platform{}, exit.BadInput("%s has a processor of the kind %.40q: the profiler is made for arm64-v8a and x86_64", c.ADB, abi)
	}
}

// upload pushes the file to a name of its own, which the script's standard input is, and which is gone when that is open.
func (c adbConnection) upload(ctx context.Context, file *os.File, script string) error {
	local, err := filepath.Abs(file.Name())
	if err != nil {
		return err
	}
	pushed := phoneFolder + "/densenas-" + strings.ToLower(rand.Text())
	if _, err := do(adb(ctx, c.client, "-s", c.Serial, "push", local, pushed), nil, c); err != nil {
		if remove, cannot := c.command(context.WithoutCancel(ctx), "rm -f "+pushed); cannot == nil {
			_ = remove.Run() // the phone is most likely gone
		}
		return err
	}
	command, err := c.command(ctx, "exec <"+pushed+" && rm -f "+pushed+" && { "+script+"; }")
	if err != nil {
		return err
	}
	_, err = do(command, nil, c)
	return err
}
