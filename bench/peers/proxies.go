package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loopback"
)

// proxy ends TLS in front of the gateway.
type proxy struct {
	name  string // of its program, and of its file in the folder
	file  string
	args  []string // before the file
	text  string   // of the file, with DIR, LISTEN, GATEWAY, CLIENTS and DESCRIPTORS in it
	asAll string   // a first line where this process is root's
}

var (
	//go:embed nginx_tls.conf
	nginxText string
	//go:embed haproxy_tls.cfg
	haproxyText string

	// nginx's workers have to get into root's folder.
	nginxProxy   = proxy{name: "nginx", file: "nginx.conf", args: []string{"-c"}, text: nginxText, asAll: "user root;\n"}
	haproxyProxy = proxy{name: "haproxy", file: "haproxy.cfg", args: []string{"-db", "-f"}, text: haproxyText}
)

// Room of a proxy beside its clients, in connections and in descriptors.
const (
	proxyRoom  = 50
	proxySpare = 200
)

// systemProgram is looked for in root's PATH too, which has it under sbin.
func systemProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

func missingNginx() error   { return errors.Join(missingRedis(), missingProxy("nginx", "nginx-light")) }
func missingHAProxy() error { return errors.Join(missingRedis(), missingProxy("haproxy", "haproxy")) }

func missingProxy(name, debian string) error {
	if _, err := systemProgram(name); err != nil {
		return fmt.Errorf("%s is not here: install the Debian package %s", name, debian)
	}
	return nil
}

// startProxied starts the gateway without TLS and a proxy in front of it. Both count.
func startProxied(p proxy) func(context.Context, setting) (*running, error) {
	return func(ctx context.Context, s setting) (*running, error) {
		r, err := startGateway(ctx, s, "--proxy.trusted", "127.0.0.1")
		if err != nil {
			return nil, err
		}
		if err := r.putBehind(ctx, s, p); err != nil {
			r.close()
			return nil, err
		}
		return r, nil
	}
}

// putBehind starts a proxy in front of the gateway, which becomes the address of the server.
func (r *running) putBehind(ctx context.Context, s setting, p proxy) error {
	program, err := systemProgram(p.name)
	if err != nil {
		return err
	}
	listen, err := loopback.Reserve()
	if err != nil {
		return err
	}
	text := strings.NewReplacer(
		"CLIENTS", strconv.Itoa(s.connections+proxyRoom), "DESCRIPTORS", strconv.Itoa(2*s.connections+proxySpare),
	).Replace(p.text)
	here := strings.NewReplacer("DIR", s.dir, "LISTEN", listen, "GATEWAY", r.listen.String()).Replace(text)
	if os.Geteuid() == 0 {
		here = p.asAll + here
	}
	file := filepath.Join(s.dir, p.file)
	if err := os.WriteFile(file, []byte(here), 0o644); err != nil {
		return err
	}
	front, err := rig.Launch(p.name, exec.CommandContext(ctx, program, append(p.args[:len(p.args):len(p.args)], file)...))
	if err != nil {
		return err
	}
	gateway, closeGateway := r.Process, r.close
	r.Process, r.behind, r.listen = front, gateway, netip.MustParseAddrPort(listen)
	r.config += fmt.Sprintf("\n%s %s %s\n\n", p.name, strings.Join(p.args, " "), p.file) +
		strings.NewReplacer("DIR", "/tmp/peers", "LISTEN", "127.0.0.1:8443", "GATEWAY", "127.0.0.1:8080").Replace(text)
	r.close = func() {
		front.Stop(10 * time.Second)
		closeGateway()
	}
	return nil
}
