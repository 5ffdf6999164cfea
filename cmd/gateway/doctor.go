package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/preflight"
)

// redisAskTimeout bounds each question of the doctor to Redis.
const redisAskTimeout = 3 * time.Second

// maxTarget is above what one box can have and below what the arithmetic takes.
const maxTarget = 100_000_000

func doctorCommand() command {
	return command{
		name:    "doctor",
		args:    "--target N",
		summary: "compare every limit of this box with what N connections need",
		help: `
For each limit of the kernel, the process and Redis: the value, what is needed,
PASS, FIX or SKIP (does not apply here, or can't be read), and the command that
fixes it. Exits with 1 if there is anything to fix. It changes nothing.

The limits of the process are those that the doctor itself was started with:
run it as the user and under the supervisor that run the gateway. The reasons
for each number are in docs/OPERATIONS.md.`,
		keys: doctorKeys, judges: true,
		flags: doctorFlags,
		exec:  runDoctor,
	}
}

// doctorKeys are the ones that change what the doctor finds.
func doctorKeys(k key) bool {
	switch k.name {
	case "limits.connections", "socket.send_buffer", "socket.receive_buffer", "drain.timeout", "redis.url":
		return true
	}
	return strings.HasPrefix(k.name, "redis.tls.")
}

func doctorFlags(fs *pflag.FlagSet) {
	fs.Int("target", 0, "the number of connections (default: limits.connections)")
	fs.String("side", "server", "what runs on this box: server, client or both")
	fs.Int("sources", 1, "client side: the number of local addresses to connect from")
	fs.Int("user-bytes", preflight.DefaultUserBytes, "the memory of one connection in user space")
	fs.Bool("json", false, "print the report as JSON")
	fs.Bool("sysctl", false, "print a file for /etc/sysctl.d with what this box lacks, instead of the report")
	fs.Bool("systemd", false, "print a systemd drop-in for gateway.service, instead of the report")
}

func runDoctor(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	if err := noArgs("doctor", fs); err != nil {
		return err
	}
	l, err := load(fs, settings.validate)
	if err != nil {
		return err
	}
	target, err := doctorTarget(l.settings, fs)
	if err != nil {
		return err
	}
	env := preflight.Host()
	if asked, _ := fs.GetBool("sysctl"); asked {
		return preflight.WriteSysctl(std.out, env, target)
	}
	if asked, _ := fs.GetBool("systemd"); asked {
		return preflight.WriteSystemd(std.out, target)
	}
	if l.settings.Redis.URL != "" {
		client, err := fanout.NewClient(l.settings.Redis)
		if err != nil {
			return err
		}
		defer client.Close()
		env.Redis = redisParameter(ctx, client)
	}
	report := preflight.Run(env, target)
	write := report.WriteText
	if asked, _ := fs.GetBool("json"); asked {
		write = report.WriteJSON
	}
	if err := write(std.out); err != nil {
		return err
	}
	if n := len(report.Fixes()); n > 0 {
		return fmt.Errorf("%d of %d limits are too low for %d connections", n, len(report.Findings), target.Connections)
	}
	return nil
}

// doctorTarget is what the box shall carry, from the flags and from the
// configuration that the gateway would run with.
func doctorTarget(s settings, fs *pflag.FlagSet) (preflight.Target, error) {
	refuse := func(format string, args ...any) (preflight.Target, error) {
		return preflight.Target{}, usageError{command: "doctor", text: fmt.Sprintf(format, args...)}
	}
	connections, _ := fs.GetInt("target")
	if !fs.Changed("target") {
		connections = s.Limits.Connections
		if connections == 0 {
			return refuse("--target N is missing: the number of connections that this box shall carry")
		}
	}
	if connections < 1 || connections > maxTarget {
		return refuse("--target: %d is not allowed, want 1 to %d", connections, maxTarget)
	}
	name, _ := fs.GetString("side")
	side, err := preflight.ParseSide(name)
	if err != nil {
		return refuse("--%v", err)
	}
	sources, _ := fs.GetInt("sources")
	if sources < 1 || sources > 1<<16 {
		return refuse("--sources: %d is not allowed, want 1 to %d", sources, 1<<16)
	}
	userBytes, _ := fs.GetInt("user-bytes")
	if userBytes < 1 || userBytes > 1<<30 {
		return refuse("--user-bytes: %d is not allowed, want 1 to %d", userBytes, 1<<30)
	}
	t := preflightTarget(s, connections)
	t.Side, t.SourceAddresses, t.UserBytes = side, sources, userBytes
	return t, nil
}

// preflightTarget is a server with these settings and so many connections.
func preflightTarget(s settings, connections int) preflight.Target {
	return preflight.Target{
		Connections:   connections,
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
