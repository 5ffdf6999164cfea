package main

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// fileOf returns the file that a writer writes to; nil: it's none.
func fileOf(w io.Writer) *os.File {
	if s, ok := w.(interface{ Unwrap() io.Writer }); ok {
		w = s.Unwrap()
	}
	f, _ := w.(*os.File)
	return f
}

// isTerminal reports whether w is a character device other than the null one,
// whose lines can be rewritten.
func isTerminal(w io.Writer) bool {
	f := fileOf(w)
	if f == nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// drawable reports whether w is a terminal on which lines can be drawn anew.
func drawable(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("TERM") != "dumb"
}

// coloured reports whether colours are wanted; see no-color.org.
func coloured() bool { return os.Getenv("NO_COLOR") == "" }

// columns returns the width of a terminal, 80 where it is not known.
func columns(w io.Writer) int {
	var size struct{ rows, columns, x, y uint16 }
	if f := fileOf(w); f != nil {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		if errno == 0 && size.columns > 0 {
			return int(size.columns)
		}
	}
	return 80
}
