package main

// The tokens: those of business sessions, signed with RS256.

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/persauthtest"
)

const (
	issuer   = "https://api.pers.ninja"
	audience = "pers-api"
	tenant   = "550e8400-e29b-41d4-a716-446655440001"
	business = "550e8400-e29b-41d4-a716-446655440000"
	role     = "ADMIN"
	leeway   = 30 * time.Second
)

// world is a key and its tokens.
type world struct {
	key *persauthtest.Key
	// tokens are so many that no server remembers one until its turn comes again.
	tokens []string
	// bad is one that nobody may accept.
	bad string
}

func newWorld(tokens int) (*world, error) {
	key, err := persauthtest.NewKey("RS256-11", "RS256", "bench")
	if err != nil {
		return nil, err
	}
	w := &world{key: key, tokens: make([]string, tokens)}
	progress("%d tokens", tokens)
	var next atomic.Int64
	var signers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		signers.Go(func() {
			for i := int(next.Add(1)) - 1; i < tokens; i = int(next.Add(1)) - 1 {
				w.tokens[i] = w.token(i)
			}
		})
	}
	signers.Wait()
	// The signature of another one.
	w.bad = w.tokens[0][:len(w.tokens[0])-342] + w.tokens[1][len(w.tokens[1])-342:]
	return w, nil
}

func (w *world) token(i int) string {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": audience, "sub": fmt.Sprintf("0b0e3c2e-6a57-4f0e-9d49-%012d", i), "jti": fmt.Sprintf("%016x", i),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(4 * time.Hour).Unix(),
		"tenantId": tenant, "businessId": business, "authType": "business", "role": role,
		"email": fmt.Sprintf("user-%08x@id.pers.ninja", i), "name": "Some One", "scope": "read",
	})
	if err != nil {
		panic(err) // texts and numbers
	}
	return w.key.Sign(fmt.Appendf(nil, `{"alg":"RS256","kid":%q,"typ":"JWT"}`, w.key.ID), claims)
}

func (w *world) jwks() []byte { return fmt.Appendf(nil, `{"keys":[%s]}`, w.key.JWK()) }
