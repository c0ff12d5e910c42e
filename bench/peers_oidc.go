package main

// Libraries that take a token and an issuer, and fetch the keys themselves.

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/clerk/clerk-sdk-go/v2"
	clerkjwt "github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/coreos/go-oidc/v3/oidc"
	okta "github.com/okta/okta-jwt-verifier-golang/v2"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func openOIDC(ctx context.Context, w *world) (verify, error) {
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, w.client()), jwksURL)
	verifier := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{w.key.Algorithm}})
	return func(ctx context.Context, token string) (caller, error) {
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return caller{}, err
		}
		if verified.IssuedAt.After(time.Now().Add(leeway)) {
			return caller{}, errTime
		}
		var own private
		if err := verified.Claims(&own); err != nil {
			return caller{}, err
		}
		return own.of(verified.Subject)
	}, nil
}

// Validate makes private the custom claims of auth0.
func (p *private) Validate(context.Context) error { return nil }

func openAuth0(_ context.Context, w *world) (verify, error) {
	issuerURL, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	keysURL, err := url.Parse(jwksURL)
	if err != nil {
		return nil, err
	}
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuerURL), jwks.WithCustomJWKSURI(keysURL), jwks.WithCustomClient(w.client()))
	if err != nil {
		return nil, err
	}
	v, err := validator.New(validator.WithKeyFunc(keys.KeyFunc), validator.WithAlgorithm(validator.SignatureAlgorithm(w.key.Algorithm)),
		validator.WithIssuer(issuer), validator.WithAudience(audience), validator.WithAllowedClockSkew(leeway),
		validator.WithCustomClaims(func() *private { return new(private) }))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, token string) (caller, error) {
		verified, err := v.ValidateToken(ctx, token)
		if err != nil {
			return caller{}, err
		}
		claims, ok := verified.(*validator.ValidatedClaims)
		if !ok {
			return caller{}, errClaims
		}
		own, ok := claims.CustomClaims.(*private)
		if !ok || claims.RegisteredClaims.Expiry == 0 {
			return caller{}, errClaims
		}
		return own.of(claims.RegisteredClaims.Subject)
	}, nil
}

func openZitadel(_ context.Context, w *world) (verify, error) {
	verifier := op.NewAccessTokenVerifier(issuer, rp.NewRemoteKeySet(w.client(), jwksURL),
		op.WithSupportedAccessTokenSigningAlgorithms(w.key.Algorithm))
	type claims struct {
		zitadel.TokenClaims
		private
	}
	return func(ctx context.Context, token string) (caller, error) {
		c, err := op.VerifyAccessToken[*claims](ctx, token, verifier)
		if err != nil {
			return caller{}, err
		}
		if err := zitadel.CheckAudience(c, audience); err != nil {
			return caller{}, err
		}
		if now := time.Now().Add(leeway); c.NotBefore.AsTime().After(now) || c.IssuedAt.AsTime().After(now) {
			return caller{}, errTime
		}
		return c.of(c.Subject)
	}, nil
}

// openClerk is given the key, as a service does that fetches it once.
func openClerk(_ context.Context, w *world) (verify, error) {
	key := new(clerk.JSONWebKey)
	if err := json.Unmarshal(w.key.JWK(), key); err != nil {
		return nil, err
	}
	iss := issuer
	return func(ctx context.Context, token string) (caller, error) {
		c, err := clerkjwt.Verify(ctx, &clerkjwt.VerifyParams{Token: token, JWK: key, Leeway: leeway, ProxyURL: &iss,
			CustomClaimsConstructor: func(context.Context) any { return new(private) }})
		if err != nil {
			return caller{}, err
		}
		own, ok := c.Custom.(*private)
		if !ok || c.Expiry == nil {
			return caller{}, errClaims
		}
		if !slices.Contains(c.Audience, audience) {
			return caller{}, errAudience
		}
		return own.of(c.Subject)
	}, nil
}

func openOkta(_ context.Context, w *world) (verify, error) {
	setup := okta.JwtVerifier{Issuer: issuer, ClaimsToValidate: map[string]string{"aud": audience}, Client: w.client()}
	verifier, err := setup.New()
	if err != nil {
		return nil, err
	}
	verifier.SetLeeway(leeway.String())
	return func(_ context.Context, token string) (caller, error) {
		verified, err := verifier.VerifyAccessToken(token)
		if err != nil {
			return caller{}, err
		}
		if notBefore, given := verified.Claims["nbf"]; given {
			seconds, ok := notBefore.(float64)
			if !ok || time.Unix(int64(seconds), 0).After(time.Now().Add(leeway)) {
				return caller{}, errTime
			}
		}
		return named(func(name string) (string, bool) {
			text, ok := verified.Claims[name].(string)
			return text, ok
		})
	}, nil
}
