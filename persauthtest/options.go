package persauthtest

// What an issuer's tokens have in common: options for the issuer, or for some of
// its tokens.

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

// defaultLifetime is that of a user's access token of PERS.
const defaultLifetime = 15 * time.Minute

// TokenOption changes tokens: all of an issuer, as an option of [NewIssuer], or
// those of [Issuer.With].
type TokenOption interface {
	IssuerOption
	changeToken(*tokenOptions)
}

// tokenOptions are what a token has that does not say otherwise. It is never
// changed, but copied.
type tokenOptions struct {
	issuer   string
	audience []string
	tenant   string
	lifetime time.Duration // 0: the usual one
	names    persauth.ClaimNames
	claims   map[string]any
	header   map[string]any
}

type tokenOption func(*tokenOptions)

func (f tokenOption) changeToken(o *tokenOptions)   { f(o) }
func (f tokenOption) changeIssuer(o *issuerOptions) { f(&o.token) }

// WithIssuer sets "iss".
func WithIssuer(issuer string) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.issuer = issuer })
}

// WithAudience sets "aud": one as a string, several as an array.
func WithAudience(audience ...string) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.audience = audience })
}

// WithTenant is the tenant of tokens that name none. Default: [DefaultTenant].
func WithTenant(tenant string) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.tenant = tenant })
}

// WithLifetime lets tokens that have no "exp" of their own expire d after they
// were issued. Default: 15 minutes; a year for [Issuer.SystemToken].
func WithLifetime(d time.Duration) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.lifetime = d })
}

// WithClaims adds claims, under those that are given with a token. A claim that
// is nil is left out of the token.
func WithClaims(claims map[string]any) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.claims = merged(o.claims, claims) })
}

// WithHeader changes members of the header. A nil value takes one out.
func WithHeader(header map[string]any) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.header = merged(o.header, header) })
}

// WithClaimNames writes tenant, business, role, auth type and email where a
// verifier with these names looks for them: what is given as "tenantId",
// "businessId", "role", "authType" and "email" is moved there.
func WithClaimNames(names persauth.ClaimNames) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.names = names })
}

// WithConfig makes tokens that pass where a service's own settings are used:
// issuer, audience, the first of the tenants, and names of claims are those of
// cfg.
func WithConfig(cfg persauth.Config) TokenOption {
	return tokenOption(func(o *tokenOptions) { o.follow(cfg) })
}

// follow takes over what cfg wants of tokens.
func (o *tokenOptions) follow(cfg persauth.Config) {
	if cfg.Issuer != "" {
		o.issuer = cfg.Issuer
	}
	if cfg.Audience != "" {
		o.audience = []string{cfg.Audience}
	}
	if len(cfg.Tenants) > 0 {
		o.tenant = cfg.Tenants[0]
	}
	if cfg.ClaimNames != (persauth.ClaimNames{}) {
		o.names = cfg.ClaimNames
	}
}

func merged(under, over map[string]any) map[string]any {
	all := maps.Clone(under)
	if all == nil {
		all = make(map[string]any)
	}
	maps.Copy(all, over)
	return all
}

// With returns the same issuer, with the same keys, clock and serial numbers,
// whose tokens are changed by options:
//
//	iss.With(persauthtest.WithAudience("other")).UserToken(tenant)
//
// Options of a token count more than those of the issuer.
func (iss *Issuer) With(options ...TokenOption) *Issuer {
	changed := iss.tokenDefaults()
	for _, option := range options {
		option.changeToken(&changed)
	}
	return &Issuer{issuerState: iss.issuerState, own: &changed}
}

// place is where a verifier with these names looks for a claim of PERS: a path
// of members.
func (o *tokenOptions) place(claim string) []string {
	name := map[string]string{"tenantId": o.names.Tenant, "businessId": o.names.Business, "role": o.names.Role,
		"authType": o.names.AuthType, "email": o.names.Email}[claim]
	switch {
	case name == "":
		return []string{claim}
	case name[0] == '/': // a JSON Pointer (RFC 6901)
		path := strings.Split(name[1:], "/")
		for i, part := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		}
		return path
	}
	return strings.Split(name, ".")
}

// moved are the claims of PERS, for which names can be set.
var moved = []string{"tenantId", "businessId", "role", "authType", "email"}

// rename moves the claims of PERS to where the names say.
func (o *tokenOptions) rename(members map[string]json.RawMessage) {
	values := make(map[string]json.RawMessage)
	for _, claim := range moved {
		if value, ok := members[claim]; ok && len(o.place(claim)) > 0 && o.place(claim)[0] != claim {
			values[claim] = value
			delete(members, claim)
		}
	}
	for claim, value := range values {
		put(members, o.place(claim), value)
	}
}

// put sets a member at a path, in objects that are made where they are missing.
func put(members map[string]json.RawMessage, path []string, value json.RawMessage) {
	if len(path) == 1 {
		if _, given := members[path[0]]; !given {
			members[path[0]] = value
		}
		return
	}
	inner := make(map[string]json.RawMessage)
	if json.Unmarshal(members[path[0]], &inner) != nil || inner == nil {
		inner = make(map[string]json.RawMessage)
	}
	put(inner, path[1:], value)
	members[path[0]] = marshal(inner)
}

// claimOf returns a claim of PERS from where this issuer writes it.
func (o *tokenOptions) claimOf(claims map[string]any, claim string) (text string) {
	var value any = claims
	for _, name := range o.place(claim) {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, _ = value.(string)
	return text
}
