package remote

import (
	"context"
	"os"
	"os/exec"
	"strconv"

	"densenas/internal/exit"
)

// SSH is the road of the system's ssh client, with its configuration.
type SSH struct {
	Target
	Options []string // as in ssh -o; they come before those of this package
}

func (s SSH) connect(context.Context) (connection, error) {
	client, err := exec.LookPath("ssh")
	if err != nil {
		return nil, exit.BadInput("there is no ssh on the PATH; install the OpenSSH client")
	}
	return sshConnection{s, client}, nil
}

type sshConnection struct {
	SSH
	client string
}

func (c sshConnection) String() string { return c.Target.String() + " by ssh" }

func (c sshConnection) command(ctx context.Context, script string) (*exec.Cmd, error) {
	line, err := shellCommand(script)
	if err != nil {
		return nil, err
	}
	// The first value of an option holds. Nothing may ask: there is a progress bar where the question would be.
	args := []string{"-T", "-o", "BatchMode=yes"}
	for _, option := range c.Options {
		args = append(args, "-o", option)
	}
	for _, option := range []string{"ServerAliveInterval=15", "ServerAliveCountMax=4", "ConnectTimeout=15", "ClearAllForwardings=yes", "ForwardAgent=no", "ForwardX11=no"} {
		args = append(args, "-o", option)
	}
	if c.Port != 0 {
		args = append(args, "-p", strconv.Itoa(c.Port))
	}
	if c.User != "" {
		args = append(args, "-l", c.User)
	}
	command := exec.CommandContext(ctx, c.client, append(args, "--", c.Host, line)...)
	apart(command)
	return command, nil
}

func (c sshConnection) platform(uname string) (platform, error) {
	return parsePlatform(c.Target.String(), uname)
}

func (c sshConnection) upload(ctx context.Context, file *os.File, script string) error {
	command, err := c.command(ctx, script)
	if err != nil {
		return err
	}
	_, err = do(command, file, c)
	return err
}
