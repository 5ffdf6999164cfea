package walls

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// raiseLoopback turns on the loopback of a new namespace.
func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("turn on the loopback: %w", errno)
	}
	return nil
}

// setSysctl sets a setting of the process' network namespace.
func setSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
}

// counters reads the namespace's counters of TCP.
func counters() (map[string]int, error) {
	text, err := os.ReadFile("/proc/self/net/netstat")
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, field := range fields[1:] {
			if out[names[i+1]], err = strconv.Atoi(field); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
