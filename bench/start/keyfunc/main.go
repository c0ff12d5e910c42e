// Command keyfunc verifies tokens with embedded keys.
package main

import (
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/persauth/persauth/bench/start/keys"
	"github.com/persauth/persauth/bench/start/serve"
)

func main() {
	set, err := keyfunc.NewJWKSetJSON(keys.JWKS)
	if err != nil {
		serve.Fail(err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "ES256", "EdDSA"}),
		jwt.WithIssuer("https://api.pers.ninja"), jwt.WithAudience("pers-api"), jwt.WithExpirationRequired())
	serve.Forever(func(token string) error {
		_, err := parser.Parse(token, set.Keyfunc)
		return err
	})
}
