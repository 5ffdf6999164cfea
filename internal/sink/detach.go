package sink

import (
	"fmt"
	"syscall"
)

// Detach has writes to a descriptor fail, with EAGAIN, where the pipe behind it
// is full, for those that no Writer stands before: the runtime writes a panic's
// stacks to descriptor 2 itself, and a process that waits for a reader there has
// neither served nor ended. The pipe is opened anew for it, as the other
// processes that hold it may rely on waiting. Whatever is no pipe stays as it is.
func Detach(fd int) {
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil || info.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return
	}
	// Fails for a pipe without a reader, which never fills up, and for another
	// user's.
	own, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", fd), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(own)
	_ = syscall.Dup3(own, fd, 0)
}
