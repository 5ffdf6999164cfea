package probe

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// The kernel's figures move with the load on it.
func TestKernelSample(t *testing.T) {
	w, err := WatchKernel(0)
	if err != nil {
		t.Fatal(err)
	}
	sample := func() KernelSample {
		t.Helper()
		s, err := w.Sample()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := sample()
	if before.Slab == 0 || before.CPU == 0 {
		t.Errorf("sample %+v", before)
	}
	// A listener with room for one, which is never accepted.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for deadline := time.Now().Add(10 * time.Second); sample().Overflows == 0; {
		if time.Now().After(deadline) {
			t.Fatal("connects to a full queue are not counted")
		}
		if conn, err := net.DialTimeout("tcp", addr, 50*time.Millisecond); err == nil {
			defer conn.Close()
		}
	}
	s := sample()
	if s.Drops < s.Overflows || s.Sockets == 0 {
		t.Errorf("sample %+v, before %+v", s, before)
	}
	// Counts stay when the process is another, in another network.
	w.namespace = "net:[1]"
	if err := w.Follow(0); err != nil {
		t.Fatal(err)
	}
	if again := sample(); again.Overflows < s.Overflows || again.Drops < s.Drops {
		t.Errorf("sample %+v, before %+v", again, s)
	}
}
