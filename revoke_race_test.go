package persauth_test

// Many verify while others revoke.

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

// No call that begins after Revoke has returned is accepted: exactly.
func TestRevokeWhileVerifying(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	// Verdicts are renewed all the time, and tokens are forgotten all the time.
	v := pers.Verifier(func(cfg *persauth.Config) {
		cfg.Revocation = persauth.RevocationEvery(2 * time.Millisecond).WithGrace(time.Hour)
		cfg.RevocationCallsPerHour, cfg.UnknownKeyCallsPerHour, cfg.CacheTokens = 1e9, 1e9, 12
	})
	type subject struct {
		token   string
		revoked atomic.Bool // Revoke has returned
	}
	subjects := make([]*subject, 30)
	for i := range subjects {
		claims := map[string]any{"jti": fmt.Sprint(i)}
		subjects[i] = &subject{token: iss.Token(claims)}
		if i%3 == 2 {
			subjects[i].token = iss.UnpublishedToken(claims)
		}
	}
	var stop atomic.Bool
	var accepted, refused, wrong atomic.Int64
	check := func(s *subject, verify func(string) error) {
		before := s.revoked.Load()
		err := verify(s.token)
		switch {
		case err == nil && before:
			wrong.Add(1)
		case err == nil:
			accepted.Add(1)
		default:
			refused.Add(1)
			if !assert.ErrorIs(t, err, persauth.ErrRevoked) {
				stop.Store(true)
			}
		}
	}
	ways := []func(string) error{
		func(token string) error { _, err := v.Verify(t.Context(), token); return err },
		func(token string) error { _, err := v.VerifyLive(t.Context(), token); return err },
		func(token string) error { return v.Explain(t.Context(), token).Err },
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := caller; !stop.Load(); i++ {
				way := ways[0]
				if i%16 == 0 {
					way = ways[1+i/16%2]
				}
				check(subjects[i%len(subjects)], way)
			}
		})
	}
	for i, s := range subjects {
		// Let each be verified a while before its turn.
		for seen := accepted.Load(); accepted.Load() < seen+20 && !stop.Load(); {
			runtime.Gosched()
		}
		r := persauth.Revocation{Token: s.token}
		if i%2 == 0 {
			r = persauth.Revocation{ID: fmt.Sprint(i)}
		}
		assert.NoError(t, v.Revoke(r))
		s.revoked.Store(true)
		for _, way := range ways {
			check(s, way)
		}
	}
	stop.Store(true)
	callers.Wait()
	assert.Zero(t, wrong.Load(), "accepted after Revoke had returned")
	assert.GreaterOrEqual(t, accepted.Load(), int64(20*len(subjects)))
	assert.GreaterOrEqual(t, refused.Load(), int64(3*len(subjects)))
}
