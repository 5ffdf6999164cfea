package auth

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestParseSecret(t *testing.T) {
	bytes := []byte{0xfb, 0xff, 0, '\n', 1, 2, 3, 4, 5, 6} // both alphabets differ, and a line end is part of it
	std, url := base64.StdEncoding.EncodeToString(bytes), base64.URLEncoding.EncodeToString(bytes)
	for name, tt := range map[string]struct{ text, want, err string }{
		"as it is":         {"top secret", "top secret", ""},
		"one line end":     {"top secret\r\n", "top secret", ""},
		"two line ends":    {"top secret\n\n", "top secret\n", ""},
		"spaces":           {" s ", " s ", ""},
		"base64":           {"base64:" + std, string(bytes), ""},
		"URL alphabet":     {"base64:" + url, string(bytes), ""},
		"without padding":  {"base64:" + strings.TrimRight(std, "="), string(bytes), ""},
		"URL, no padding":  {"base64:" + strings.TrimRight(url, "=") + "\n", string(bytes), ""},
		"broken lines":     {"base64:" + std[:4] + "\n" + std[4:] + "\n", string(bytes), ""},
		"prefix elsewhere": {"xbase64:YQ==", "xbase64:YQ==", ""},
		"empty":            {"\n", "", "is empty"},
		"byte order mark":  {"\ufefftop secret\r\n", "top secret", ""},
		"mark and base64":  {"\ufeffbase64:" + std, string(bytes), ""},
		"UTF-16":           {"\xff\xfet\x00o\x00p\x00", "", "UTF-16"},
		"UTF-16, big":      {"\xfe\xff\x00t\x00o\x00p", "", "UTF-16"},
		"random bytes":     {"\xff\xfe12", "\xff\xfe12", ""},
		"empty base64":     {"base64:==", "", "is empty"},
		"no base64":        {"base64:hunter2!", "", "the text behind base64: is not base64: illegal base64 data at input byte 7"},
		"cut off":          {"base64:YWJjZ", "", "is not base64"},
		"PEM":              {"-----BEGIN PUBLIC KEY-----", "", "PEM block"},
		"PEM in base64":    {"base64:" + base64.StdEncoding.EncodeToString([]byte("-----BEGIN PUBLIC KEY-----")), "", "PEM block"},
	} {
		got, err := parseSecret([]byte(tt.text))
		if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter")) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
