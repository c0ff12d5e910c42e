package main

// persauth mint: tokens for persauth mock.

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	dpopKey                           text
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
	flags.Var(&o.dpopKey, "dpop-key", "bind it to the key of a client in `FILE`: a private key as PEM or JWK")
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
		if err := o.check(flags); err != nil {
			return err
		}
		if o.dpopKey != "" {
			keys, err := persauthtest.ReadKeys(persauthtest.KeyFile(string(o.dpopKey)))
			if err != nil {
				return fmt.Errorf("--dpop-key: %s", strings.TrimPrefix(err.Error(), "persauthtest: "))
			}
			claims["cnf"] = map[string]string{"jkt": keys[0].Thumbprint()}
		}
		return withTestKit(func(kit *testKit) error {
			iss := o.issuer(kit)
			key, err := o.key(iss)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(sh.out, iss.TokenBy(key, claims))
			return err
		})
	}
	return cmd
}

// key returns the key to sign with.
func (o *mintOptions) key(iss *persauthtest.Issuer) (*persauthtest.Key, error) {
	var others []string
	for _, key := range iss.Keys() {
		if o.algorithm == "" || key.Algorithm == string(o.algorithm) {
			return key, nil
		}
		others = append(others, key.Algorithm)
	}
	if o.keys != "" {
		return nil, fmt.Errorf("no key in %s is for %s, only for %s", o.keys, shown(string(o.algorithm)), strings.Join(others, ", "))
	}
	return nil, fmt.Errorf("there is no key for %s: add it, as in --algorithms %s,%s, to mint and to mock",
		shown(string(o.algorithm)), strings.Join(others, ","), printable(string(o.algorithm)))
}

// jsonClaims reads a JSON object of claims, and nil where it is not given. Numbers
// stay as they are written.
func jsonClaims(object text) (map[string]any, error) {
	if object == "" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &raw); err != nil || raw == nil {
		return nil, errors.New("--claims is not a JSON object")
	}
	claims := make(map[string]any, len(raw))
	for name, value := range raw {
		claims[name] = value
	}
	return claims, nil
}

// read returns the claims that the flags ask for.
func (o *mintOptions) read(now time.Time) (map[string]any, error) {
	kind := persauth.AuthType(o.kind)
	if !slices.Contains(mintTypes, kind) {
		return nil, fmt.Errorf("--type is %s, which is not one of user, business, tenant and system%s", shown(string(kind)), meantType(kind))
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
	more, err := jsonClaims(o.claims)
	if err != nil {
		return nil, err
	}
	maps.Copy(claims, more)
	return claims, nil
}
