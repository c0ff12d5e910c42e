package persauth_test

// A proof is good once (RFC 9449 §11.1), and for one nonce (§8, §9).

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProofPresentedByMany(t *testing.T) {
	b := newBound(t, "EdDSA")
	for range 20 {
		proof := b.proof()
		var taken, replayed atomic.Int32
		var wait sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			wait.Go(func() {
				<-start
				switch err := b.send(proof); {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, persauth.ErrReplay):
					replayed.Add(1)
				}
			})
		}
		close(start)
		wait.Wait()
		require.EqualValues(t, 1, taken.Load())
		require.EqualValues(t, 63, replayed.Load())
	}
}

// The id alone decides, whatever else the proof says; and each key has ids of its own.
func TestProofIDs(t *testing.T) {
	b := newBound(t, "ES256")
	id := persauthtest.ProofClaim("jti", "one")
	require.NoError(t, b.send(b.proof(id)))
	require.ErrorIs(t, b.send(b.proof(id)), persauth.ErrReplay, "signed anew")
	require.ErrorIs(t, b.send(b.proof(id, persauthtest.ProofClaim("iat", b.iss.Clock().Now().Unix()+20))), persauth.ErrReplay, "of another time")
	require.NoError(t, b.send(b.proof(persauthtest.ProofClaim("jti", "two"))))

	b.client = b.iss.DPoPClient("ES256")
	b.token = b.iss.BoundToken(b.client, map[string]any{})
	require.NoError(t, b.send(b.proof(id)), "another client")
}

// A proof stays used for as long as it could be used: second by second, for one
// dated as far ahead as may be, and for one that is nearly too old.
func TestProofStaysUsed(t *testing.T) {
	for _, maxAge := range []time.Duration{time.Second, time.Minute, 10 * time.Minute} {
		for _, dated := range []time.Duration{30 * time.Second, 0, time.Second - maxAge} {
			b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxAge = maxAge })
			now := b.iss.Clock().Now()
			issued := now.Add(dated)
			proof := b.proof(persauthtest.ProofClaim("iat", issued.Unix()))
			require.NoError(t, b.send(proof))
			used := 0
			for b.iss.Clock().Now().Before(issued.Add(maxAge + time.Minute)) {
				err := b.send(proof)
				require.Error(t, err, "used again at %v", b.iss.Clock().Now().Sub(issued))
				if errors.Is(err, persauth.ErrReplay) {
					used++
				}
				_ = b.send(b.proof()) // so that something is forgotten
				b.iss.Clock().Advance(time.Second)
			}
			assert.InDelta(t, issued.Add(maxAge).Sub(now).Seconds(), used, 1)
		}
	}
}

// as lets the client act for another account, with a token of its own.
func (b *bound) as(claims map[string]any) *bound {
	other := *b
	claims["tenantId"] = cmp.Or(claims["tenantId"], any("acme"))
	other.token = b.iss.BoundToken(b.client, claims)
	return &other
}

// A flood stays within the bound: later proofs are refused, and none is forgotten
// for them. When time has passed there is room again.
func TestReplayBound(t *testing.T) {
	b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxReplays = 8 })
	var proofs []func() error
	for i := range 8 {
		b := b.as(map[string]any{"sub": strconv.Itoa(i)})
		proof := b.proof()
		proofs = append(proofs, func() error { return b.send(proof) })
		require.NoError(t, b.send(proof))
	}
	late := b.proof()
	for range 100 {
		require.ErrorIs(t, b.send(b.proof()), persauth.ErrUnavailable)
		require.ErrorIs(t, b.send(late), persauth.ErrUnavailable)
	}
	for _, send := range proofs {
		require.ErrorIs(t, send(), persauth.ErrReplay)
	}
	// A proof that is not good does not even get there.
	require.ErrorIs(t, b.send(b.proof(persauthtest.ProofClaim("htm", "PUT"))), persauth.ErrProof)

	b.iss.Clock().Advance(2 * time.Minute)
	for i := range 8 {
		b := b.as(map[string]any{"sub": strconv.Itoa(i)})
		require.NoError(t, b.send(b.proof()))
	}
	require.ErrorIs(t, b.send(b.proof()), persauth.ErrUnavailable)
	require.ErrorIs(t, b.send(late), persauth.ErrProof, "too old by now")
}

// One account has a sixteenth of the memory, however many tokens and keys it has.
// It is refused beyond that, and nobody else is.
func TestReplayBoundOfOneSubject(t *testing.T) {
	const share = 4
	for name, c := range map[string]struct {
		flooder func(b *bound, i int) *bound
		others  []map[string]any
	}{
		"one token": {
			func(b *bound, _ int) *bound { return b },
			[]map[string]any{{"sub": "another"}, {"tenantId": "umbrella"}, {"tenantId": "acmes", "sub": "omebody"}},
		},
		"many tokens": {
			func(b *bound, _ int) *bound { return b.as(map[string]any{}) },
			[]map[string]any{{"sub": "another"}},
		},
		"many keys": {
			func(b *bound, _ int) *bound {
				other := *b
				other.client = b.iss.DPoPClient("EdDSA")
				return other.as(map[string]any{})
			},
			[]map[string]any{{"sub": "another"}},
		},
		"no subject": {
			func(b *bound, _ int) *bound { return b.as(map[string]any{"sub": nil}) },
			[]map[string]any{{}, {"sub": "another"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxReplays = 16 * share })
			for i := range share {
				b := c.flooder(b, i)
				require.NoError(t, b.send(b.proof()))
				b.iss.Clock().Advance(10 * time.Second) // its share counts over all spans
			}
			for i := range 3 * 16 * share {
				b := c.flooder(b, i)
				require.ErrorIs(t, b.send(b.proof()), persauth.ErrUnavailable)
			}
			for _, claims := range c.others {
				b := b.as(claims)
				for range share {
					require.NoError(t, b.send(b.proof()))
				}
				require.ErrorIs(t, b.send(b.proof()), persauth.ErrUnavailable)
			}
			b.iss.Clock().Advance(3 * time.Minute)
			b = c.flooder(b, 0)
			require.NoError(t, b.send(b.proof()), "the share comes back")
		})
	}
}

// Tokens without a subject are told apart by their keys: they must not share one
// part of the memory.
func TestReplayBoundWithoutSubjects(t *testing.T) {
	b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxReplays = 16 })
	for range 16 {
		b.client = b.iss.DPoPClient("EdDSA")
		b.token = b.iss.BoundToken(b.client, map[string]any{"sub": nil})
		require.NoError(t, b.send(b.proof()))
	}
}

// ageless are claims that hold whatever the clock says.
func ageless() map[string]any {
	return map[string]any{"iat": nil, "nbf": nil, "exp": int64(253402300799)}
}

// A clock that is set makes no used proof good again, keeps nobody out for long, and
// the memory of proofs is never full for longer than proofs live.
func TestReplaysWhenTheClockIsSet(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		steps []time.Duration
		lost  time.Duration // how long new proofs may be refused afterwards
	}{
		"90 s back, once it is forgotten": {[]time.Duration{110 * time.Second, -90 * time.Second}, 75 * time.Second},
		"90 s back at once":               {[]time.Duration{time.Second, -90 * time.Second, 80 * time.Second}, 0},
		"2 min back, in small steps":      {[]time.Duration{2 * time.Minute, -40 * time.Second, -40 * time.Second, -40 * time.Second}, 2 * time.Minute},
		"a day forward and back":          {[]time.Duration{day, -day}, 2 * time.Minute},
		"and again":                       {[]time.Duration{day, -day, time.Second, day, -day}, 2 * time.Minute},
		"a day back and forward":          {[]time.Duration{-day, day}, 2 * time.Minute},
		"a year forward and back":         {[]time.Duration{365 * day, -365 * day}, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxReplays = 160_000 }).as(ageless())
			clock := b.iss.Clock()
			start := clock.Now()
			var used []string
			for range 5 { // over several spans
				used = append(used, b.proof())
				require.NoError(t, b.send(used[len(used)-1]))
				clock.Advance(2 * time.Second)
			}
			for _, step := range c.steps {
				clock.Advance(step)
				_ = b.send(b.proof()) // so that something is forgotten
			}
			back := clock.Now()
			require.Less(t, back.Sub(start), 50*time.Second, "the proofs are fresh, by the clock")
			admitted := time.Duration(-1)
			for ; clock.Now().Sub(start) < 3*time.Minute; clock.Advance(time.Second) {
				for _, proof := range used {
					require.Error(t, b.send(proof), "good again %v after its use", clock.Now().Sub(start))
				}
				if err := b.send(b.proof()); err == nil && admitted < 0 {
					admitted = clock.Now().Sub(back)
				} else if err != nil {
					require.ErrorIs(t, err, persauth.ErrUnavailable)
				}
			}
			assert.GreaterOrEqual(t, admitted, time.Duration(0))
			assert.LessOrEqual(t, admitted, c.lost)
		})
	}
}

// A memory that was filled while the clock was wrong has room soon.
func TestReplaysFilledByAWrongClock(t *testing.T) {
	for _, wrong := range []time.Duration{24 * time.Hour, -24 * time.Hour, time.Hour} {
		b := newBound(t, "EdDSA", func(cfg *persauth.Config) { cfg.DPoP.MaxReplays = 16 })
		clock := b.iss.Clock()
		clock.Advance(wrong)
		b = b.as(ageless())
		for i := range 16 {
			claims := ageless()
			claims["sub"] = strconv.Itoa(i)
			b := b.as(claims)
			require.NoError(t, b.send(b.proof()))
		}
		require.ErrorIs(t, b.send(b.proof()), persauth.ErrUnavailable)
		clock.Advance(-wrong)
		_ = b.send(b.proof())
		clock.Advance(2*time.Minute + 15*time.Second)
		require.NoError(t, b.send(b.proof()), "set back by %v", wrong)
	}
}

// sharedStore is a store for several instances.
type sharedStore struct {
	mu     sync.Mutex
	seen   map[[32]byte]persauth.UsedProof
	err    error
	claims int
}

func (s *sharedStore) Claim(ctx context.Context, p persauth.UsedProof) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	if s.err != nil {
		return false, s.err
	}
	if _, used := s.seen[p.ID]; used {
		return false, ctx.Err()
	}
	if s.seen == nil {
		s.seen = map[[32]byte]persauth.UsedProof{}
	}
	s.seen[p.ID] = p
	return true, nil
}

func TestSharedReplayStore(t *testing.T) {
	store := new(sharedStore)
	shared := func(cfg *persauth.Config) { cfg.DPoP.Replays = store }
	one := newBound(t, "ES256", shared)
	two := *one
	two.v = one.iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" }, shared)

	proof := one.proof()
	require.NoError(t, one.send(proof))
	require.ErrorIs(t, two.send(proof), persauth.ErrReplay)
	require.NoError(t, two.send(two.proof()))
	require.Len(t, store.seen, 2)
	subjects := map[[32]byte]int{}
	for _, used := range store.seen {
		subjects[used.Subject]++
		// MaxAge and the leeway, for an instance whose clock is behind.
		assert.Equal(t, one.iss.Clock().Now().Add(90*time.Second).UTC(), used.Until.UTC())
	}
	assert.Equal(t, []int{2}, slices.Collect(maps.Values(subjects)), "both are of one subject")

	// What is wrong with a proof is seen before the store is asked.
	asked := store.claims
	require.ErrorIs(t, one.send(one.proof(persauthtest.ProofClaim("ath", "x"))), persauth.ErrProof)
	require.ErrorIs(t, one.send(rfcProof), persauth.ErrProof)
	assert.Equal(t, asked, store.claims)

	// A store that does not answer refuses, and does not burn the token.
	store.err = errors.New("connection refused")
	again := one.proof()
	err := one.send(again)
	require.ErrorIs(t, err, persauth.ErrUnavailable)
	require.ErrorIs(t, err, store.err)
	require.NotErrorIs(t, err, persauth.ErrProof)
	store.err = nil
	require.NoError(t, one.send(again))
}

// nonceOf sends a request with a proof and returns the answer and its nonce.
func (b *bound) nonceOf(changes ...persauthtest.ProofChange) (status int, nonce string) {
	r := newRequest(http.MethodGet, shopOrders)
	b.client.Authorize(r, b.token, changes...)
	answer := serveRequest(b.v.Middleware(callerOf), r)
	return answer.StatusCode, answer.Header.Get("DPoP-Nonce")
}

func TestNonces(t *testing.T) {
	secret := []byte("32 bytes that all instances share")
	asking := func(secret []byte) func(cfg *persauth.Config) {
		return func(cfg *persauth.Config) { cfg.DPoP.NonceSecret = secret }
	}
	b := newBound(t, "ES256", asking(secret))
	start := b.iss.Clock().Now().Truncate(5 * time.Minute)
	b.iss.Clock().Set(start)
	b.token = b.iss.BoundToken(b.client, map[string]any{})
	with := func(nonce string) persauthtest.ProofChange { return persauthtest.ProofClaim("nonce", nonce) }

	status, nonce := b.nonceOf()
	require.Equal(t, http.StatusUnauthorized, status)
	require.Regexp(t, `^[\x21\x23-\x5B\x5D-\x7E]+$`, nonce, "§8.1")

	status, renewed := b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, renewed, "it is good for a while")
	status, _ = b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusOK, status, "a nonce is not for one request only")

	for name, wrong := range map[string]string{"empty": "", "another": "x", "longer": nonce + "A", "shorter": nonce[1:]} {
		status, again := b.nonceOf(with(wrong))
		assert.Equal(t, http.StatusUnauthorized, status, name)
		assert.Equal(t, nonce, again, name)
	}

	b.iss.Clock().Set(start.Add(5*time.Minute - time.Second))
	status, renewed = b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, renewed)

	b.iss.Clock().Set(start.Add(5 * time.Minute))
	status, renewed = b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusOK, status, "an old one still counts")
	require.NotEmpty(t, renewed, "and its successor comes with the answer (§8.2)")
	assert.NotEqual(t, nonce, renewed)

	b.iss.Clock().Set(start.Add(10*time.Minute - time.Second))
	status, _ = b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusOK, status)
	b.iss.Clock().Set(start.Add(10 * time.Minute))
	status, _ = b.nonceOf(with(nonce))
	assert.Equal(t, http.StatusUnauthorized, status)
	status, _ = b.nonceOf(with(renewed))
	assert.Equal(t, http.StatusOK, status)

	// Another instance with the secret takes it, also one whose clock is behind;
	// one with another secret does not.
	other := *b
	for _, c := range []struct {
		name   string
		secret []byte
		at     time.Duration
		status int
	}{
		{"another instance", secret, 5 * time.Minute, http.StatusOK},
		{"one that is behind", secret, 5*time.Minute - 20*time.Second, http.StatusOK},
		{"one that is far behind", secret, -time.Second, http.StatusUnauthorized},
		{"another secret", []byte("32 other bytes, of another service"), 5 * time.Minute, http.StatusUnauthorized},
	} {
		b.iss.Clock().Set(start.Add(c.at))
		other.v = b.iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" }, asking(c.secret))
		other.token = b.iss.BoundToken(b.client, map[string]any{})
		status, _ := other.nonceOf(with(renewed))
		assert.Equal(t, c.status, status, c.name)
	}
}

// The challenge says that a nonce is wanted, and which; other refusals do not.
func TestNonceChallenge(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s, v := startService(t, iss, func(v *persauth.Verifier) http.Handler { return v.Middleware(callerOf) },
		func(cfg *persauth.Config) { cfg.DPoP.NonceSecret = make([]byte, 32) })
	client := iss.DPoPClient("EdDSA")
	token := iss.BoundToken(client, map[string]any{"tenantId": "acme"})

	r := get(t, s.URL+"/orders")
	client.Authorize(r, token)
	refused := ask(t, r)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
	assert.Equal(t, "use_dpop_nonce", refused.challenges["DPoP"]["error"])
	assert.NotContains(t, refused.challenges["Bearer"], "error")
	require.Len(t, refused.Header.Values("DPoP-Nonce"), 1)
	assert.Equal(t, "no-store", refused.Header.Get("Cache-Control"))

	nonce := persauthtest.ProofClaim("nonce", refused.Header.Get("DPoP-Nonce"))
	client.Authorize(r, token, nonce, persauthtest.ProofClaim("htm", "PUT"))
	refused = ask(t, r)
	assert.Equal(t, "invalid_dpop_proof", refused.challenges["DPoP"]["error"])
	assert.Empty(t, refused.Header.Get("DPoP-Nonce"))

	client.Authorize(r, token, nonce)
	taken := ask(t, r)
	assert.Equal(t, http.StatusOK, taken.StatusCode)
	assert.Equal(t, "acme", taken.Header.Get("Caller"))
	assert.Empty(t, taken.Header.Get("Cache-Control"), "the handler's own affair")
	assert.Equal(t, map[string]uint64{"proof": 2}, v.Status().Counters.Refused)

	bearer := ask(t, get(t, s.URL, "Authorization", "Bearer "+iss.UserToken("acme")))
	assert.Equal(t, http.StatusOK, bearer.StatusCode, "a nonce is for proofs")
	assert.Empty(t, bearer.Header.Get("DPoP-Nonce"))
}
