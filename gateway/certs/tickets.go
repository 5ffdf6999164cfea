package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// ticketKeyBytes is the size of a key.
	ticketKeyBytes = 32
	// maxTicketKeys bounds the tries to decrypt a ticket.
	maxTicketKeys = 16

	wantTickets = "a file with a key in each line, 32 random bytes in base64 or hex, as from openssl rand -base64 32"
)

// tickets reads the keys of session tickets, nil if no file is given.
func (r *reader) tickets(file string) [][ticketKeyBytes]byte {
	const key = "tls.ticket_key_file"
	if file == "" {
		return nil
	}
	text := r.read(key, file, wantTickets)
	if text == nil {
		return nil
	}
	keys, err := parseTicketKeys(text)
	if err != nil {
		r.bad(key, file, wantTickets+": "+err.Error())
		return nil
	}
	return keys
}

// parseTicketKeys reads a key from each line that is not empty and doesn't begin with #. Its error
// names the line and no part of a key.
func parseTicketKeys(text []byte) (keys [][ticketKeyBytes]byte, err error) {
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := parseTicketKey(string(line))
		if err != nil {
			return nil, fmt.Errorf("line %d %w", number, err)
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key in it")
	case len(keys) > maxTicketKeys:
		return nil, fmt.Errorf("%d keys in it, at most %d are taken", len(keys), maxTicketKeys)
	}
	return keys, nil
}

var urlAlphabet = strings.NewReplacer("-", "+", "_", "/")

// parseTicketKey takes hex, or base64 of either alphabet with padding or without.
func parseTicketKey(line string) (key [ticketKeyBytes]byte, err error) {
	var decoded []byte
	if len(line) == hex.EncodedLen(ticketKeyBytes) {
		decoded, err = hex.DecodeString(line)
	} else {
		decoded, err = base64.RawStdEncoding.DecodeString(urlAlphabet.Replace(strings.TrimRight(line, "=")))
	}
	if err != nil {
		return key, errors.New("is neither base64 nor hex of 32 bytes")
	}
	if len(decoded) != ticketKeyBytes {
		return key, fmt.Errorf("has %d bytes", len(decoded))
	}
	return [ticketKeyBytes]byte(decoded), nil
}
