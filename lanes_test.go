package persauth_test

// Who asks PERS about tokens keeps to a lane, and each lane has its breaker.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lab is an issuer, a fake PERS without a socket, and what a test often asks.
type lab struct {
	*persauthtest.Server
	t   *testing.T
	iss *persauthtest.Issuer
}

func newLab(t *testing.T) lab {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	return lab{persauthtest.NewServer(t, iss, persauthtest.InMemory()), t, iss}
}

// inLab runs a test in virtual time, with a fake PERS.
func inLab(t *testing.T, test func(t *testing.T, pers lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newLab(t)) })
}

// asked counts the questions about tokens so far.
func (p lab) asked() int { return p.Count(persauthtest.EndpointVerify) }

// stranger is a new token under a key that is not published, which PERS takes.
func (p lab) stranger() string { return p.iss.UnpublishedToken(map[string]any{"sub": somebody()}) }

// yearly is a new token under a known key, about which PERS is asked every 5 min.
func (p lab) yearly() string {
	return p.iss.Token(map[string]any{"sub": somebody(), "exp": p.iss.Clock().Now().Add(year).Unix()})
}

var people atomic.Int64

// somebody is another subject each time: each has a share of the calls of PERS.
func somebody() string { return fmt.Sprint("somebody-", people.Add(1)) }

// warm is a verifier that holds the published keys.
func (p lab) warm(changes ...func(*persauth.Config)) *persauth.Verifier {
	v := p.Verifier(changes...)
	require.NoError(p.t, v.Warm(p.t.Context()))
	return v
}

// accepts and refuses verify a token.
func accepts(t *testing.T, v *persauth.Verifier, token string) *persauth.Claims {
	t.Helper()
	claims, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	return claims
}

func refuses(t *testing.T, v *persauth.Verifier, token string, want error) *persauth.Error {
	t.Helper()
	claims, err := v.Verify(t.Context(), token)
	require.ErrorIs(t, err, want)
	require.Nil(t, claims)
	var detail *persauth.Error
	require.True(t, errors.As(err, &detail))
	return detail
}

// responding answers every request in the same way.
func responding(status int, header http.Header, body string) reply {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func TestBreakerOpensAndRecovers(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		breaker := func() string { return v.Status().Remote.UnknownKey.Breaker }
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(503))
		for i := range 8 {
			refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
			assert.Equal(t, min(i+1, 5), pers.asked())
		}
		assert.Equal(t, "open", breaker())
		assert.NotZero(t, refuses(t, v, pers.stranger(), persauth.ErrUnavailable).RetryAfter)

		// One question tries again, and finds PERS still down.
		time.Sleep(10*time.Second + time.Millisecond)
		assert.Equal(t, "half-open", breaker())
		for range 3 {
			refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
			assert.Equal(t, 6, pers.asked())
		}
		assert.Equal(t, "open", breaker())
		assert.False(t, v.Status().Remote.UnknownKey.Answering)

		pers.Heal()
		time.Sleep(10*time.Second + time.Millisecond)
		for range 3 {
			accepts(t, v, pers.stranger())
		}
		assert.Equal(t, 9, pers.asked())
		assert.Equal(t, "closed", breaker())
		status := v.Status().Remote.UnknownKey
		assert.True(t, status.Answering)
		assert.Empty(t, status.LastError)
		assert.Equal(t, uint64(6), status.Calls.Failures)
	})
}

// What strangers bring about on their lane leaves known callers alone, and the
// other way round.
func TestLanesAreApart(t *testing.T) {
	for name, c := range map[string]struct{ ruins, other func(lab) string }{
		"unknown keys ruin theirs": {lab.stranger, lab.yearly},
		"revocation ruins its own": {lab.yearly, lab.stranger},
	} {
		t.Run(name+": breaker", func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm()
				pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500).Times(5))
				for range 6 {
					refuses(t, v, c.ruins(pers), persauth.ErrUnavailable)
				}
				require.Equal(t, 5, pers.asked())
				accepts(t, v, c.other(pers))
			})
		})
		t.Run(name+": budget", func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour, cfg.RevocationCallsPerHour = 180, 180 })
				for range 3 {
					accepts(t, v, c.ruins(pers))
				}
				assert.NotZero(t, refuses(t, v, c.ruins(pers), persauth.ErrUnavailable).RetryAfter)
				require.Equal(t, 3, pers.asked())
				accepts(t, v, c.other(pers))
			})
		})
	}
}

// An odd token may be answered with any 4xx, with a Retry-After even.
func TestStrangersCannotOpenTheBreaker(t *testing.T) {
	for _, status := range []int{400, 404, 413, 422} {
		inLab(t, func(t *testing.T, pers lab) {
			asked, header := 0, http.Header{"Retry-After": {"300"}}
			v := pers.warm(verifyBy(pers.Server, func(r *http.Request) (*http.Response, error) {
				if asked++; asked <= 10 {
					return responding(status, header, `{"message":"Bad token"}`)(r)
				}
				return pers.Client().Transport.RoundTrip(r)
			}))
			for range 10 {
				refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
			}
			assert.Equal(t, "closed", v.Status().Remote.UnknownKey.Breaker)
			accepts(t, v, pers.stranger())
			accepts(t, v, pers.yearly())
		})
	}
}

// A 401 or 403 may be about the token alone: PERS may answer so about one that it
// has revoked. It counts against the project key when several subjects get it with
// no answer between.
func TestRefusedTokenIsNotARefusedProjectKey(t *testing.T) {
	for _, status := range []int{401, 403} {
		for name, token := range map[string]func(lab) func() string{
			"known key": func(pers lab) func() string {
				revoked := pers.yearly()
				return func() string { return revoked }
			},
			"known key, many tokens": func(pers lab) func() string { // of one caller
				sub := somebody()
				return func() string {
					return pers.iss.Token(map[string]any{"sub": sub, "exp": pers.iss.Clock().Now().Add(year).Unix()})
				}
			},
			"unknown key": func(pers lab) func() string {
				revoked := pers.stranger()
				return func() string { return revoked }
			},
		} {
			inBubble(t, fmt.Sprint(status, " ", name), func(t *testing.T) {
				pers := newLab(t)
				v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(time.Minute) })
				accepts(t, v, pers.yearly())
				next := token(pers)
				pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(status).Times(20))
				for range 12 {
					refuses(t, v, next(), persauth.ErrUnavailable)
					time.Sleep(time.Second)
				}
				if !strings.Contains(name, "many") {
					assert.Equal(t, 1+3, pers.asked(), "it is remembered for some seconds")
				}
				pers.Heal()
				assert.Equal(t, "closed", v.Status().Remote.Revocation.Breaker)
				assert.Equal(t, "closed", v.Status().Remote.UnknownKey.Breaker)
				for range 5 {
					accepts(t, v, pers.yearly())
				}
				accepts(t, v, pers.stranger())
			})
		}
	}
}

// … and then no answer about any token is to be had.
func TestBreakerOpensOnARefusedProjectKey(t *testing.T) {
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		where persauthtest.Endpoint
		asked int
	}{
		"401":                    {persauthtest.Status(401), persauthtest.EndpointVerify, 2 + 5},
		"403":                    {persauthtest.Status(403), persauthtest.EndpointVerify, 2 + 5},
		"401, also for the keys": {persauthtest.Status(401), persauthtest.EndpointAll, 5},
		"429":                    {persauthtest.TooManyRequests(0), persauthtest.EndpointVerify, 5},
		"500":                    {persauthtest.Status(500), persauthtest.EndpointVerify, 5},
		"500, also for the keys": {persauthtest.Status(500), persauthtest.EndpointAll, 5},
		"a redirect":             {persauthtest.RedirectTo("/"), persauthtest.EndpointVerify, 5},
	} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyInterval = time.Second })
			assert.False(t, v.Status().Remote.UnknownKey.Answering, "PERS was not asked yet")
			accepts(t, v, pers.stranger())
			assert.True(t, v.Status().Remote.UnknownKey.Answering)
			time.Sleep(time.Minute)
			before := pers.asked()
			pers.Fault(c.where, c.fault)
			for range 9 {
				refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
			}
			assert.Equal(t, c.asked, pers.asked()-before)
			assert.Equal(t, "open", v.Status().Remote.UnknownKey.Breaker)
			assert.False(t, v.Status().Remote.UnknownKey.Answering)
		})
	}
}

// Refused tokens with a good one between are not a refused project key.
func TestRefusedTokensAmongGoodOnes(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		asked := 0
		v := pers.warm(verifyBy(pers.Server, func(r *http.Request) (*http.Response, error) {
			if asked++; asked%3 != 0 {
				return responding(401, http.Header{}, "")(r)
			}
			return pers.Client().Transport.RoundTrip(r)
		}))
		for i := range 30 {
			if i%3 == 2 {
				accepts(t, v, pers.yearly())
			} else {
				refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
			}
			assert.True(t, v.Status().Remote.Revocation.Answering)
		}
		assert.Equal(t, 30, asked)
		assert.Equal(t, "closed", v.Status().Remote.Revocation.Breaker)
	})
}

// A log may call whatever it likes, and take its time.
func TestLogOfTheBreaker(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		var text bytes.Buffer
		log := &curiousLog{Handler: slog.NewTextHandler(&text, nil)}
		v := pers.warm(func(cfg *persauth.Config) { cfg.Logger = slog.New(log) })
		synctest.Wait() // the log has heard of the keys
		log.look = func() { v.Status() }
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500).Times(5))
		for range 7 {
			refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		}
		time.Sleep(11 * time.Second)
		accepts(t, v, pers.stranger())
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		var told []string
		for _, line := range lines {
			if _, breaker, ok := strings.Cut(line, "breaker="); ok {
				told = append(told, breaker)
			}
		}
		assert.Equal(t, []string{"open before=closed", "closed before=open"}, told)
	})
}

// curiousLog looks at the verifier for each record.
type curiousLog struct {
	slog.Handler
	look func()
}

func (l *curiousLog) Handle(ctx context.Context, r slog.Record) error {
	if l.look != nil {
		l.look()
	}
	return l.Handler.Handle(ctx, r)
}

// verifyBy sends the questions about tokens elsewhere, and all else to the server.
func verifyBy(server *persauthtest.Server, elsewhere reply) func(*persauth.Config) {
	return func(cfg *persauth.Config) {
		cfg.HTTPClient = clientOf(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return elsewhere(r)
			}
			return server.Client().Transport.RoundTrip(r)
		})
	}
}

// A token that PERS has no answer for is not asked about with every request, so
// that it cannot use up the calls of others.
func TestOddTokenIsNotAskedAgainAtOnce(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		token := pers.yearly()
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(422))
		for range 20 {
			refuses(t, v, token, persauth.ErrUnavailable)
		}
		assert.Equal(t, 1, pers.asked())
		assert.Equal(t, "closed", v.Status().Remote.Revocation.Breaker)

		pers.Heal()
		time.Sleep(5 * time.Second)
		accepts(t, v, token)
		assert.Equal(t, 2, pers.asked())
	})
}
