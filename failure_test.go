package persauth_test

// What happens when PERS is in trouble, or a caller leaves: the rows of the table
// in README.md that are about questions on tokens.

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// "a token names an unknown key": the keys are refreshed, at most once in 30 s;
// then /auth/verify is asked, within a budget.
func TestUnknownKeyIsFetchedThenAskedAbout(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		accepts(t, v, pers.stranger())
		requests := pers.Requests(persauthtest.EndpointAll)
		require.Len(t, requests, 3)
		assert.Equal(t, persauthtest.EndpointKeys, requests[1].Endpoint)
		assert.True(t, requests[1].NoCache)
		assert.Equal(t, persauthtest.EndpointVerify, requests[2].Endpoint)

		time.Sleep(29 * time.Second)
		refuses(t, v, pers.iss.UnknownKeyToken(), persauth.ErrRejected)
		assert.Equal(t, 2, pers.Count(persauthtest.EndpointKeys))
		assert.Equal(t, 2, pers.asked())
		time.Sleep(time.Second)
		pers.iss.Rotate()
		accepts(t, v, pers.iss.UserToken("acme"))
		assert.Equal(t, 3, pers.Count(persauthtest.EndpointKeys))
		assert.Equal(t, 2, pers.asked(), "its key was found")
	})
}

// "/auth/verify is down, slow or lying": unknown key.
func TestUnknownKeyWhileVerifyIsInTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		took  time.Duration
		want  error // nil: accepted
	}{
		"down":                {persauthtest.Down, 0, persauth.ErrUnavailable},
		"failing":             {persauthtest.Status(500), 0, persauth.ErrUnavailable},
		"limiting":            {persauthtest.TooManyRequests(0), 0, persauth.ErrUnavailable},
		"without us":          {persauthtest.Status(401), 0, persauth.ErrUnavailable},
		"slow":                {persauthtest.Slow(3 * time.Second), 3 * time.Second, nil},
		"too slow":            {persauthtest.Slow(time.Minute), 5 * time.Second, persauth.ErrUnavailable},
		"breaking off":        {persauthtest.CutOff, 0, persauth.ErrUnavailable},
		"talking nonsense":    {persauthtest.Garbage, 0, persauth.ErrRemoteMismatch},
		"without a verdict":   {persauthtest.NotAVerdict, 0, persauth.ErrRemoteMismatch},
		"contradicting":       {persauthtest.Contradictory, 0, persauth.ErrRemoteMismatch},
		"of another tenant":   {persauthtest.OtherTenant, 0, persauth.ErrRemoteMismatch},
		"of somebody else":    {persauthtest.OtherSubject, 0, persauth.ErrRemoteMismatch},
		"of another business": {persauthtest.OtherClaim("businessId", "x"), 0, persauth.ErrRemoteMismatch},
		"of another time":     {persauthtest.OtherExpiry, 0, persauth.ErrRemoteMismatch},
		"of another token":    {persauthtest.OtherClaim("jti", "x"), 0, persauth.ErrRemoteMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm()
				pers.Fault(persauthtest.EndpointVerify, c.fault)
				begin := time.Now()
				if c.want == nil {
					accepts(t, v, pers.stranger())
				} else {
					detail := refuses(t, v, pers.stranger(), c.want)
					assert.ErrorIs(t, detail, persauth.ErrUnavailable)
					assert.NotErrorIs(t, detail, persauth.ErrRejected)
				}
				assert.Equal(t, c.took, time.Since(begin))
				accepts(t, v, pers.iss.UserToken("acme")) // known keys notice nothing
				assert.Equal(t, c.took, time.Since(begin))
				pers.Heal()
				time.Sleep(time.Minute)
				accepts(t, v, pers.stranger())
			})
		})
	}
}

// "… known key: as the revocation policy says": nothing changes until the verdict
// is too old; then the token is refused or passes by grace, and is never taken
// for revoked.
func TestKnownKeyWhileVerifyIsInTrouble(t *testing.T) {
	const maxAge, grace = time.Minute, 10 * time.Minute
	for name, fault := range map[string]persauthtest.Fault{
		"down": persauthtest.Down, "too slow": persauthtest.Slow(time.Minute), "lying": persauthtest.OtherTenant,
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				strict := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(maxAge) })
				lenient := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(maxAge).WithGrace(grace) })
				token := pers.yearly()
				checked := accepts(t, strict, token).Verification().CheckedAt
				accepts(t, lenient, token)
				pers.Fault(persauthtest.EndpointVerify, fault)
				time.Sleep(maxAge - time.Second)
				for _, v := range []*persauth.Verifier{strict, lenient} {
					claims := accepts(t, v, token)
					assert.Equal(t, checked, claims.Verification().CheckedAt)
					assert.False(t, claims.Verification().InGrace)
				}
				time.Sleep(time.Until(checked.Add(maxAge)))
				detail := refuses(t, strict, token, persauth.ErrUnavailable)
				assert.NotErrorIs(t, detail, persauth.ErrRevoked)
				assert.True(t, accepts(t, lenient, token).Verification().InGrace)
				assert.False(t, lenient.Status().Remote.Revocation.Answering)
				time.Sleep(time.Until(checked.Add(maxAge + grace)))
				for _, v := range []*persauth.Verifier{strict, lenient} {
					detail := refuses(t, v, token, persauth.ErrUnavailable)
					assert.NotErrorIs(t, detail, persauth.ErrRevoked)
				}
				pers.Heal()
				time.Sleep(time.Minute)
				for _, v := range []*persauth.Verifier{strict, lenient} {
					claims := accepts(t, v, token)
					assert.False(t, claims.Verification().InGrace)
					assert.True(t, claims.Verification().CheckedAt.After(checked))
				}
				synctest.Wait()
			})
		})
	}
}

// "a caller's context ends": that caller gets its error, wrapped, at that moment;
// the others get their answer.
func TestContextEnds(t *testing.T) {
	for name, c := range map[string]struct {
		slow  persauthtest.Endpoint
		token func(lab) string
		ask   func(*persauth.Verifier, context.Context, string) (*persauth.Claims, error)
	}{
		"while the first keys are fetched": {persauthtest.EndpointKeys, func(pers lab) string { return pers.iss.UserToken("acme") }, (*persauth.Verifier).Verify},
		"while an unknown key is fetched":  {persauthtest.EndpointKeys, lab.stranger, (*persauth.Verifier).Verify},
		"while PERS is asked, unknown key": {persauthtest.EndpointVerify, lab.stranger, (*persauth.Verifier).Verify},
		"while PERS is asked, known key":   {persauthtest.EndpointVerify, lab.yearly, (*persauth.Verifier).Verify},
		"while PERS is asked, live":        {persauthtest.EndpointVerify, lab.yearly, (*persauth.Verifier).VerifyLive},
	} {
		for _, kind := range []string{"canceled", "too late"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				inLab(t, func(t *testing.T, pers lab) {
					pers.Fault(c.slow, persauthtest.Slow(2*time.Second))
					v, token := pers.Verifier(), c.token(pers)
					begin := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					want := context.DeadlineExceeded
					if kind == "canceled" {
						want = context.Canceled
						time.AfterFunc(time.Second/2, cancel)
					}
					answered := make(chan error)
					go func() {
						_, err := c.ask(v, t.Context(), token)
						answered <- err
					}()
					synctest.Wait()
					claims, err := c.ask(v, ctx, token)
					require.ErrorIs(t, err, want)
					require.ErrorIs(t, err, persauth.ErrUnavailable)
					require.Nil(t, claims)
					if kind == "canceled" {
						assert.Equal(t, time.Second/2, time.Since(begin))
					} else {
						assert.Equal(t, time.Second, time.Since(begin))
					}
					require.NoError(t, <-answered)
				})
			})
		}
	}
}
