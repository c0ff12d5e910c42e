package persauth_test

// Tokens that PERS refuses: at once and everywhere, and not for good.

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refusals are how a token is refused that PERS does not accept.
var refusals = map[string]struct {
	token func(*desk) string
	want  error
}{
	"known key": {func(d *desk) string { return d.token(year) }, persauth.ErrRevoked},
	"unknown key": {func(d *desk) string {
		return d.iss.UnpublishedToken(map[string]any{"exp": time.Now().Add(year).Unix()})
	}, persauth.ErrRejected},
	"symmetric": {func(d *desk) string { return d.iss.SymmetricToken(map[string]any{"exp": time.Now().Add(year).Unix()}) }, persauth.ErrRejected},
}

// A token that PERS refuses is refused at once for a while, and then PERS is asked
// again: after 30 s, 2 min, 10 min, and every hour. Whether the policy asks about
// such a token makes no difference to what PERS has said of it.
func TestRefusedAndAskedAgain(t *testing.T) {
	for name, c := range refusals {
		for policyName, policy := range map[string]persauth.RevocationPolicy{
			"auto": persauth.RevocationAuto(), "always": persauth.RevocationAlways(), "every": persauth.RevocationEvery(time.Hour).WithGrace(time.Hour),
		} {
			inBubble(t, name+", "+policyName, func(t *testing.T) {
				d := openDesk(t, policy, withHS256)
				token := c.token(d)
				d.pers.Revoke(token)
				d.refuses(token, c.want)
				asked := 1
				for _, pause := range []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, time.Hour, time.Hour} {
					for range 3 {
						d.refuses(token, c.want)
						time.Sleep(pause/3 - time.Millisecond)
					}
					require.Equal(t, asked, d.asked())
					assert.Equal(t, 1, d.v.Status().NegativeCache)
					time.Sleep(3 * time.Millisecond)
					d.refuses(token, c.want)
					asked++
					require.Equal(t, asked, d.asked())
				}
				assert.Zero(t, d.v.Status().DenyListed)
			})
		}
	}
}

// One bad answer does not log anybody out for long: the next good one counts, and
// the next bad one begins with the shortest pause.
func TestOneBadAnswer(t *testing.T) {
	for name, c := range refusals {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(time.Minute), withHS256)
			token := c.token(d)
			d.accepts(token)
			for range 3 {
				d.pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1))
				time.Sleep(time.Minute)
				d.refuses(token, c.want)
				time.Sleep(30*time.Second - time.Microsecond)
				d.refuses(token, c.want)
				time.Sleep(time.Microsecond)
				d.accepts(token)
				assert.Zero(t, d.v.Status().NegativeCache)
			}
		})
	}
}

// VerifyLive asks now. What it learns counts for all, both ways.
func TestOneBadAnswerAndVerifyLive(t *testing.T) {
	for name, c := range refusals {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationOff(), withHS256)
			token := c.token(d)
			d.pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1))
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, c.want)
			d.refuses(token, c.want)
			d.live(token)
			d.accepts(token)
		})
	}
}

// Where PERS does not answer, its last word on a token stands, whatever grace
// there is, and PERS is not asked with every request.
func TestRefusalWhilePERSIsAway(t *testing.T) {
	for name, fault := range map[string]persauthtest.Fault{
		"down": persauthtest.Down, "hanging": persauthtest.Hanging, "500": persauthtest.Status(500), "401": persauthtest.Status(401),
		"429": persauthtest.TooManyRequests(time.Minute), "lying": persauthtest.OtherTenant, "contradictory": persauthtest.Contradictory,
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(1000*time.Hour))
			token := d.token(year)
			d.accepts(token)
			d.pers.Revoke(token)
			time.Sleep(time.Minute)
			d.refuses(token, persauth.ErrRevoked)
			d.pers.Fault(persauthtest.EndpointVerify, fault)
			before := d.asked()
			for range 2 * 60 {
				time.Sleep(time.Second)
				d.refuses(token, persauth.ErrRevoked)
			}
			assert.LessOrEqual(t, d.asked()-before, 8) // four times, and once more where a connection fails
			claims, err := d.v.VerifyLive(t.Context(), token)
			fails(t, claims, err, persauth.ErrUnavailable)
		})
	}
}

// What Revoke says is for good, and PERS is not asked about it.
func TestRevokedHereForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour), func(cfg *persauth.Config) { cfg.CacheTokens = 1 })
		token := d.iss.Token(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
		d.accepts(token)
		require.NoError(t, d.v.Revoke(persauth.Revocation{Token: token}))
		for range 20 {
			d.accepts(d.token(time.Hour))
		}
		asked := d.asked()
		for _, fault := range []persauthtest.Fault{persauthtest.LyingValid, persauthtest.Down, persauthtest.Status(500), persauthtest.OtherTenant} {
			d.pers.Fault(persauthtest.EndpointVerify, fault)
			d.refusesEverywhere(token, persauth.ErrRevoked)
			time.Sleep(10 * time.Minute)
		}
		require.Equal(t, asked, d.asked())
		assert.Equal(t, 1, d.v.Status().DenyListed)
		time.Sleep(20*time.Minute + 30*time.Second - time.Microsecond)
		d.refusesEverywhere(token, persauth.ErrRevoked)
		time.Sleep(time.Microsecond)
		d.refusesEverywhere(token, persauth.ErrExpired)
	})
}

// Anyone can write a second good ECDSA signature over a token, (r, n-s). What PERS
// says of the one counts for the other, also where that was accepted before.
func TestRefusalCountsForBothSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t) // ES256
		pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
		d := &desk{t, iss, pers, pers.Verifier(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(time.Hour) })}
		token := d.token(year)
		twin := secondSignature(t, token)
		d.accepts(token)
		d.accepts(twin)
		require.Equal(t, 2, d.asked())
		d.pers.Revoke(token)
		claims, err := d.v.VerifyLive(t.Context(), token)
		fails(t, claims, err, persauth.ErrRevoked)
		d.refuses(twin, persauth.ErrRevoked)
		d.refuses(token, persauth.ErrRevoked)
		require.Equal(t, 3, d.asked())
	})
}

// A forged signature over somebody's claims must not speak for their token.
func TestRefusalOfAForgedTokenIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationAuto(), withHS256)
		for _, token := range []string{d.iss.UnpublishedToken(map[string]any{}), d.iss.SymmetricToken(map[string]any{"sub": somebody()})} {
			h, p, signature := segmentsOf(t, token)
			forged := h + "." + p + "." + strings.Repeat("A", len(signature))
			d.refuses(forged, persauth.ErrRejected)
			d.accepts(token)
			d.refuses(forged, persauth.ErrRejected)
		}
	})
}

// A token that is in time only by the leeway may be refused for the clock of PERS
// alone. That is forgotten after seconds.
func TestRefusedForTheClockOfPERS(t *testing.T) {
	for _, claim := range []string{"iat", "nbf"} {
		inBubble(t, claim, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationAlways())
			young := d.iss.Token(map[string]any{claim: time.Now().Add(20 * time.Second).Unix()})
			d.pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1))
			for range 3 {
				d.refuses(young, persauth.ErrNotYetValid)
			}
			require.Equal(t, 1, d.asked())
			time.Sleep(5 * time.Second)
			d.accepts(young)
		})
	}
}

func withHS256(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} }
