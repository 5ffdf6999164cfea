package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/gateway/admin"
)

func rebalanceCommand(keys *pflag.FlagSet) *cobra.Command {
	var over time.Duration
	c := &cobra.Command{
		Use:   "rebalance",
		Short: "spread the clients evenly over all gateways",
		Long: `Spread the clients evenly over all gateways.

Asks a gateway that runs on this machine, by its admin listener. Each gateway on
the same Redis that has more clients than the mean has the surplus reconnect,
evenly over the time. The load balancer must send them where fewest are: least_conn
of nginx, leastconn of HAProxy. One that draws a node sends some back: repeat it then.`,
	}
	c.Flags().DurationVar(&over, "over", 30*time.Second, "the time over which clients are sent away, up to 1h")
	valid := func(settings) error { return nil } // only the admin listener counts
	return withConfig(keys, c, keysNamed("admin.listen", "admin.token"), valid, func(c *cobra.Command, _ []string, l loaded) error {
		fleet, err := callRebalance(c.Context(), l.settings.Admin.Listen, l.settings.Admin.Token, over)
		if err != nil {
			return err
		}
		return writeRebalance(c.OutOrStdout(), fleet, over)
	})
}

// adminTimeout bounds a call to the admin listener.
const adminTimeout = 15 * time.Second

// callRebalance calls POST /v1/rebalance of the gateway whose admin listener is
// at an address of this machine.
func callRebalance(ctx context.Context, listen, token string, over time.Duration) (fleet admin.Fleet, err error) {
	if listen == "" {
		return fleet, errors.New("admin.listen is empty: there is no gateway to ask")
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	url := "http://" + dialable(listen) + "/v1/rebalance"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(fmt.Sprintf(`{"over":%q}`, over)))
	if err != nil {
		return fleet, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy, which would see the token
	resp, err := client.Do(r)
	if err != nil {
		return fleet, fmt.Errorf("no gateway answers (--admin.listen names another one): %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fleet, err
	}
	if resp.StatusCode >= 300 {
		var refusal struct{ Error struct{ Message string } }
		if json.Unmarshal(text, &refusal) != nil || refusal.Error.Message == "" {
			return fleet, fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return fleet, errors.New(refusal.Error.Message)
	}
	return fleet, json.Unmarshal(text, &fleet)
}

// writeRebalance shows the clients of each node, and how many it sends away.
func writeRebalance(w io.Writer, fleet admin.Fleet, over time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tHOST\tADDRESS\tCLIENTS\tSENT AWAY")
	for _, n := range fleet.Nodes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\n", n.Node, n.Host, n.Address, n.Connections, n.Surplus)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if fleet.Surplus == 0 {
		_, err := fmt.Fprintln(w, "no node has more than its share")
		return err
	}
	_, err := fmt.Fprintf(w, "%d clients reconnect within %v\n", fleet.Surplus, over)
	return err
}
