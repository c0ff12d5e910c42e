// Command persauth verifies tokens with embedded keys.
package main

import (
	"context"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/bench/start/keys"
	"github.com/persauth/persauth/bench/start/serve"
)

func main() {
	v, err := persauth.New(persauth.Config{
		Keys: persauth.StaticKeys(keys.JWKS), Issuer: "https://api.pers.ninja", Audience: "pers-api",
	})
	if err != nil {
		serve.Fail(err)
	}
	serve.Forever(func(token string) error {
		_, err := v.Verify(context.Background(), token)
		return err
	})
}
