package persauth_test

// What a fresh revocation verdict costs: nothing.

import (
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

// A known token with a fresh verdict, held against the same token without
// revocation. The floor here is Verify itself.
func BenchmarkKnownToken(b *testing.B) {
	iss, tokens := benchTokens(b, "EdDSA", 16) // few: where they lie in memory is not what this is about
	pers := persauthtest.NewServer(b, iss, persauthtest.InMemory())
	with := func(policy persauth.RevocationPolicy) *persauth.Verifier {
		v := pers.Verifier(benchConfig, func(cfg *persauth.Config) {
			cfg.Revocation, cfg.RevocationCallsPerHour = policy, 1e6
		})
		for _, token := range tokens {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		return v
	}
	off, fresh := with(persauth.RevocationOff()), with(persauth.RevocationEvery(time.Hour))
	asked := pers.Count(persauthtest.EndpointVerify)
	ctx := b.Context()
	known := func(v *persauth.Verifier) func(int) {
		return func(i int) {
			if _, err := v.Verify(ctx, tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, v := range []*persauth.Verifier{off, fresh} {
		verify := known(v)
		if n := testing.AllocsPerRun(100, func() { verify(0) }); n > 0 {
			b.Fatalf("%v allocations", n)
		}
	}
	paired(b, 1024, known(off), known(fresh))
	if asked != len(tokens) || pers.Count(persauthtest.EndpointVerify) != asked {
		b.Fatal("PERS was asked about fresh verdicts")
	}
}
