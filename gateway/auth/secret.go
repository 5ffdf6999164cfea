package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// secretPrefix stands before a secret that is written in base64.
const secretPrefix = "base64:"

// byteOrderMark is what some editors write before everything else.
var byteOrderMark = []byte("\ufeff")

// parseSecret returns the bytes of a shared secret as it is configured: less a
// byte order mark and one line end, which editors and echo put around it, and
// decoded where it says that it's in base64. It refuses a PEM block: if that is a
// public key, everybody knows it.
func parseSecret(text []byte) ([]byte, error) {
	if isUTF16(text) {
		return nil, errors.New("is text in UTF-16, want UTF-8")
	}
	secret := bytes.TrimPrefix(text, byteOrderMark)
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	if encoded, ok := bytes.CutPrefix(secret, []byte(secretPrefix)); ok {
		decoded, err := decodeBase64(string(encoded))
		if err != nil {
			return nil, fmt.Errorf("what stands behind %s is not base64: %w", secretPrefix, err)
		}
		secret = decoded
	}
	if len(secret) == 0 {
		return nil, errors.New("is empty")
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return nil, errors.New("holds a PEM block, which is no shared secret")
	}
	return secret, nil
}

// isUTF16 reports whether it's ASCII as some editors and shells of Windows write
// it, with the mark for it. Random bytes may begin with the mark, too.
func isUTF16(text []byte) bool {
	return len(text) >= 4 && (text[0] == 0xff && text[1] == 0xfe && text[3] == 0 || text[0] == 0xfe && text[1] == 0xff && text[2] == 0)
}

// urlAlphabet turns the URL-safe alphabet into the standard one.
var urlAlphabet = strings.NewReplacer("-", "+", "_", "/")

// decodeBase64 takes both alphabets, with padding or without. Line ends don't
// count: openssl rand -base64 breaks its lines.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	return base64.RawStdEncoding.DecodeString(urlAlphabet.Replace(text))
}
