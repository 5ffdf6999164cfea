package redistest

import "testing"

// The next test gets the server of the last one empty, or not at all.
func TestNothingIsLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		use  func(s *Server)
		kept bool
	}{
		"data":          {func(s *Server) { s.Do("SET", "k", "v") }, true},
		"configuration": {func(s *Server) { s.Do("CONFIG", "SET", "maxmemory", "10mb") }, false},
		"a pause":       {func(s *Server) { s.Do("CLIENT", "PAUSE", "60000", "WRITE") }, false},
		"a crash":       {func(s *Server) { s.Kill(); s.Start() }, false},
	} {
		var used string
		t.Run(name, func(t *testing.T) {
			s := Start(t)
			used = s.Addr
			tc.use(s)
		})
		s := Start(t)
		if kept := s.Addr == used; kept != tc.kept {
			t.Errorf("%s: the next test has the same server: %v", name, kept)
		}
		if n := s.Do("DBSIZE"); n != int64(0) {
			t.Errorf("%s: %v keys are left", name, n)
		}
		if n := s.Calls("set"); n != 0 {
			t.Errorf("%s: %d calls are counted", name, n)
		}
	}
}
