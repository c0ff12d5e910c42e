package persauth

// Where the time of a token goes, stage by stage: see docs/performance.md.

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/jose"
)

// stageBatch is how many tokens go through a stage before the next one begins,
// so that a stage takes long enough to be measured.
const stageBatch = 16

// stageTokens are tokens of a business session, signed with RS256, and the keys.
func stageTokens(b *testing.B, n int) (tokens []string, keys string) {
	b.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	for i := range n {
		claims, err := json.Marshal(map[string]any{
			"iss": "https://api.pers.ninja", "aud": []string{"pers-api"}, "sub": fmt.Sprintf("0b0e3c2e-6a57-4f0e-9d49-%012d", i),
			"jti": fmt.Sprintf("7d444840-9dc0-11d1-b245-%012d", i), "iat": now, "nbf": now, "exp": now + 900,
			"tenantId": "550e8400-e29b-41d4-a716-446655440001", "businessId": "550e8400-e29b-41d4-a716-446655440000",
			"authType": "business", "role": "ADMIN", "email": "user-c8e619a4@id.pers.ninja", "name": "Some One", "scope": "read write",
		})
		if err != nil {
			b.Fatal(err)
		}
		input := encode([]byte(`{"alg":"RS256","kid":"pers-2026-11","typ":"JWT"}`)) + "." + encode(claims)
		digest := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, input+"."+encode(signature))
	}
	return tokens, fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"pers-2026-11","alg":"RS256","n":"%s","e":"AQAB"}]}`, encode(private.N.Bytes()))
}

// BenchmarkStages reports nanoseconds for each stage of a token that was never
// seen, and for all of them. The stages are those of Verify.
func BenchmarkStages(b *testing.B) {
	tokens, set := stageTokens(b, 64*stageBatch)
	v, err := New(Config{Keys: StaticKeys([]byte(set)), Issuer: "https://api.pers.ninja", Audience: "pers-api",
		Tenants: []string{"550e8400-e29b-41d4-a716-446655440001"}, CacheTokens: 16 * stageBatch})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Verify(b.Context(), tokens[len(tokens)-1]); err != nil { // the header is known from here on
		b.Fatal(err)
	}

	var at [stageBatch]struct {
		token string
		*parsedToken
		key *jose.Key
		r   *cachedToken
		err error
	}
	now, keys := v.clock(), v.keys.Held(v.clock())
	stages := []struct {
		name  string
		run   func(i int)
		spent time.Duration
	}{
		{name: "clock", run: func(int) { now = v.clock(); keys = v.keys.Held(now) }},
		{name: "recall", run: func(i int) { at[i].r = v.lookup(at[i].token, keys, now) }},
		{name: "read", run: func(i int) { at[i].parsedToken = v.take(at[i].token); at[i].err = v.read(at[i].parsedToken) }},
		{name: "glance", run: func(i int) { at[i].claims.peekExpiry(at[i].payload, v.tree, now, v.policy) }},
		{name: "signature", run: func(i int) { at[i].key, at[i].err = at[i].parsedToken.verifiedBy(keys) }},
		{name: "rules", run: func(i int) { at[i].err = v.checkClaims(at[i].parsedToken, now) }},
		{name: "record", run: func(i int) { at[i].r = v.toCache(at[i].parsedToken, localResult{keys: keys, key: at[i].key}) }},
		{name: "remember", run: func(i int) { v.tokens.Put(at[i].r) }},
		{name: "release", run: func(i int) { at[i].release() }},
	}
	next := 0
	for b.Loop() {
		for i := range at {
			at[i].token = tokens[next%len(tokens)]
			next++
		}
		for s := range stages {
			begin := time.Now()
			for i := range at {
				stages[s].run(i)
			}
			stages[s].spent += time.Since(begin)
			for i := range at {
				if at[i].err != nil {
					b.Fatal(stages[s].name, at[i].err)
				}
				if stages[s].name == "recall" && at[i].r != nil {
					b.Fatal("a token was remembered that should be new")
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	var all time.Duration
	for _, s := range stages {
		b.ReportMetric(float64(s.spent.Nanoseconds())/float64(b.N*stageBatch), s.name+"-ns")
		all += s.spent
	}
	b.ReportMetric(float64(all.Nanoseconds())/float64(b.N*stageBatch), "all-ns")
}
