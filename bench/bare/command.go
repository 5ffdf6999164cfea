package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	maxRounds  = 1_000_000
	maxPayload = 1 << 20
)

var pingFrame = []byte{0x89, 0}

// Stats is the answer to a command.
type Stats struct {
	// Connections are the clients there are, past their handshake.
	Connections int `json:"connections"`
	// Handshakes, Deliveries, Pings and Pongs count since the start.
	Handshakes int `json:"handshakes"`
	Deliveries int `json:"deliveries"`
	Pings      int `json:"pings"`
	Pongs      int `json:"pongs"`
	// Refused are writes that the kernel had no room for.
	Refused int `json:"refused"`
	// Closed are the clients that left or took a write only in part.
	Closed int `json:"closed"`
}

// readCommands runs each whole line and answers it.
func (s *server) readCommands(in []byte) (used int) {
	for {
		n := bytes.IndexByte(in[used:], '\n')
		if n < 0 {
			return used
		}
		os.Stdout.Write(s.answer(string(in[used : used+n]))) // an error: nobody wants to know
		used += n + 1
	}
}

// answer runs a command and returns the line that answers it.
func (s *server) answer(line string) []byte {
	var answer any = &s.stats
	if err := s.command(line); err != nil {
		answer = map[string]string{"error": err.Error()}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		panic(err) // neither form can fail
	}
	return append(out, '\n')
}

func (s *server) command(line string) error {
	words := strings.Fields(line)
	switch {
	case len(words) == 3 && words[0] == "send":
		n, err := parse(words[1], "count", maxRounds)
		if err != nil {
			return err
		}
		size, err := parse(words[2], "size", maxPayload)
		if err != nil {
			return err
		}
		frame := appendText(nil, size)
		for range n {
			s.stats.Deliveries += s.writeAll(frame)
		}
	case len(words) == 1 && words[0] == "ping":
		s.stats.Pings += s.writeAll(pingFrame)
	case len(words) == 1 && words[0] == "stats":
	default:
		return fmt.Errorf("unknown command %q, want send N SIZE, ping or stats", line)
	}
	return nil
}

// writeAll writes p to every client and returns how many took it.
func (s *server) writeAll(p []byte) (taken int) {
	for fd := range s.conns {
		if s.conns[fd].role == roleFrames && s.write(fd, p) {
			taken++
		}
	}
	return taken
}

func parse(word, what string, most int) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s: %q is not allowed, want 1 to %d", what, word, most)
	}
	return n, nil
}
