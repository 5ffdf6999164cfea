package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loopback"
)

// nchanModule is where Debian's package puts it.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

func missingNchan() error {
	_, err := systemProgram("nginx")
	if err == nil {
		_, err = os.Stat(nchanModule)
	}
	if err != nil {
		err = errors.New("nginx with nchan is not here: install the Debian packages nginx-light and libnginx-mod-nchan")
	}
	return err
}

// nginxConf has DIR, LISTEN, CONNECTIONS and SECONDS in it. nginx allocates all
// of its connections when it starts; each worker has to have room for all
// clients, as the kernel doesn't spread them evenly.
//
//go:embed nginx.conf
var nginxConf string

func startNchan(ctx context.Context, s setting) (*running, error) {
	program, err := systemProgram("nginx")
	if err != nil {
		return nil, err
	}
	listen, err := loopback.Reserve()
	if err != nil {
		return nil, err
	}
	conf := strings.NewReplacer(
		"CONNECTIONS", strconv.Itoa(s.connections+100),
		"SECONDS", strconv.Itoa(int(s.heartbeat().Seconds())),
	).Replace(nginxConf)
	file := filepath.Join(s.dir, "nginx.conf")
	here := strings.NewReplacer("DIR", s.dir, "LISTEN", listen).Replace(conf)
	if os.Geteuid() == 0 {
		here = "user root;\n" + here // the workers have to get into the folder
	}
	if err := os.WriteFile(file, []byte(here), 0o644); err != nil {
		return nil, err
	}
	p, err := rig.Launch("nginx", exec.CommandContext(ctx, program, "-c", file, "-p", s.dir))
	if err != nil {
		return nil, err
	}
	publisher := &http.Client{Transport: &http.Transport{}}
	r := &running{
		Process: p,
		path:    "/sub",
		speech:  client.Speech{Number: numberMark},
		publish: func(ctx context.Context, text []byte) error {
			return post(ctx, publisher, "http://"+listen+"/pub", text)
		},
		config: "nginx -c nginx.conf\n\n" +
			strings.NewReplacer("DIR", "/tmp/peers", "LISTEN", "127.0.0.1:8080").Replace(conf),
		close: func() {
			publisher.CloseIdleConnections()
			p.Stop(10 * time.Second)
		},
	}
	if r.listen, err = netip.ParseAddrPort(listen); err == nil {
		err = p.Ready(ctx, "it does not answer", func(ctx context.Context) error { return rig.Get(ctx, "http://"+listen+"/ready") })
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func post(ctx context.Context, publisher *http.Client, url string, text []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := publisher.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
