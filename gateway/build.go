package gateway

import (
	"runtime"
	"runtime/debug"
)

// Build describes the source and toolchain of this program, as far as the Go toolchain recorded
// them.
type Build struct {
	Version string // of the main module, "(devel)" for a build outside of version control
	Commit  string // empty where it isn't known, with "+dirty" where files were changed
	Go      string // release of the toolchain
}

// ReadBuild returns the running program's Build.
func ReadBuild() Build {
	b := Build{Version: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && b.Commit != "" {
		b.Commit += "+dirty"
	}
	return b
}
