package persauth_test

// What the tests about revocation share: a verifier that asks a fake PERS, and
// what is wanted of its answers.

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// desk is a verifier that asks a fake PERS about tokens.
type desk struct {
	t    *testing.T
	iss  *persauthtest.Issuer
	pers *persauthtest.Server
	v    *persauth.Verifier
}

func openDesk(t *testing.T, policy persauth.RevocationPolicy, changes ...func(*persauth.Config)) *desk {
	t.Helper()
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	with := func(cfg *persauth.Config) {
		cfg.Revocation = policy
		cfg.KeySoftAge, cfg.KeyHardAge = 1000*24*time.Hour, 2000*24*time.Hour // keys are not what this is about
	}
	return &desk{t, iss, pers, pers.Verifier(append([]func(*persauth.Config){with}, changes...)...)}
}

// token lives that long, or 15 minutes where that is 0.
func (d *desk) token(life time.Duration) string {
	claims := map[string]any{"sub": somebody()}
	if life != 0 {
		claims["exp"] = d.iss.Clock().Now().Add(life).Unix()
	}
	return d.iss.Token(claims)
}

func (d *desk) accepts(token string) *persauth.Claims {
	d.t.Helper()
	claims, err := d.v.Verify(d.t.Context(), token)
	require.NoError(d.t, err)
	require.NotNil(d.t, claims)
	return claims
}

// atOnce is accepts for a caller who does not wait.
func (d *desk) atOnce(token string) *persauth.Claims {
	d.t.Helper()
	start := time.Now()
	claims := d.accepts(token)
	require.Zero(d.t, time.Since(start), "it waited")
	return claims
}

func (d *desk) refuses(token string, want error) {
	d.t.Helper()
	claims, err := d.v.Verify(d.t.Context(), token)
	fails(d.t, claims, err, want)
}

// refusesEverywhere wants the same of every way to ask.
func (d *desk) refusesEverywhere(token string, want error) {
	d.t.Helper()
	d.refuses(token, want)
	claims, err := d.v.VerifyLive(d.t.Context(), token)
	fails(d.t, claims, err, want)
	report := d.v.Explain(d.t.Context(), token)
	require.False(d.t, report.Valid)
	fails(d.t, report.Claims, report.Err, want)
}

// fails wants one error, and none that calls for another answer of a service.
func fails(t testing.TB, claims *persauth.Claims, err, want error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	require.Nil(t, claims)
	for _, other := range []error{persauth.ErrRevoked, persauth.ErrRejected, persauth.ErrUnavailable} {
		if other != want {
			require.NotErrorIs(t, err, other)
		}
	}
}

// asked is how often PERS was asked about a token.
func (d *desk) asked() int {
	synctest.Wait()
	return d.pers.Count(persauthtest.EndpointVerify)
}

func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}
