package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/preflight"
)

// redisAskTimeout bounds each question of the doctor to Redis.
const redisAskTimeout = 3 * time.Second

// maxTarget is above the connections of one box and below an overflow.
const maxTarget = 100_000_000

// doctorFlags are the flags that are no configuration keys.
type doctorFlags struct {
	target, sources, userBytes int
	side                       string
	json, sysctl, systemd      bool
}

func doctorCommand(keys *pflag.FlagSet) *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "compare every limit of this box with the needs of --target N connections",
		Long: `Compare every limit of this box with the needs of --target N connections.

For each limit of the kernel, the process and Redis: the value, the need,
PASS, FIX, WARN (limits nothing, look at it) or SKIP (does not apply here, or can't
be read), and the command that fixes it. The same for each file of the section tls.
Exits with 1 if there is anything to fix; warnings are no reason. It changes nothing.

The limits of the process are those that the doctor itself was started with:
run it as the user and under the supervisor that run the gateway. The reasons
for each number are in docs/OPERATIONS.md.`,
	}
	flags := c.Flags()
	flags.IntVar(&f.target, "target", 0, "the number of connections (default: limits.connections)")
	flags.StringVar(&f.side, "side", "server", "the programs on this box: server, client or both")
	flags.IntVar(&f.sources, "sources", 1, "client side: the number of local addresses to connect from")
	flags.IntVar(&f.userBytes, "user-bytes", preflight.DefaultUserBytes, fmt.Sprintf("the memory of one connection in user space; with TLS %d more by default", preflight.TLSBytes))
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	flags.BoolVar(&f.sysctl, "sysctl", false, "print a file for /etc/sysctl.d with the settings that this box lacks, instead of the report")
	flags.BoolVar(&f.systemd, "systemd", false, "print a systemd drop-in for gateway.service, instead of the report")
	listed := keysNamed("limits.connections", "socket.send_buffer", "socket.receive_buffer", "drain.timeout", "redis.url", "redis.tls.",
		"tls.listen", "tls.certificates", "tls.client_ca_file", "tls.ticket_key_file", "tls.self_signed")
	return withConfig(keys, c, listed, settings.validateValues, func(c *cobra.Command, _ []string, l loaded) error {
		target, err := f.read(l.settings, c.Flags().Changed("target"))
		if err != nil {
			return cli.Usage(c, err)
		}
		if c.Flags().Changed("user-bytes") {
			target.UserBytes = f.userBytes
		}
		return f.examine(c, l.settings, target)
	})
}

// examine prints the report, or a file that the flags ask for instead.
func (f *doctorFlags) examine(c *cobra.Command, s settings, target preflight.Target) error {
	env, out := preflight.Host(), c.OutOrStdout()
	if f.sysctl {
		return preflight.WriteSysctl(out, env, target)
	}
	if f.systemd {
		return preflight.WriteSystemd(out, target)
	}
	if s.Redis.URL != "" {
		client, err := fanout.NewClient(s.Redis)
		if err != nil {
			return err
		}
		defer client.Close()
		env.Redis = redisParameter(c.Context(), client)
	}
	report := preflight.Run(env, target)
	limits, low := len(report.Findings), len(report.Fixes())
	if target.Side != preflight.Client {
		report.Findings = append(report.Findings, examineTLS(s.TLS, time.Now())...)
	}
	write := report.WriteText
	if f.json {
		write = report.WriteJSON
	}
	if err := write(out); err != nil {
		return err
	}
	var errs []string
	if low > 0 {
		errs = append(errs, fmt.Sprintf("%d of %d limits are too low for %d connections", low, limits, target.Connections))
	}
	switch n := len(report.Fixes()) - low; n {
	case 0:
	case 1:
		errs = append(errs, "1 problem in the TLS files")
	default:
		errs = append(errs, fmt.Sprintf("%d problems in the TLS files", n))
	}
	if len(errs) > 0 {
		return errors.New(strings.Join(errs, "; "))
	}
	return nil
}

// read returns the load to prepare the box for, from the flags and from the
// configuration that the gateway would run with.
func (f *doctorFlags) read(s settings, targetGiven bool) (t preflight.Target, err error) {
	if !targetGiven {
		if f.target = s.Limits.Connections; f.target == 0 {
			return t, errors.New("--target N is missing: the number of connections that this box shall carry")
		}
	}
	for _, flag := range []struct {
		name        string
		value, most int
	}{{"target", f.target, maxTarget}, {"sources", f.sources, 1 << 16}, {"user-bytes", f.userBytes, 1 << 30}} {
		if flag.value < 1 || flag.value > flag.most {
			return t, fmt.Errorf("--%s: %d is not allowed, want 1 to %d", flag.name, flag.value, flag.most)
		}
	}
	side, err := preflight.ParseSide(f.side)
	if err != nil {
		return t, fmt.Errorf("--%w", err)
	}
	t = preflightTarget(s, f.target)
	t.Side, t.SourceAddresses = side, f.sources
	return t, nil
}

// preflightTarget is a server with these settings and a number of connections.
func preflightTarget(s settings, connections int) preflight.Target {
	userBytes := preflight.DefaultUserBytes
	if s.TLS.Address() != "" {
		userBytes += preflight.TLSBytes
	}
	return preflight.Target{
		Connections:   connections,
		UserBytes:     userBytes,
		Side:          preflight.Server,
		SendBuffer:    s.Socket.SendBuffer,
		ReceiveBuffer: s.Socket.ReceiveBuffer,
		// Without a time-out all clients come back at once.
		ReconnectWindow: max(s.Drain.Timeout, time.Second),
	}
}

// redisParameter asks Redis for one parameter by CONFIG GET.
func redisParameter(ctx context.Context, client redis.UniversalClient) func(string) (string, error) {
	return func(parameter string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, redisAskTimeout)
		defer cancel()
		found, err := client.ConfigGet(ctx, parameter).Result()
		if answer := redis.Error(nil); errors.As(err, &answer) && !redis.HasErrorPrefix(err, "NOAUTH") && !redis.HasErrorPrefix(err, "WRONGPASS") {
			return "", &preflight.RedisError{Err: err}
		}
		if err != nil {
			return "", err
		}
		value, ok := found[parameter]
		if !ok {
			return "", &preflight.RedisError{Err: fmt.Errorf("%s is not known to this server", parameter)}
		}
		return value, nil
	}
}
