package remote

import (
	"regexp"
	"strconv"
	"strings"

	"densenas/internal/exit"
)

// Target is where the program runs.
type Target struct {
	User string // empty: as ssh is configured
	Host string // name, alias of ssh's configuration, or address
	Port int    // 0: as ssh is configured
}

var (
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$`)
	address6 = regexp.MustCompile(`^[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,32})?$`)
)

// ParseTarget reads [user@]host[:port], where an IPv6 address stands in brackets. What ssh could take for an option or for more
// than a name is bad input.
func ParseTarget(text string) (Target, error) {
	refuse := func() (Target, error) {
		return Target{}, exit.BadInput("--ssh is %q, expected user@host or user@host:port, an IPv6 address in brackets", text)
	}
	var t Target
	rest := text
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		t.User, rest = text[:at], text[at+1:]
		if !userName.MatchString(t.User) {
			return refuse()
		}
	}
	port, hasPort := "", false
	if inner, bracketed := strings.CutPrefix(rest, "["); bracketed {
		host, after, closed := strings.Cut(inner, "]")
		if !closed || !address6.MatchString(host) {
			return refuse()
		}
		t.Host = host
		if port, hasPort = strings.CutPrefix(after, ":"); after != "" && !hasPort {
			return refuse()
		}
	} else {
		t.Host, port, hasPort = strings.Cut(rest, ":")
		if !hostName.MatchString(t.Host) {
			return refuse()
		}
	}
	if hasPort {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
			return refuse()
		}
		t.Port = n
	}
	return t, nil
}

// String is the target as messages name it.
func (t Target) String() string {
	if t.User != "" {
		return t.User + "@" + t.Host
	}
	return t.Host
}
