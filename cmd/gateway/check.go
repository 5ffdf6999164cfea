package main

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/certs"
)

func checkCommand(keys *pflag.FlagSet) *cobra.Command {
	var certificates *certs.Set
	validate := func(s settings) (err error) {
		certificates, err = s.certificates()
		return errors.Join(s.validateValues(), err)
	}
	return withConfig(keys, &cobra.Command{
		Use:   "check",
		Short: "validate the configuration and print the merged result",
		Long: `Validate the configuration and print the merged result.

Prints the configuration that serve would run with, as YAML, with passwords and
tokens masked and the origin of each value that is not a default. If anything is
wrong, prints all of it instead and exits with 2. Values that are allowed and yet
unsafe, such as a short secret for tokens or a certificate that is about to expire,
are warned of on standard error.`,
	}, everyKey, validate, func(c *cobra.Command, _ []string, l loaded) error {
		return runCheck(c, l, certificates)
	})
}

// runCheck prints a valid configuration with warnings of unsafe settings.
func runCheck(c *cobra.Command, l loaded, certificates *certs.Set) error {
	log, _ := newLogger(cli.Stderr(c), l.settings.Log)
	l.logForeign(log)
	// Reads the key files, and warns of keys that work and should not stay.
	if _, err := auth.New(l.settings.Auth, message.ValidChannel, log); err != nil {
		return err
	}
	certificates.Log(log, time.Now())
	text, err := settingsYAML(l)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.OutOrStdout(), text)
	return err
}
