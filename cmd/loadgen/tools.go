package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/report"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/sink"
)

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent",
		Short: "hold clients for another loadgen, which starts it (--agents, --agent)",
		Long: `Hold clients for another loadgen.

It is started by --agents, or on another host by --agent 'ssh host loadgen agent',
and takes its commands over standard input.`,
		RunE: func(c *cobra.Command, _ []string) error {
			// Not the sink itself: the end of the output's reader ends the agent.
			return agent.Serve(c.Context(), c.InOrStdin(), c.OutOrStdout().(*sink.Output).Unwrap(), 0)
		},
	}
}

func doctorCommand() *cobra.Command {
	config := plan.DefaultConfig()
	config.AllowRemote = true // nothing is sent there
	c := &cobra.Command{Use: "doctor", Short: "compare this host with the needs of -n N clients"}
	s := c.Flags()
	countVar(s, &config.Connections, "connections", "n", "clients")
	s.StringVar(&config.Sources, "src", config.Sources, "source addresses, as for a run")
	s.StringVar(&config.URL, "url", config.URL, "the target; on loopback, source addresses cost nothing")
	asJSON := s.Bool("json", false, "print the report as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		r, err := loadgen.Doctor(c.Context(), config, preflight.Host())
		if err != nil {
			return cli.Usage(c, err)
		}
		write := r.WriteText
		if *asJSON {
			write = r.WriteJSON
		}
		if err := write(c.OutOrStdout()); err != nil {
			return err
		}
		if !r.OK() {
			return cli.Exit(cli.ExitFailure, nil)
		}
		return nil
	}
	return c
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "render the page of a run directory anew",
		RunE: func(c *cobra.Command, args []string) error {
			err := report.WritePage(args[0])
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), filepath.Join(args[0], report.Page))
			}
			return err
		},
	}
}

func compareCommand() *cobra.Command {
	c := &cobra.Command{Use: "compare A B", Short: "put two runs side by side, beside their noise"}
	asJSON := c.Flags().Bool("json", false, "print the comparison as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := report.Load(args[0])
		if err != nil {
			return err
		}
		b, err := report.Load(args[1])
		if err != nil {
			return err
		}
		comparison := report.Compare(a, b)
		if !*asJSON {
			return comparison.WriteText(c.OutOrStdout())
		}
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(comparison)
	}
	return c
}

func figuresCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "figures",
		Short: "list the figures that --slo knows",
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), "Figures of a run, with the units of their limits:")
			fmt.Fprintln(c.OutOrStdout())
			return result.WriteFigures(c.OutOrStdout())
		},
	}
}
