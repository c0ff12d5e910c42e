package persauthtest

// Tokens by name: those of each kind of caller, and bad ones.

import (
	"cmp"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

// UserToken is the token of an end user of tenant.
func (iss *Issuer) UserToken(tenant string) string {
	return iss.Token(map[string]any{"tenantId": tenant, "authType": persauth.AuthUser})
}

// BusinessToken is the token of a user who acts for business, in roles.
func (iss *Issuer) BusinessToken(tenant, business string, roles ...string) string {
	return iss.Token(map[string]any{"tenantId": tenant, "businessId": business,
		"authType": persauth.AuthBusiness, "role": oneOrMany(roles)})
}

// TenantToken is the token of an admin of tenant, in roles.
func (iss *Issuer) TenantToken(tenant string, roles ...string) string {
	return iss.Token(map[string]any{"tenantId": tenant, "authType": persauth.AuthTenant, "role": oneOrMany(roles)})
}

// SystemToken is the token of a program of tenant. It lives for a year.
func (iss *Issuer) SystemToken(tenant string) string {
	return iss.Token(map[string]any{"tenantId": tenant, "authType": persauth.AuthSystem, "sub": "system",
		"exp": iss.systemExpiry().Unix()})
}

func (iss *Issuer) systemExpiry() time.Time {
	if d := iss.tokenDefaults().lifetime; d != 0 {
		return iss.clock.Now().Add(d)
	}
	return iss.clock.Now().AddDate(1, 0, 0)
}

// oneOrMany is how PERS writes roles: one as a string, several as an array.
func oneOrMany(roles []string) any {
	switch len(roles) {
	case 0:
		return nil
	case 1:
		return roles[0]
	}
	return roles
}

// ExpiredToken is a token that was good until an hour ago.
func (iss *Issuer) ExpiredToken() string {
	now := iss.clock.Now()
	return iss.Token(map[string]any{"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix()})
}

// FutureToken is a token that will be good in an hour.
func (iss *Issuer) FutureToken() string {
	now := iss.clock.Now()
	return iss.Token(map[string]any{"nbf": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()})
}

// foreignTenant is not that of anybody here.
const foreignTenant = "11111111-2222-4333-8444-555555555555"

// ForeignToken is a good token of another tenant.
func (iss *Issuer) ForeignToken() string {
	return iss.UserToken(foreignTenant)
}

// ForgedToken names a published key, and was signed by another one.
func (iss *Issuer) ForgedToken() string {
	signer := iss.current()
	return iss.TokenBy(iss.stranger(signer.ID, signer.Algorithm), map[string]any{})
}

// TamperedToken is a token whose claims were changed after it was signed.
func (iss *Issuer) TamperedToken() string {
	tenant := cmp.Or(iss.tokenDefaults().tenant, DefaultTenant)
	good := iss.UserToken(tenant)
	other := iss.TenantToken(tenant, "TENANT_ADMIN")
	return join(part(good, 0), part(other, 1), part(good, 2))
}

// UnknownKeyToken is well made and signed by a stranger, with a key that PERS
// does not know.
func (iss *Issuer) UnknownKeyToken() string {
	return iss.TokenBy(iss.stranger("unknown-key", iss.current().Algorithm), map[string]any{})
}

// stranger makes a key that does not become the issuer's.
func (iss *Issuer) stranger(id, algorithm string) *Key {
	key, err := NewKey(id, algorithm, "")
	if err != nil {
		iss.t.Fatalf("%v", err)
	}
	return key
}

// part returns one of the three parts of a token, join puts them together.
func part(token string, i int) string { return strings.Split(token, ".")[i] }

func join(parts ...string) string { return strings.Join(parts, ".") }
