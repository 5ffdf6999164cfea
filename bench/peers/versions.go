package main

import (
	"os/exec"
	"runtime/debug"
	"strings"
)

// modules are those whose versions decide.
var modules = []string{"github.com/centrifugal/centrifuge", "github.com/gobwas/ws", "github.com/gorilla/websocket"}

// versions returns those of everything that is compared; what isn't here has
// none.
func versions(gateway string) map[string]string {
	all := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			for _, path := range modules {
				if m.Path == path {
					all[path] = m.Version
				}
			}
		}
	}
	for name, command := range map[string][]string{
		"gateway":            {gateway, "version"},
		"redis-server":       {"dpkg-query", "-W", "-f", "${Version}", "redis-server"},
		"nginx":              {"dpkg-query", "-W", "-f", "${Version}", "nginx"},
		"libnginx-mod-nchan": {"dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"},
	} {
		if text, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
			all[name] = strings.TrimSpace(string(text))
		}
	}
	return all
}
