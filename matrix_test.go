package persauth_test

// What comes of a token when the last word of PERS on it is too old: every
// combination of where its key is, how PERS fares, what the policy is, and how
// much grace there is. The table is the specification.

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ok: accepted. grace: accepted by grace. 503: ErrUnavailable. lie: the answer is
// not believed, ErrRemoteMismatch and ErrUnavailable. A word ends with "!" where
// PERS was asked for this call.
const matrix = `
key      policy  grace   | up   slow  down    429     lying
known    off     none    | ok   ok    ok      ok      ok
known    off     left    | ok   ok    ok      ok      ok
known    off     used    | ok   ok    ok      ok      ok
known    auto    none    | ok!  ok!   503!    503!    lie!
known    auto    left    | ok!  ok!   grace!  grace!  grace!
known    auto    used    | ok!  ok!   503!    503!    lie!
known    every   none    | ok!  ok!   503!    503!    lie!
known    every   left    | ok!  ok!   grace!  grace!  grace!
known    every   used    | ok!  ok!   503!    503!    lie!
known    always  none    | ok!  ok!   503!    503!    lie!
known    always  left    | ok!  ok!   grace!  grace!  grace!
known    always  used    | ok!  ok!   503!    503!    lie!
unknown  off     none    | ok!  ok!   503!    503!    lie!
unknown  off     left    | ok!  ok!   503!    503!    lie!
unknown  off     used    | ok!  ok!   503!    503!    lie!
unknown  auto    none    | ok!  ok!   503!    503!    lie!
unknown  auto    left    | ok!  ok!   503!    503!    lie!
unknown  auto    used    | ok!  ok!   503!    503!    lie!
unknown  every   none    | ok!  ok!   503!    503!    lie!
unknown  every   left    | ok!  ok!   503!    503!    lie!
unknown  every   used    | ok!  ok!   503!    503!    lie!
unknown  always  none    | ok!  ok!   503!    503!    lie!
unknown  always  left    | ok!  ok!   503!    503!    lie!
unknown  always  used    | ok!  ok!   503!    503!    lie!
`

func TestMatrix(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(matrix), "\n")
	columns := strings.Fields(strings.ReplaceAll(lines[0], "|", " "))
	cells := 0
	for _, line := range lines[1:] {
		row := strings.Fields(strings.ReplaceAll(line, "|", " "))
		require.Len(t, row, len(columns))
		for i := 3; i < len(row); i++ {
			cells++
			t.Run(strings.Join(append(row[:3:3], columns[i]), " "), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					assert.Equal(t, row[i], outcome(t, row[0], row[1], row[2], columns[i]))
				})
			})
		}
	}
	assert.Equal(t, 2*4*3*5, cells)
}

// outcome plays one cell: PERS vouches for a token, then fares as told, then the
// verdict gets too old, then the token comes again.
func outcome(t *testing.T, key, policy, grace, fares string) string {
	const someGrace = 10 * time.Minute
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	server := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	revocation := map[string]persauth.RevocationPolicy{
		"off": persauth.RevocationOff(), "auto": persauth.RevocationAuto(),
		"every": persauth.RevocationEvery(time.Minute), "always": persauth.RevocationAlways(),
	}[policy]
	// How long PERS' word is good: under an unknown key never more than 5 min.
	good := map[string]time.Duration{"off": 5 * time.Minute, "auto": 5 * time.Minute, "every": time.Minute, "always": 0}[policy]
	wait := map[string]time.Duration{"none": time.Second, "left": someGrace / 2, "used": someGrace + time.Second}[grace]
	if grace != "none" {
		revocation = revocation.WithGrace(someGrace)
	}
	v := server.Verifier(func(cfg *persauth.Config) { cfg.Revocation = revocation })

	yearLong := map[string]any{"exp": time.Now().AddDate(1, 0, 0).Unix()}
	token := iss.Token(yearLong)
	if key == "unknown" {
		token = iss.UnpublishedToken(yearLong)
	}
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, key == "unknown" || policy != "off", !first.Verification().CheckedAt.IsZero())

	switch fares {
	case "slow":
		server.Fault(persauthtest.EndpointAll, persauthtest.Slow(2*time.Second))
	case "down":
		server.Fault(persauthtest.EndpointAll, persauthtest.Down)
	case "429":
		server.Fault(persauthtest.EndpointAll, persauthtest.TooManyRequests(time.Minute))
	case "lying":
		server.Fault(persauthtest.EndpointVerify, persauthtest.OtherTenant)
	}
	time.Sleep(good + wait)
	asked := server.Count(persauthtest.EndpointVerify)
	claims, err := v.Verify(t.Context(), token)
	synctest.Wait()

	result := "ok"
	switch {
	case errors.Is(err, persauth.ErrRemoteMismatch):
		assert.ErrorIs(t, err, persauth.ErrUnavailable)
		result = "lie"
	case err != nil:
		assert.ErrorIs(t, err, persauth.ErrUnavailable)
		result = "503"
	case claims.Verification().InGrace:
		result = "grace"
	}
	assert.Equal(t, err != nil, claims == nil)
	assert.NotErrorIs(t, err, persauth.ErrRevoked)
	if server.Count(persauthtest.EndpointVerify) > asked {
		result += "!"
	}
	return result
}
