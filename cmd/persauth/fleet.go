package main

// persauth fleet status, revoke and unrevoke: for the person on duty.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/sidecar"
	"github.com/persauth/persauth/fleet"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	// fleetTimeout bounds one call of the store.
	fleetTimeout = 5 * time.Second
	// statusInterval is how often the status is shown again on a terminal.
	statusInterval = time.Second
	// goneAfter is when an instance counts as gone.
	goneAfter = 10 * time.Second
)

const fleetHelp = `The store is the one of the sidecar's configuration (--config), or that of
PERSAUTH_FLEET_URL, PERSAUTH_FLEET_SECRET and PERSAUTH_FLEET_NAME.`

// fleetFlags say which fleet is meant.
type fleetFlags struct{ config text }

func (f *fleetFlags) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.Var(&f.config, "config", "take the fleet of the sidecar's configuration in `FILE`")
}

func (f *fleetFlags) open(sh *shell, cmd *cobra.Command) (*fleet.Store, error) {
	if err := needsNetwork(cmd.CommandPath()); err != nil {
		return nil, err
	}
	o, err := sidecar.FleetOptions(sidecar.Options{Config: string(f.config), Getenv: sh.getenv})
	if err != nil {
		return nil, err
	}
	return fleet.Open(o)
}

func (sh *shell) fleetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Show what the instances share",
		Args:  cobra.ArbitraryArgs,
		RunE:  needSubcommand,

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(sh.fleetStatusCommand())
	return cmd
}

func (sh *shell) fleetStatusCommand() *cobra.Command {
	var which fleetFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show the instances, the calls of PERS and the last revocations",
		Long: "Shows which instances run, how many calls of PERS they have leased in this\nhour, and what was revoked last. On a terminal it goes on until it is\ninterrupted.\n\n" +
			fleetHelp + "\n\nExit status: 0; 2 wrong usage or configuration; 3 the store could not be reached.",
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	which.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, err := which.open(sh, cmd)
		if err != nil {
			return err
		}
		defer store.Close()
		again := isTerminal(sh.out.Writer) && !asJSON
		for {
			report, err := inspectFleet(cmd.Context(), store)
			switch {
			case cmd.Context().Err() != nil:
				return cmd.Context().Err()
			case err != nil && !again:
				return sh.unreachable(err)
			case asJSON:
				return json.NewEncoder(sh.out).Encode(report)
			case again:
				fmt.Fprint(sh.out, "\x1b[H\x1b[2J") // to the top of an empty screen
			}
			if err != nil {
				fmt.Fprintf(sh.out, "%s\n", printable(err.Error()))
			} else {
				fmt.Fprint(sh.out, report.text())
			}
			if !again {
				return nil
			}
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-time.After(statusInterval):
			}
		}
	}
	return cmd
}

// unreachable says that the store could not be reached.
func (sh *shell) unreachable(err error) error {
	fmt.Fprintf(sh.err, "persauth: %s\n", printable(strings.TrimPrefix(err.Error(), "persauth: ")))
	return exitStatus(exitUnknown)
}

// fleetReport is what is shown of a fleet.
type fleetReport struct {
	Now         time.Time        `json:"now"`
	Running     int              `json:"running"`
	Members     []fleet.Member   `json:"members"`
	CallsLeased int              `json:"callsLeasedThisHour"`
	CallsLeft   int              `json:"callsLeftThisHour"`
	PausedFor   float64          `json:"pausedForSeconds"`
	Entries     uint64           `json:"logEntries"`
	Latest      []fleetLogReport `json:"latest"`
}

type fleetLogReport struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	persauth.FleetNames
}

func inspectFleet(ctx context.Context, store *fleet.Store) (*fleetReport, error) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	got, err := store.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	perHour := store.Policy().CallsPerHour
	if perHour == 0 {
		perHour = persauth.FleetCallsPerHour
	}
	r := &fleetReport{Now: got.Now.UTC(), Members: got.Members, CallsLeased: got.Granted, CallsLeft: max(perHour-got.Granted, 0),
		PausedFor: got.Paused.Seconds(), Entries: got.Entries, Latest: []fleetLogReport{}}
	for i, m := range r.Members {
		r.Members[i].Seen = m.Seen.UTC()
		if got.Now.Sub(m.Seen) <= goneAfter {
			r.Running++
		}
	}
	for _, e := range got.Latest {
		names, err := e.Names()
		if err != nil {
			return nil, err
		}
		r.Latest = append(r.Latest, fleetLogReport{e.At.UTC(), e.Until.UTC(), names})
	}
	return r, nil
}

func (r *fleetReport) text() string {
	var b strings.Builder
	calls := fmt.Sprintf("%d leased in this hour, %d left", r.CallsLeased, r.CallsLeft)
	if r.PausedFor > 0 {
		calls += fmt.Sprintf("; PERS asked for a pause of another %.0fs", r.PausedFor)
	}
	table(&b, [][2]string{
		{"store's time", r.Now.Format(time.RFC3339)},
		{"instances", fmt.Sprintf("%d running, %d gone within the hour", r.Running, len(r.Members)-r.Running)},
		{"calls of PERS", calls},
		{"log", fmt.Sprintf("%d entries", r.Entries)},
	})
	if len(r.Members) > 0 {
		b.WriteString("\ninstances, by when they were heard of\n")
	}
	for _, m := range r.Members {
		fmt.Fprintf(&b, "  %s  %s ago\n", shown(m.ID), r.Now.Sub(m.Seen).Round(100*time.Millisecond))
	}
	if len(r.Latest) > 0 {
		b.WriteString("\nlatest revocations\n")
	}
	for _, e := range r.Latest {
		fmt.Fprintf(&b, "  %s  %s\n", e.At.Format(time.RFC3339), describeNames(e.FleetNames))
	}
	return b.String()
}

func describeNames(n persauth.FleetNames) string {
	parts := []string{"revoked"}
	if !n.Revoked {
		parts[0] = "taken back"
	}
	if n.Token {
		parts = append(parts, "a token")
	}
	for _, name := range [][2]string{{"id", n.ID}, {"subject", n.Subject}, {"session", n.Session}, {"business", n.Business}, {"tenant", n.Tenant}, {"key", n.KeyID}} {
		if name[1] != "" {
			parts = append(parts, name[0]+" "+shown(name[1]))
		}
	}
	if !n.IssuedBefore.IsZero() {
		parts = append(parts, "issued before "+n.IssuedBefore.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

// revokeCommand is revoke, or unrevoke.
func (sh *shell) revokeCommand(revoke bool) *cobra.Command {
	var which fleetFlags
	var r revocationFlags
	name, short, long := "revoke", "Refuse tokens at all instances of the fleet",
		"Refuses tokens at all instances of the fleet, from some milliseconds later on. All\nthat is given must be true of a token: --subject alice --issued-before now logs her\nout everywhere, and lets her sign in again. A token is read from standard input\nwhere --token is given."
	do := persauth.RevokeInFleet
	if !revoke {
		name, short = "unrevoke", "Take back what revoke said"
		long = "Takes back what revoke said, or an instance, with the same names; with\n--issued-before, only what was said with the same time."
		do = persauth.UnrevokeInFleet
	}
	cmd := &cobra.Command{
		Use:     name + " [flags]",
		Short:   short,
		Long:    long + "\n\n" + fleetHelp + "\n\nExit status: 0 all instances that the store can reach are told; 2 wrong usage or\nconfiguration; 3 the store could not be reached, and nobody was told.",
		Example: "  persauth " + name + " --subject alice --issued-before now\n  persauth " + name + " --token < token",
		Args:    noArgument, DisableFlagsInUseLine: true,
	}
	which.register(cmd.Flags())
	r.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		what, err := r.revocation(cmd.Context(), sh)
		if err != nil {
			return err
		}
		store, err := which.open(sh, cmd)
		if err != nil {
			return err
		}
		defer store.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), fleetTimeout)
		defer cancel()
		switch err := do(ctx, store, what); {
		case errors.Is(err, persauth.ErrUnavailable):
			return sh.unreachable(err)
		case err != nil:
			return err
		}
		fmt.Fprintf(sh.out, "%s\n", describeNames(persauth.FleetNames{Revoked: revoke, Token: what.Token != "", ID: what.ID, Subject: what.Subject,
			Session: what.Session, Business: what.Business, Tenant: what.Tenant, KeyID: what.KeyID, IssuedBefore: what.IssuedBefore}))
		return nil
	}
	return cmd
}

// revocationFlags are the flags that name what is revoked.
type revocationFlags struct {
	token                                       bool
	id, subject, session, business, tenant, key text
	issuedBefore                                moment
}

// moment is a time, or "now".
type moment struct {
	given string
	at    time.Time
}

func (m *moment) String() string { return m.given }
func (m *moment) Type() string   { return "time" }

func (m *moment) Set(value string) error {
	m.given, m.at = value, time.Now()
	if value == "now" {
		return nil
	}
	var c clock
	if err := c.Set(value); err != nil {
		return err
	}
	m.at = c.read()
	return nil
}

func (r *revocationFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&r.token, "token", false, "the token on standard input")
	flags.Var(&r.id, "id", "the token whose jti is `ID`")
	flags.Var(&r.subject, "subject", "all tokens of the caller `SUB`")
	flags.Var(&r.session, "session", "all tokens of the session `SID`")
	flags.Var(&r.business, "business", "all tokens for the business `B`")
	flags.Var(&r.tenant, "tenant", "all tokens for the tenant `T`")
	flags.Var(&r.key, "key", "all tokens that the key `KID` signed")
	flags.Var(&r.issuedBefore, "issued-before", "only those issued before `TIME`: now, RFC 3339, or Unix seconds")
}

func (r *revocationFlags) revocation(ctx context.Context, sh *shell) (persauth.Revocation, error) {
	what := persauth.Revocation{ID: string(r.id), Subject: string(r.subject), Session: string(r.session), Business: string(r.business),
		Tenant: string(r.tenant), KeyID: string(r.key), IssuedBefore: r.issuedBefore.at}
	if r.token {
		l, err := newLines(ctx, sh.in).next()
		if err = errors.Join(ignoreEOF(err), l.refused); err != nil {
			return what, err
		}
		if what.Token = l.token; what.Token == "" {
			return what, errors.New("--token is given, and there is no token on standard input")
		}
	}
	if what == (persauth.Revocation{IssuedBefore: what.IssuedBefore}) {
		return what, errors.New("nothing is named: give --subject, --session, --id, --business, --tenant, --key or --token")
	}
	return what, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
