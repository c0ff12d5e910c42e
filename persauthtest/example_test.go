package persauthtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

// exampleT stands for the *testing.T that an example does not have.
type exampleT struct{ cleanups []func() }

func (t *exampleT) Helper()                           {}
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Context() context.Context          { return context.Background() }

func (t *exampleT) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

// A unit test of a service that asks who is calling: it needs no network, and
// says itself what time it is.
func ExampleNewIssuer() {
	t := new(exampleT) // in a test, its *testing.T
	defer t.end()

	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()

	token := iss.BusinessToken("acme", "shop", "ADMIN")
	claims, err := v.Verify(t.Context(), token)
	fmt.Println(claims.BusinessID(), claims.Roles(), err)

	iss.Clock().Advance(time.Hour)
	_, err = v.Verify(t.Context(), token)
	fmt.Println(errors.Is(err, persauth.ErrExpired))

	_, err = v.Verify(t.Context(), iss.TamperedToken())
	fmt.Println(errors.Is(err, persauth.ErrSignature))
	// Output:
	// shop [ADMIN] <nil>
	// true
	// true
}

// A test of what a service does when a token is revoked, and when PERS is down.
func ExampleNewServer() {
	t := new(exampleT) // in a test, its *testing.T
	defer t.end()

	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	v := pers.Verifier(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationAlways() })

	token := iss.SystemToken("acme")
	claims, err := v.Verify(t.Context(), token)
	fmt.Println(claims.TenantID(), err)

	pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(http.StatusServiceUnavailable).Times(1))
	_, err = v.Verify(t.Context(), token)
	fmt.Println(persauth.Code(err))

	pers.Revoke(token)
	_, err = v.Verify(t.Context(), token)
	fmt.Println(persauth.Code(err))
	fmt.Println(pers.Count(persauthtest.EndpointKeys), pers.Count(persauthtest.EndpointVerify))
	// Output:
	// acme <nil>
	// unavailable
	// revoked
	// 1 3
}

// A test of a service whose tokens are bound to keys of its clients (RFC 9449).
func ExampleDPoPClient() {
	t := new(exampleT) // in a test, its *testing.T
	defer t.end()

	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" })
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, map[string]any{"tenantId": "acme"})

	r := httptest.NewRequest("GET", "https://shop.example/orders", nil)
	client.Authorize(r, token)
	claims, err := v.VerifyRequest(r)
	fmt.Println(claims.TenantID(), err)

	_, err = v.VerifyRequest(r) // a proof is good once
	fmt.Println(persauth.Code(err))

	client.Authorize(r, token, persauthtest.ProofClaim("htm", "POST"))
	_, err = v.VerifyRequest(r)
	fmt.Println(persauth.Code(err))
	// Output:
	// acme <nil>
	// replay
	// proof
}
