package persauth_test

// Strangers without number, and callers who notice nothing of them.

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strangers make tokens up: every other one is well signed, by their own key, and
// each names a key of its own.
type strangers struct {
	key    *persauthtest.Key
	random *rand.Rand
}

func newStrangers(t testing.TB, n uint64) *strangers {
	key, err := persauthtest.NewKey("", "EdDSA", "strangers")
	require.NoError(t, err)
	return &strangers{key, rand.New(rand.NewPCG(n, 1))}
}

func (s *strangers) token(i int, until time.Time) string {
	header := fmt.Appendf(nil, `{"alg":"EdDSA","typ":"JWT","kid":"%x"}`, s.random.Uint64())
	payload := fmt.Appendf(nil, `{"sub":"%x","tenantId":"acme","jti":"%x","exp":%d}`, s.random.Uint64(), s.random.Uint64(), until.Unix())
	if i%2 == 0 {
		return s.key.Sign(header, payload)
	}
	var garbage [64]byte
	for i := range garbage {
		garbage[i] = byte(s.random.Uint32())
	}
	return b64(header) + "." + b64(payload) + "." + b64(garbage[:])
}

// flood is an hour of a service under attack.
type flood struct {
	lab
	v      *persauth.Verifier
	begin  time.Time
	end    time.Time
	tokens []string // of those who call all the time

	rotatedAt time.Time
	pickedUp  time.Time // when a token under the new key was verified here
	early     int       // newcomers who came between

	accepted atomic.Int64 // different tokens, at most
}

const (
	floodTime    = time.Hour
	floodLatency = 50 * time.Millisecond // of PERS
	floodMaxAge  = time.Minute           // of verdicts
)

func TestFlood(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		f := &flood{lab: pers, begin: time.Now(), end: time.Now().Add(floodTime)}
		pers.Fault(persauthtest.EndpointAll, persauthtest.Slow(floodLatency))
		f.v = pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(floodMaxAge) })
		for range 40 {
			f.tokens = append(f.tokens, f.newToken())
			accepts(t, f.v, f.tokens[len(f.tokens)-1])
		}
		f.accepted.Add(int64(len(f.tokens)))
		quiet := runtime.NumGoroutine()

		var all sync.WaitGroup
		const crowds = 8
		for n := range crowds {
			all.Go(func() { f.crowd(uint64(n), floodTokens/crowds) })
		}
		all.Go(f.regulars)
		all.Go(f.newcomers)
		all.Go(f.revocation)
		for time.Now().Before(f.end) {
			time.Sleep(time.Minute)
			status := f.v.Status()
			assert.LessOrEqual(t, status.NegativeCache, 30+1800)
			assert.LessOrEqual(t, int64(status.CachedTokens), f.accepted.Load(), "nothing is remembered of strangers")
			assert.Less(t, runtime.NumGoroutine(), quiet+100)
			assert.Equal(t, "closed", status.Remote.UnknownKey.Breaker)
		}
		all.Wait()
		synctest.Wait()
		f.checkCalls()
	})
}

// newToken is good for longer than the flood.
func (f *flood) newToken() string {
	return f.iss.Token(map[string]any{"sub": somebody(), "exp": time.Now().Add(3 * floodTime).Unix()})
}

// crowd sends strangers' tokens, evenly over the time.
func (f *flood) crowd(n uint64, tokens int) {
	from := newStrangers(f.t, n)
	for i := range tokens {
		claims, err := f.v.Verify(f.t.Context(), from.token(i, f.end.Add(time.Hour)))
		if code := persauth.Code(err); claims != nil || code != "rejected" && code != "unavailable" {
			f.t.Errorf("a stranger is answered %v", err)
			return
		}
		time.Sleep(time.Until(f.begin.Add(floodTime * time.Duration(i+1) / time.Duration(tokens))))
	}
}

// regulars come all the time, and never wait: their verdicts are renewed before
// they are too old.
func (f *flood) regulars() {
	for time.Now().Before(f.end) {
		now := time.Now()
		for i, token := range f.tokens {
			claims, err := f.v.Verify(f.t.Context(), token)
			if err != nil || claims.Verification().InGrace ||
				now.Sub(claims.Verification().CheckedAt) >= floodMaxAge || !time.Now().Equal(now) {
				f.t.Errorf("regular %d after %v: %v, %v, waited %v", i, now.Sub(f.begin), err, claims, time.Since(now))
				return
			}
		}
		time.Sleep(2 * time.Second)
	}
}

// newcomers bring new tokens, each of which costs one question. In the middle of
// it all the key is rotated; until that is noticed, who comes may have to come
// again.
func (f *flood) newcomers() {
	for time.Now().Before(f.end) {
		if f.rotatedAt.IsZero() && time.Since(f.begin) > floodTime/2 {
			f.iss.Rotate()
			f.rotatedAt = time.Now()
		}
		begin := time.Now()
		f.accepted.Add(1)
		claims, err := f.v.Verify(f.t.Context(), f.newToken())
		switch {
		case err == nil:
			if !f.rotatedAt.IsZero() && f.pickedUp.IsZero() && claims.Verification().Method == persauth.VerifiedLocally {
				f.pickedUp = time.Now()
			}
		case f.rotatedAt.IsZero() || !f.pickedUp.IsZero():
			f.t.Errorf("a newcomer is refused after %v: %v", time.Since(f.begin), err)
			return
		default:
			f.early++
			assert.ErrorIs(f.t, err, persauth.ErrUnavailable)
		}
		assert.LessOrEqual(f.t, time.Since(begin), 3*floodLatency) // two refreshes, one question
		time.Sleep(time.Second)
	}
	assert.LessOrEqual(f.t, f.pickedUp.Sub(f.rotatedAt), interval+time.Second+3*floodLatency)
}

// revocation takes one caller's token away, who does not stop to come.
func (f *flood) revocation() {
	token, revokedAt := f.newToken(), time.Time{}
	f.accepted.Add(1)
	for time.Now().Before(f.end) {
		if revokedAt.IsZero() && time.Since(f.begin) > floodTime/3 {
			f.Revoke(token)
			revokedAt = time.Now()
		}
		_, err := f.v.Verify(f.t.Context(), token)
		switch {
		case revokedAt.IsZero():
			assert.NoError(f.t, err)
		case err != nil || time.Since(revokedAt) > floodMaxAge:
			assert.ErrorIs(f.t, err, persauth.ErrRevoked)
		}
		time.Sleep(time.Second)
	}
}

// checkCalls counts what PERS was asked in all.
func (f *flood) checkCalls() {
	t := f.t
	var fetches []time.Time
	for _, r := range f.Requests(persauthtest.EndpointKeys) {
		if r.NoCache {
			fetches = append(fetches, r.At)
		}
	}
	for i := 1; i < len(fetches); i++ {
		require.GreaterOrEqual(t, fetches[i].Sub(fetches[i-1]), interval)
	}
	// The first was that of warm; none came for its age, as all are newer.
	assert.Equal(t, 1+len(fetches), f.Count(persauthtest.EndpointKeys))
	assert.InDelta(t, floodTime/interval, len(fetches), 2)

	status := f.v.Status()
	unknown, revocation := status.Remote.UnknownKey.Calls, status.Remote.Revocation.Calls
	assert.Equal(t, f.asked(), int(unknown.Asked+revocation.Asked))
	assert.InDelta(t, 30+1800, unknown.Asked, 2)
	assert.LessOrEqual(t, revocation.Asked, uint64(120+7200))
	assert.Zero(t, revocation.Withheld)
	assert.Zero(t, revocation.Failures+revocation.Mismatches)
	assert.GreaterOrEqual(t, revocation.Asked, uint64(len(f.tokens))*uint64(floodTime/floodMaxAge), "due checks were made")
	assert.Zero(t, status.DenyListed)
	refused := status.Counters.Refused
	assert.EqualValues(t, floodTokens+f.early, refused["rejected"]+refused["unavailable"])
	t.Logf("%d fetches, %d calls, %d withheld", len(fetches), f.asked(), unknown.Withheld)
}

// Where PERS is asked about all of them, what it did not accept is remembered
// within a bound.
func TestMemoryOfRejectedTokensIsBounded(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 1e9 },
			verifyBy(pers.Server, func(r *http.Request) (*http.Response, error) {
				return responding(200, http.Header{}, `{"valid":false}`)(r)
			}))
		from := newStrangers(t, 99)
		most := 0
		for i := range 20_000 {
			_, err := v.Verify(t.Context(), from.token(1, time.Now().Add(time.Hour)))
			require.ErrorIs(t, err, persauth.ErrRejected)
			if i%500 == 0 {
				most = max(most, v.Status().NegativeCache)
			}
		}
		assert.Greater(t, most, 4096)
		assert.Less(t, most, 3*4096)
		status, err := json.Marshal(v.Status())
		require.NoError(t, err)
		assert.Less(t, len(status), 4096)
	})
}
