package loadgen

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// serverVariable names the address at which the test binary is a gateway
// instead, for scenarios that restart one.
const serverVariable = "LOADGEN_TEST_SERVER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serverVariable); addr != "" {
		os.Exit(serve(addr))
	}
	goleak.VerifyTestMain(m)
}

// serve runs the scripted server until SIGTERM.
func serve(addr string) int {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := newScripted()
	s.Listener.Close()
	s.Listener = ln
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	s.Start()
	go s.dispatch()
	<-ended
	s.stop()
	return 0
}
