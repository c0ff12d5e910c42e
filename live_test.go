package persauth_test

// VerifyLive: the answer is to a question that was put after it was called.

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (d *desk) live(token string) *persauth.Claims {
	d.t.Helper()
	start := d.iss.Clock().Now()
	claims, err := d.v.VerifyLive(d.t.Context(), token)
	require.NoError(d.t, err)
	require.False(d.t, claims.Verification().CheckedAt.Before(start.Truncate(time.Microsecond)))
	return claims
}

// One question for each call, whatever the policy and however fresh the verdict;
// and what it finds counts for all.
func TestVerifyLive(t *testing.T) {
	for name, policy := range map[string]persauth.RevocationPolicy{
		"auto": persauth.RevocationAuto(), "off": persauth.RevocationOff(), "every": persauth.RevocationEvery(time.Hour), "always": persauth.RevocationAlways(),
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, policy)
			token := d.token(0)
			d.accepts(token)
			before := d.asked()
			for i := range 3 {
				d.live(token)
				require.Equal(t, before+i+1, d.asked())
			}
			d.pers.Revoke(token)
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrRevoked)
			require.Equal(t, before+4, d.asked())
			d.refuses(token, persauth.ErrRevoked)
			require.Equal(t, before+4, d.asked(), "it is known by now")
			claims, err = d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrRevoked)
			require.Equal(t, before+5, d.asked(), "PERS may have changed its mind")
		})
	}
}

// What it learns spares Verify the question.
func TestVerifyLiveRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute))
		token := d.token(0)
		d.accepts(token)
		time.Sleep(time.Minute)
		d.live(token)
		d.atOnce(token)
		require.Equal(t, 2, d.asked())
	})
}

// A question that is under way was put too early: it is waited for, and one more
// is asked for all who came in the meantime.
func TestVerifyLiveComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute))
		token := d.token(0)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2*time.Second))
		var callers sync.WaitGroup
		callers.Go(func() { d.accepts(token) })
		for range 1000 {
			time.Sleep(time.Millisecond)
			callers.Go(func() { d.live(token) })
		}
		start := time.Now()
		callers.Wait()
		assert.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, 2, d.asked())
	})
}

// A thousand at one moment share two questions.
func TestVerifyLiveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff())
		token := d.token(0)
		d.accepts(token)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(time.Second))
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() { d.live(token) })
		}
		callers.Wait()
		require.Equal(t, 2, d.asked())
	})
}

// An answer that is remembered is none to a question that is put now: neither to
// one that comes alone, nor to one that waited for another.
func TestVerifyLiveTakesNoOldRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff())
		token := d.iss.UnpublishedToken(map[string]any{})
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1), persauthtest.OtherTenant.Times(1))
		d.refuses(token, persauth.ErrRejected)
		claims, err := d.v.VerifyLive(t.Context(), token)
		fails(t, claims, err, persauth.ErrUnavailable)
		require.ErrorIs(t, err, persauth.ErrRemoteMismatch)
		d.live(token)
		require.Equal(t, 3, d.asked())

		other := d.iss.UnpublishedToken(map[string]any{"sub": somebody()})
		d.accepts(token)
		slowly := persauthtest.Slow(2 * time.Second)
		d.pers.Revoke(other)
		d.pers.Fault(persauthtest.EndpointVerify, slowly)
		var callers sync.WaitGroup
		callers.Go(func() { d.refuses(other, persauth.ErrRejected) })
		time.Sleep(time.Second)
		callers.Go(func() {
			claims, err := d.v.VerifyLive(t.Context(), other)
			fails(t, claims, err, persauth.ErrRejected)
		})
		callers.Wait()
		require.Equal(t, 5, d.asked())
	})
}

// Without an answer there is none: no verdict of before, and no grace.
func TestVerifyLiveUnavailable(t *testing.T) {
	for name, fault := range map[string]persauthtest.Fault{
		"down": persauthtest.Down, "hanging": persauthtest.Hanging, "500": persauthtest.Status(500),
		"401": persauthtest.Status(401), "429": persauthtest.TooManyRequests(0), "lying": persauthtest.OtherExpiry,
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour))
			token := d.token(0)
			d.accepts(token)
			d.pers.Fault(persauthtest.EndpointVerify, fault)
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrUnavailable)
			d.atOnce(token)
			d.v.Close()
			claims, err = d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrUnavailable)
		})
	}
	inBubble(t, "nobody to ask", func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff())
		offline := func(cfg *persauth.Config) { cfg.Offline, cfg.Keys = true, persauth.StaticKeys(d.iss.JWKS()) }
		for _, v := range []*persauth.Verifier{d.iss.Verifier(), d.pers.Verifier(offline)} {
			token := d.token(0)
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
			claims, err := v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrUnavailable)
		}
		require.Zero(t, d.pers.Count(persauthtest.EndpointAll))
	})
}

// Tokens that only PERS can check are checked by it, and again each time.
func TestVerifyLiveOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff(), func(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} })
		for i, token := range []string{d.iss.UnpublishedToken(map[string]any{}), d.iss.SymmetricToken(map[string]any{})} {
			for range 3 {
				require.Equal(t, persauth.VerifiedRemotely, d.live(token).Verification().Method)
			}
			require.Equal(t, 3+4*i, d.asked())
			d.pers.Revoke(token)
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrRejected)
			d.refuses(token, persauth.ErrRejected)
			require.Equal(t, 4+4*i, d.asked())
		}
	})
}

// What can be refused for free is not asked about.
func TestVerifyLiveAsksInVainForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationAlways())
		for want, token := range map[error]string{
			persauth.ErrExpired: d.iss.ExpiredToken(), persauth.ErrNotYetValid: d.iss.FutureToken(), persauth.ErrSignature: d.iss.ForgedToken(),
			persauth.ErrMalformed: "a.b", persauth.ErrAlgorithm: d.iss.SymmetricToken(map[string]any{}),
		} {
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, want)
		}
		require.Zero(t, d.asked())
	})
}
