package main

// The libraries that are compared, each set up as its documentation says for a
// service whose keys come from a JWK Set, with the same checks: the signature,
// "exp", "nbf", "iat", "iss" and "aud". What a library does not check by itself is
// checked after it, as its user would have to. The claims end up where a service
// can use them. This library checks more: the tenant, the type, and that no member
// comes twice.

import (
	"context"
	"errors"
	"slices"
)

// caller is what a service wants to know: who is calling.
type caller struct{ subject, tenant, business, role string }

// verify tells whose a token is.
type verify func(ctx context.Context, token string) (caller, error)

// peer is a library.
type peer struct {
	name       string
	modules    []string // whose versions count
	algorithms []string // nil: all of them
	open       func(ctx context.Context, w *world) (verify, error)
}

// takes reports whether a peer knows an algorithm.
func (p peer) takes(algorithm string) bool {
	return p.algorithms == nil || slices.Contains(p.algorithms, algorithm)
}

// peers are all of them, this library first.
var peers = []peer{
	{name: "persauth", modules: []string{"github.com/persauth/persauth"}, open: openPersauth},
	{name: "golang-jwt + keyfunc", modules: []string{"github.com/golang-jwt/jwt/v5", "github.com/MicahParks/keyfunc/v3"}, open: openKeyfunc},
	{name: "go-oidc", modules: []string{"github.com/coreos/go-oidc/v3"}, open: openOIDC},
	{name: "go-jose", modules: []string{"github.com/go-jose/go-jose/v4"}, open: openJose},
	{name: "jwx v2", modules: []string{"github.com/lestrrat-go/jwx/v2"}, open: openJWX2},
	{name: "jwx v3", modules: []string{"github.com/lestrrat-go/jwx/v3"}, open: openJWX3},
	{name: "tink-go", modules: []string{"github.com/tink-crypto/tink-go/v2"}, algorithms: []string{"RS256", "ES256"}, open: openTink},
	{name: "cristalhq/jwt", modules: []string{"github.com/cristalhq/jwt/v5"}, open: openCristal},
	{name: "auth0/go-jwt-middleware", modules: []string{"github.com/auth0/go-jwt-middleware/v3"}, open: openAuth0},
	{name: "zitadel/oidc", modules: []string{"github.com/zitadel/oidc/v3"}, open: openZitadel},
	{name: "clerk-sdk-go", modules: []string{"github.com/clerk/clerk-sdk-go/v2"}, open: openClerk},
	{name: "okta-jwt-verifier", modules: []string{"github.com/okta/okta-jwt-verifier-golang/v2"}, algorithms: []string{"RS256"}, open: openOkta},
}

// What is wrong with a token, where the bench says so and not a library.
var (
	errAudience = errors.New("for another audience")
	errIssuer   = errors.New("of another issuer")
	errTime     = errors.New("expired, or not yet valid")
	errClaims   = errors.New("a claim is missing, or does not have its form")
)

// private are the claims of PERS that no library knows.
type private struct {
	TenantID   string `json:"tenantId"`
	BusinessID string `json:"businessId"`
	AuthType   string `json:"authType"`
	Role       string `json:"role"`
	Email      string `json:"email"`
	Name       string `json:"name"`
	Scope      string `json:"scope"`
}

func (p *private) of(subject string) (caller, error) {
	if subject == "" || p.TenantID == "" || p.BusinessID == "" || p.Role == "" {
		return caller{}, errClaims
	}
	return caller{subject: subject, tenant: p.TenantID, business: p.BusinessID, role: p.Role}, nil
}

// named asks for the claims by name, where they are not in a struct.
func named(claim func(name string) (string, bool)) (caller, error) {
	var c caller
	var ok [4]bool
	c.subject, ok[0] = claim("sub")
	c.tenant, ok[1] = claim("tenantId")
	c.business, ok[2] = claim("businessId")
	c.role, ok[3] = claim("role")
	if ok != [4]bool{true, true, true, true} {
		return caller{}, errClaims
	}
	return c, nil
}
