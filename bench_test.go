package persauth_test

// What verification costs, as ratios to a floor that is measured beside it, pair
// by pair, in the same run: base64 of the signature, the hash, and the bare
// check of the standard library. Absolute times depend on the machine and on who
// else uses it; medians of ratios hardly do.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

// benchTokens are tokens of a business session, about 900 bytes with RS256.
func benchTokens(b *testing.B, alg string, n int) (*persauthtest.Issuer, []string) {
	b.Helper()
	iss := persauthtest.NewIssuer(b, persauthtest.WithAlgorithms(alg), persauthtest.WithSeed("bench"))
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = iss.Token(map[string]any{
			"iss": "https://api.pers.ninja", "aud": []string{"pers-api"}, "nbf": time.Now().Unix(),
			"tenantId": persauthtest.DefaultTenant, "businessId": "550e8400-e29b-41d4-a716-446655440000",
			"authType": "business", "role": "ADMIN", "email": "user-c8e619a4@id.pers.ninja",
			"name": "Some One", "scope": "read write",
		})
	}
	return iss, tokens
}

// floor is the least that any verifier of this token must do.
func floor(b *testing.B, public crypto.PublicKey, token string) {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	ok := false
	switch pub := public.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(token[:dot]))
		ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		digest := sha256.Sum256([]byte(token[:dot]))
		ok = ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, []byte(token[:dot]), signature)
	}
	if !ok {
		b.Fatal("the floor refused a good token")
	}
}

// paired times subject beside reference, round by round, and reports the median
// of the ratios in percent of the reference. each is how often a round calls them.
func paired(b *testing.B, each int, reference, subject func(i int)) {
	b.ReportAllocs()
	var ratios []float64
	calls := 0
	round := func(f func(int)) time.Duration {
		start := time.Now()
		for i := range each {
			f(calls + i)
		}
		return time.Since(start)
	}
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		base := round(reference)
		b.StartTimer()
		took := round(subject)
		spent += took
		calls += each
		ratios = append(ratios, float64(took)/float64(base))
	}
	slices.Sort(ratios)
	b.ReportMetric(100*ratios[len(ratios)/2], "%floor")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(calls), "ns/token")
}

var benchConfig = func(cfg *persauth.Config) {
	cfg.Issuer, cfg.Audience = "https://api.pers.ninja", "pers-api"
	cfg.Tenants = []string{persauthtest.DefaultTenant}
}

// A token that the verifier has not seen before. There are more tokens than the
// verifier remembers, so each is new again when its turn comes.
func BenchmarkNeverSeen(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			iss, tokens := benchTokens(b, alg, 1000)
			v := iss.Verifier(benchConfig, func(cfg *persauth.Config) { cfg.CacheTokens = 300 })
			key := iss.Key(alg).Public()
			paired(b, 16,
				func(i int) { floor(b, key, tokens[i%len(tokens)]) },
				func(i int) {
					if _, err := v.Verify(b.Context(), tokens[i%len(tokens)]); err != nil {
						b.Fatal(err)
					}
				})
			if v.Status().Counters.CacheHits > 0 {
				b.Fatal("a token was remembered that should be new")
			}
		})
	}
}

// A token that was verified before, held against the RS256 floor.
func BenchmarkSeenBefore(b *testing.B) {
	iss, tokens := benchTokens(b, "RS256", 256)
	v := iss.Verifier(benchConfig)
	key := iss.Key("RS256").Public()
	for _, token := range tokens {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	paired(b, 16,
		func(i int) { floor(b, key, tokens[i%len(tokens)]) },
		func(i int) {
			if _, err := v.Verify(ctx, tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
		})
	if v.Status().Counters.Verified != uint64(len(tokens)) {
		b.Fatal("a remembered token was verified anew")
	}
}

// The same on all cores: what they share must not slow them down. With -cpu 1,2
// the second line should say half of the first.
func BenchmarkSeenBeforeParallel(b *testing.B) {
	iss, tokens := benchTokens(b, "EdDSA", 64)
	v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(iss.JWKS())})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := v.Verify(ctx, tokens[i%len(tokens)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// New with three embedded keys, as at a cold start.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(fixtureKeys)})
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
	}
}

// The lookup of a key, in a small set and in a large one.
func BenchmarkKeyLookup(b *testing.B) {
	for _, others := range []int{2, 999} {
		b.Run("keys="+map[int]string{2: "3", 999: "1000"}[others], func(b *testing.B) {
			iss, tokens := benchTokens(b, "EdDSA", 8)
			signer := iss.Key("EdDSA").Public()
			for range others {
				iss.Rotate()
			}
			v := iss.Verifier(func(cfg *persauth.Config) { cfg.CacheTokens = 1 })
			paired(b, 16,
				func(i int) { floor(b, signer, tokens[i%len(tokens)]) },
				func(i int) {
					if _, err := v.Verify(b.Context(), tokens[i%len(tokens)]); err != nil {
						b.Fatal(err)
					}
				})
		})
	}
}
