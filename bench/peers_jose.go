package main

// Libraries that take a token and a key set.

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	cristal "github.com/cristalhq/jwt/v5"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	jwk2 "github.com/lestrrat-go/jwx/v2/jwk"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	jwk3 "github.com/lestrrat-go/jwx/v3/jwk"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"
	tink "github.com/tink-crypto/tink-go/v2/jwt"

	"github.com/persauth/persauth"
)

// leeway is how far clocks may differ, where a library lets one say so.
const leeway = 30 * time.Second

func openPersauth(_ context.Context, w *world) (verify, error) {
	v, err := persauth.New(strict(w, fewTokens))
	if err != nil {
		return nil, err
	}
	return verifyWith(v), nil
}

// fewTokens is how many tokens a verifier remembers whose tokens shall be new to
// it each time.
const fewTokens = 16

// strict is a configuration with all checks on.
func strict(w *world, tokens int) persauth.Config {
	return persauth.Config{Keys: persauth.StaticKeys(w.jwks()), Issuer: issuer, Audience: audience,
		Tenants: []string{tenant}, CacheTokens: tokens}
}

func verifyWith(v *persauth.Verifier) verify {
	return func(ctx context.Context, token string) (caller, error) {
		claims, err := v.Verify(ctx, token)
		if err != nil {
			return caller{}, err
		}
		role := ""
		for _, role = range claims.Roles() {
			break
		}
		return caller{claims.Subject(), claims.TenantID(), claims.BusinessID(), role}, nil
	}
}

func openKeyfunc(_ context.Context, w *world) (verify, error) {
	keys, err := keyfunc.NewJWKSetJSON(w.jwks())
	if err != nil {
		return nil, err
	}
	type claims struct {
		golangjwt.RegisteredClaims
		private
	}
	parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{w.key.Algorithm}), golangjwt.WithIssuer(issuer),
		golangjwt.WithAudience(audience), golangjwt.WithExpirationRequired(), golangjwt.WithLeeway(leeway), golangjwt.WithIssuedAt())
	return func(_ context.Context, token string) (caller, error) {
		var c claims
		if _, err := parser.ParseWithClaims(token, &c, keys.Keyfunc); err != nil {
			return caller{}, err
		}
		return c.of(c.Subject)
	}, nil
}

func openJose(_ context.Context, w *world) (verify, error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(w.jwks(), &keys); err != nil {
		return nil, err
	}
	accepted := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(w.key.Algorithm)}
	expected := josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}}
	return func(_ context.Context, token string) (caller, error) {
		parsed, err := josejwt.ParseSigned(token, accepted)
		if err != nil {
			return caller{}, err
		}
		var registered josejwt.Claims
		var own private
		if err := parsed.Claims(&keys, &registered, &own); err != nil {
			return caller{}, err
		}
		if registered.Expiry == nil {
			return caller{}, errTime
		}
		if err := registered.ValidateWithLeeway(expected, leeway); err != nil {
			return caller{}, err
		}
		return own.of(registered.Subject)
	}, nil
}

func openJWX2(_ context.Context, w *world) (verify, error) {
	keys, err := jwk2.Parse(w.jwks())
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) (caller, error) {
		parsed, err := jwt2.Parse([]byte(token), jwt2.WithKeySet(keys), jwt2.WithIssuer(issuer), jwt2.WithAudience(audience),
			jwt2.WithAcceptableSkew(leeway), jwt2.WithRequiredClaim("exp"))
		if err != nil {
			return caller{}, err
		}
		return named(func(name string) (string, bool) {
			value, _ := parsed.Get(name)
			text, ok := value.(string)
			return text, ok
		})
	}, nil
}

func openJWX3(_ context.Context, w *world) (verify, error) {
	keys, err := jwk3.Parse(w.jwks())
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) (caller, error) {
		parsed, err := jwt3.ParseString(token, jwt3.WithKeySet(keys), jwt3.WithIssuer(issuer), jwt3.WithAudience(audience),
			jwt3.WithAcceptableSkew(leeway), jwt3.WithRequiredClaim("exp"))
		if err != nil {
			return caller{}, err
		}
		return named(func(name string) (string, bool) {
			var text string
			err := parsed.Get(name, &text)
			return text, err == nil
		})
	}, nil
}

func openTink(_ context.Context, w *world) (verify, error) {
	keys, err := tink.JWKSetToPublicKeysetHandle(w.jwks())
	if err != nil {
		return nil, err
	}
	verifier, err := tink.NewVerifier(keys)
	if err != nil {
		return nil, err
	}
	iss, aud, typ := issuer, audience, "JWT"
	validator, err := tink.NewValidator(&tink.ValidatorOpts{ExpectedIssuer: &iss, ExpectedAudience: &aud,
		ExpectedTypeHeader: &typ, ExpectIssuedInThePast: true, ClockSkew: leeway})
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) (caller, error) {
		verified, err := verifier.VerifyAndDecode(token, validator)
		if err != nil {
			return caller{}, err
		}
		return named(func(name string) (string, bool) {
			var text string
			var err error
			if name == "sub" {
				text, err = verified.Subject()
			} else {
				text, err = verified.StringClaim(name)
			}
			return text, err == nil
		})
	}, nil
}

// openCristal knows one key: the library has no key sets.
func openCristal(_ context.Context, w *world) (verify, error) {
	var verifier cristal.Verifier
	var err error
	switch pub := w.key.Public().(type) {
	case *rsa.PublicKey:
		verifier, err = cristal.NewVerifierRS(cristal.RS256, pub)
	case *ecdsa.PublicKey:
		verifier, err = cristal.NewVerifierES(cristal.ES256, pub)
	case ed25519.PublicKey:
		verifier, err = cristal.NewVerifierEdDSA(pub)
	default:
		err = errors.New("no verifier for such a key")
	}
	if err != nil {
		return nil, err
	}
	type claims struct {
		cristal.RegisteredClaims
		private
	}
	return func(_ context.Context, token string) (caller, error) {
		var c claims
		if err := cristal.ParseClaims([]byte(token), verifier, &c); err != nil {
			return caller{}, err
		}
		switch now := time.Now(); {
		case c.ExpiresAt == nil || !c.IsValidExpiresAt(now.Add(-leeway)) || !c.IsValidNotBefore(now.Add(leeway)) || !c.IsValidIssuedAt(now.Add(leeway)):
			return caller{}, errTime
		case !c.IsIssuer(issuer):
			return caller{}, errIssuer
		case !c.IsForAudience(audience):
			return caller{}, errAudience
		}
		return c.of(c.Subject)
	}, nil
}
