package main

// persauth mint: tokens for persauth mock.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/spf13/cobra"
)

const mintHelp = `Writes one token, signed with a key that persauth mock has. It needs no connection.

NOT FOR PRODUCTION: the keys are made from the seed, and whoever knows the seed
can sign tokens.

What --claims says is put over all else; null takes a claim out. A token that
has expired already is made by a negative --expires-in.

Exit status: 0, or 2 for wrong usage.`

const (
	shortLife = 15 * time.Minute
	longLife  = 365 * 24 * time.Hour // of system tokens
)

// mintOptions are the flags of mint.
type mintOptions struct {
	issuerOptions
	algorithm, kind, tenant, business text
	roles                             texts
	expiresIn                         time.Duration
	claims                            text
}

var mintTypes = []persauth.AuthType{persauth.AuthUser, persauth.AuthBusiness, persauth.AuthTenant, persauth.AuthSystem}

func (sh *shell) mintCommand() *cobra.Command {
	o := mintOptions{kind: text(persauth.AuthUser), tenant: persauthtest.DefaultTenant}
	cmd := &cobra.Command{
		Use:   "mint [flags]",
		Short: "Sign a token that persauth mock accepts",
		Long:  mintHelp,
		Example: `  persauth mint --type business --business shop-1 --role ADMIN
  persauth mint --type system --claims '{"scope":"read"}'
  persauth mint --expires-in -1h`,
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	o.register(flags)
	flags.Var(&o.algorithm, "alg", "sign with the key for algorithm `ALG` (default: the first of --algorithms)")
	flags.Var(&o.kind, "type", "issue it to a `TYPE` of caller: user, business, tenant or system")
	flags.Var(&o.tenant, "tenant", "issue it for tenant `T`")
	flags.Var(&o.business, "business", "issue it for business `B`, with --type business")
	flags.Var(&o.roles, "role", "give it role `R`; may be given several times")
	flags.DurationVar(&o.expiresIn, "expires-in", 0, "let it expire in `D`, for example 1h (default 15m; a year for --type system)")
	flags.Var(&o.claims, "claims", "add the claims of the JSON object `JSON`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !flags.Changed("expires-in") {
			o.expiresIn = shortLife
			if persauth.AuthType(o.kind) == persauth.AuthSystem {
				o.expiresIn = longLife
			}
		}
		claims, err := o.read(time.Now())
		if err != nil {
			return err
		}
		return withTestKit(func(kit *testKit) error {
			iss := o.issuer(kit)
			key := iss.Keys()[0]
			if o.algorithm != "" {
				key = iss.Key(string(o.algorithm))
			}
			_, err := fmt.Fprintln(sh.out, iss.TokenBy(key, claims))
			return err
		})
	}
	return cmd
}

// read returns the claims that the flags ask for.
func (o *mintOptions) read(now time.Time) (map[string]any, error) {
	kind := persauth.AuthType(o.kind)
	if !slices.Contains(mintTypes, kind) {
		return nil, fmt.Errorf("--type is %s, which is not one of user, business, tenant and system", shown(string(kind)))
	}
	if o.business != "" && kind != persauth.AuthBusiness {
		return nil, errors.New("--business needs --type business")
	}
	issued := now
	if o.expiresIn <= 0 {
		issued = now.Add(o.expiresIn - shortLife) // it was good once
	}
	claims := map[string]any{
		"tenantId": o.tenant, "authType": kind,
		"jti": strings.ToLower(rand.Text()),
		"iat": issued.Unix(), "exp": now.Add(o.expiresIn).Unix(),
	}
	switch kind {
	case persauth.AuthSystem:
		claims["sub"] = "system"
	case persauth.AuthBusiness:
		claims["businessId"] = persauthtest.DefaultBusiness
		if o.business != "" {
			claims["businessId"] = o.business
		}
	}
	switch len(o.roles) {
	case 0:
	case 1:
		claims["role"] = o.roles[0]
	default:
		claims["role"] = o.roles
	}
	if o.claims != "" {
		var more map[string]json.RawMessage
		if err := json.Unmarshal([]byte(o.claims), &more); err != nil || more == nil {
			return nil, errors.New("--claims is not a JSON object")
		}
		for name, value := range more {
			claims[name] = value
		}
	}
	return claims, nil
}
