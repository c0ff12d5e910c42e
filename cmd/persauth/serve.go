package main

// persauth serve: the sidecar for proxies.

import (
	"errors"
	"os"
	"os/signal"

	"github.com/persauth/persauth/cmd/persauth/sidecar"
	"github.com/spf13/cobra"
)

const serveHelp = `Answers a proxy whether a request may go on: nginx with auth_request, Traefik with
ForwardAuth, Caddy with forward_auth, Envoy with the HTTP service of ext_authz.
Who may do what is in the configuration, a YAML or JSON file; docs/sidecar.md
describes it. The project key is in PERS_PROJECT_KEY, or in a file.

The answer is 200 with who is calling, in the headers X-Pers-Subject,
X-Pers-Tenant-Id, X-Pers-Business-Id, X-Pers-Roles and X-Pers-Auth-Type, or 401,
403 or 503. /healthz, /readyz and /metrics are at the address of --metrics-addr.

SIGHUP makes it read the configuration again; one that does not hold is reported,
and the old one stays. SIGTERM and SIGINT let it finish what it is doing.

Exit status: 0 when it was stopped; 2 wrong usage or configuration, or an address
that cannot be served.`

// errStopped is how a command ends that was asked to, and did as it should.
var errStopped = errors.New("stopped")

func (sh *shell) serveCommand() *cobra.Command {
	var config, addr, metricsAddr text
	var check bool
	cmd := &cobra.Command{
		Use:                   "serve --config FILE [flags]",
		Short:                 "Answer nginx, Traefik, Caddy or Envoy who may do what",
		Long:                  serveHelp,
		Example:               "  persauth serve --config sidecar.yaml\n  persauth serve --config sidecar.yaml --check",
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&config, "config", "read the configuration from `FILE`")
	flags.Var(&addr, "addr", "answer the proxy at `ADDRESS`, whatever the configuration says; port 0 is any free one")
	flags.Var(&metricsAddr, "metrics-addr", "serve health and metrics at `ADDRESS`, whatever the configuration says")
	flags.BoolVar(&check, "check", false, "only check the configuration")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needsNetwork(cmd.CommandPath()); err != nil {
			return err
		}
		if config == "" {
			return errors.New("--config is missing\nsee: persauth serve --help")
		}
		o := sidecar.Options{Config: string(config), Addr: string(addr), MetricsAddr: string(metricsAddr), Getenv: sh.getenv, Log: sh.err}
		if check {
			return sidecar.Check(o)
		}
		reload := make(chan os.Signal, 1)
		if len(reloadSignals) > 0 { // of none, signal.Notify takes all
			signal.Notify(reload, reloadSignals...)
		}
		defer signal.Stop(reload)
		o.Reload = reload
		if err := sidecar.Run(cmd.Context(), o); err != nil {
			return err
		}
		return errStopped
	}
	return cmd
}
