package persauth_test

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"

	"github.com/persauth/persauth"
)

//go:embed testdata/jwks.json
var exampleKeys embed.FS

// exampleToken returns one of the tokens in testdata. They are good until 2099.
func exampleToken(n int) string {
	all, err := os.ReadFile("testdata/tokens.txt")
	if err != nil {
		panic(err)
	}
	return string(bytes.Fields(all)[n])
}

// Keys that come with the program: no network is needed, nor used.
func ExampleNew_offline() {
	v, err := persauth.New(persauth.Config{Keys: persauth.FSKeys(exampleKeys, "testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	claims, err := v.Verify(context.Background(), exampleToken(3))
	fmt.Println(claims.TenantID(), claims.Roles(), err)
	// Output: 550e8400-e29b-41d4-a716-446655440001 [ADMIN] <nil>
}

// All that is wrong with a Config is reported at once.
func ExampleNew_mistakes() {
	_, err := persauth.New(persauth.Config{
		ProjectKey: "0123 ",
		BaseURL:    "http://api.pers.ninja/v2",
		Tenants:    []string{os.Getenv("NOT_SET_ANYWHERE")},
	})
	fmt.Println(err)
	// Output:
	// persauth: Tenants has an empty entry: a missing setting, perhaps
	// ProjectKey has white space around it: a line break from a file, perhaps
	// BaseURL must be https: over plain http anyone on the way could put in keys
}

// The three answers, for a token that did not come by HTTP.
func ExampleVerifier_Verify() {
	v, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	answer := func(token string) string {
		claims, err := v.Verify(context.Background(), token)
		switch {
		case errors.Is(err, persauth.ErrUnavailable):
			return "nobody can tell now: try again"
		case err != nil:
			return "not good: " + persauth.Code(err)
		case claims.RequireBusinessRole("550e8400-e29b-41d4-a716-446655440000", "ADMIN") != nil:
			return "good, and not allowed to do this"
		}
		return "allowed"
	}
	fmt.Println(answer("not.a.token"))
	fmt.Println(answer(exampleToken(0)))
	fmt.Println(answer(exampleToken(3)))
	// Output:
	// not good: malformed
	// good, and not allowed to do this
	// allowed
}

// A role is always a role somewhere.
func ExampleClaims_RequireBusinessRole() {
	v, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	claims, err := v.Verify(context.Background(), exampleToken(3))
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.RequireBusinessRole("550e8400-e29b-41d4-a716-446655440000", "ADMIN", "EDITOR"))
	fmt.Println(claims.RequireBusinessRole("another-business", "ADMIN"))
	fmt.Println(claims.RequireBusinessRole("", "ADMIN"))
	// Output:
	// <nil>
	// persauth: not allowed: check business, want "another-business", got "550e8400-e29b-41d4-a716-446655440000"
	// persauth: not allowed: check business, want a non-empty business, got "" (check the service's configuration)
}

// Claims that persauth does not know.
func ExampleClaims_Decode() {
	v, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	claims, err := v.Verify(context.Background(), exampleToken(0))
	if err != nil {
		panic(err)
	}
	var mine struct {
		Email string `json:"email"`
	}
	err = claims.Decode(&mine)
	fmt.Println(mine.Email, err)
	// Output: user-c8e619a4@id.pers.ninja <nil>
}

// Why a token is refused, check by check.
func ExampleVerifier_Explain() {
	v, err := persauth.New(persauth.Config{
		Keys:     persauth.FileKeys("testdata/jwks.json"),
		Audience: "shop",
		Tenants:  []string{"550e8400-e29b-41d4-a716-446655440001"},
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	for _, check := range v.Explain(context.Background(), exampleToken(7)).Checks {
		if check.Result == persauth.Failed {
			fmt.Println(check.Name, "want", check.Want, "got", check.Got)
		}
	}
	// Output:
	// aud want "shop" got none
	// tenant want "550e8400-e29b-41d4-a716-446655440001" got "1"
}

// A revocation that a webhook told of.
func ExampleVerifier_Revoke() {
	v, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	claims, err := v.Verify(context.Background(), exampleToken(6))
	fmt.Println(claims.Subject(), err)
	if err := v.Revoke(persauth.Revocation{ID: claims.ID(), Until: claims.ExpiresAt()}); err != nil {
		panic(err)
	}
	_, err = v.Verify(context.Background(), exampleToken(6))
	fmt.Println(errors.Is(err, persauth.ErrRevoked))
	// Output:
	// system <nil>
	// true
}
