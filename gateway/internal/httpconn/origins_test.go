package httpconn

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/internal/limit"
)

// Invented origins can't fill the log.
func TestStrangersAreTold(t *testing.T) {
	var log bytes.Buffer
	var s Shared
	to := slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		s.logOrigin(to, []byte("https://a.example"))
	}
	if n := strings.Count(log.String(), "origin=https://a.example key=origins"); n != 1 {
		t.Errorf("told %d times of one origin:\n%s", n, &log)
	}
	for i := range 3 * limit.MaxNames {
		s.logOrigin(to, fmt.Appendf(nil, "https://%d.example", i))
	}
	if n := strings.Count(log.String(), "\n"); n != limit.MaxNames+1 {
		t.Errorf("%d lines, want one for each of %d origins and one that there are no more", n, limit.MaxNames)
	}
	s.Forget()
	log.Reset()
	if s.logOrigin(to, []byte("https://a.example")); log.Len() == 0 {
		t.Error("after a reload it isn't told")
	}
}
