package loadgen

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// serverVariable names the address at which the test binary is a gateway
// instead, for scenarios that restart one.
const serverVariable = "LOADGEN_TEST_SERVER"

// skewVariable is how far an agent's clock is ahead.
const skewVariable = "LOADGEN_TEST_SKEW"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serverVariable); addr != "" {
		os.Exit(serve(addr))
	}
	// As a process that holds clients for --agents and --agent.
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		skew, _ := time.ParseDuration(os.Getenv(skewVariable))
		if err := Serve(context.Background(), os.Stdin, os.Stdout, skew); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
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
