package gatewaytest

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// CPUTime returns the CPU time that fn takes, which other work of the machine doesn't
// lengthen.
func CPUTime(fn func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID
	at := func() time.Duration {
		var now syscall.Timespec
		if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0); err != 0 {
			panic(err)
		}
		return time.Duration(now.Nano())
	}
	begin := at()
	fn()
	return at() - begin
}

// HeapInUse returns the bytes of the heap that are reachable. Pools and finalizers keep garbage
// beyond one collection, so it runs some.
func HeapInUse() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
