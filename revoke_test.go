package persauth_test

// Revoke: from the next call on, on every way that a token can take.

import (
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (d *desk) revoke(r persauth.Revocation) {
	d.t.Helper()
	require.NoError(d.t, d.v.Revoke(r))
}

// Nobody is asked about a token that this service has revoked, and nothing that
// could speak for it is heard.
func TestRevoke(t *testing.T) {
	const id = "the-id"
	for _, kind := range []string{"known", "unpublished", "symmetric"} {
		for _, seen := range []string{"remembered", "due", "in grace", "cold", "PERS down", "no keys"} {
			for _, by := range []string{"token", "id"} {
				inBubble(t, strings.Join([]string{kind, seen, "by", by}, " "), func(t *testing.T) {
					d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour),
						func(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} })
					claims := map[string]any{"jti": id, "exp": time.Now().Add(24 * time.Hour).Unix()}
					token := map[string]func(any) string{"known": d.iss.Token, "unpublished": d.iss.UnpublishedToken, "symmetric": d.iss.SymmetricToken}[kind](claims)
					if seen != "no keys" {
						d.accepts(d.token(0))
					}
					switch seen {
					case "remembered":
						d.accepts(token)
					case "due":
						d.accepts(token)
						time.Sleep(time.Minute)
					case "in grace":
						d.accepts(token)
						d.pers.Fault(persauthtest.EndpointAll, persauthtest.Down)
						time.Sleep(2 * time.Minute)
						if kind == "known" {
							require.True(t, d.accepts(token).Verification().InGrace)
						}
					case "PERS down", "no keys":
						d.pers.Fault(persauthtest.EndpointAll, persauthtest.Down)
					}
					before := d.asked()
					if by == "id" {
						d.revoke(persauth.Revocation{ID: id})
					} else {
						d.revoke(persauth.Revocation{Token: token})
					}
					for range 2 {
						d.refusesEverywhere(token, persauth.ErrRevoked)
					}
					require.Equal(t, before, d.asked())
				})
			}
		}
	}
}

// A revocation is kept for as long as the token could be used, and the leeway is
// part of that.
func TestRevokeUntil(t *testing.T) {
	const leeway = 30 * time.Second
	for name, c := range map[string]struct {
		life, until, holds time.Duration
		byID               bool
		after              error // nil: accepted
	}{
		"an id, with an end":       {24 * time.Hour, time.Hour, time.Hour, true, nil},
		"a token, with an end":     {24 * time.Hour, time.Hour, time.Hour, false, nil},
		"an id, to its exp":        {time.Hour, time.Hour, time.Hour, true, persauth.ErrExpired},
		"a token, to its exp":      {time.Hour, time.Hour, time.Hour, false, persauth.ErrExpired},
		"a token, without an end":  {time.Hour, 0, time.Hour, false, persauth.ErrExpired},
		"an id, without an end":    {9000 * time.Hour, 0, 9000 * time.Hour, true, persauth.ErrExpired},
		"a very long token":        {20_000 * time.Hour, 0, 20_000 * time.Hour, false, persauth.ErrExpired},
		"an id, for 400 days":      {20_000 * time.Hour, 0, 9600 * time.Hour, true, nil},
		"longer than the token":    {time.Hour, 2 * time.Hour, time.Hour, false, persauth.ErrExpired},
		"an end that is past":      {time.Hour, -time.Hour, 0, false, nil},
		"an end that is long past": {time.Hour, -1e6 * time.Hour, 0, true, nil},
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationOff())
			token := d.iss.Token(map[string]any{"jti": "x", "exp": time.Now().Add(c.life).Unix()})
			d.accepts(token)
			r := persauth.Revocation{Token: token}
			if c.byID {
				r = persauth.Revocation{ID: "x"}
			}
			if c.until != 0 {
				r.Until = time.Now().Add(c.until)
			}
			d.revoke(r)
			if c.holds > 0 {
				d.refusesRevoked(token)
				time.Sleep(c.holds + leeway - time.Microsecond)
				d.refusesRevoked(token)
				time.Sleep(time.Microsecond)
			}
			if c.after == nil {
				d.accepts(token)
			} else {
				d.refuses(token, c.after)
			}
		})
	}
}

// refusesRevoked is refusesEverywhere without PERS.
func (d *desk) refusesRevoked(token string) {
	d.t.Helper()
	d.refuses(token, persauth.ErrRevoked)
	require.ErrorIs(d.t, d.v.Explain(d.t.Context(), token).Err, persauth.ErrRevoked)
}

// An end beyond all reckoning is no end; a later end stays; a clock before 1970
// is a clock like any other.
func TestRevokeOddTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff())
		token := d.token(time.Hour)
		d.revoke(persauth.Revocation{Token: token, Until: time.Unix(1<<61, 0)})
		d.revoke(persauth.Revocation{Token: token, Until: time.Now().Add(-time.Minute)})
		d.refusesRevoked(token)

		d.iss.Clock().Set(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC))
		token = d.token(time.Hour)
		d.accepts(token)
		d.revoke(persauth.Revocation{ID: "somebody else's"})
		d.accepts(token)
		d.revoke(persauth.Revocation{Token: token})
		d.refusesRevoked(token)
	})
}

// One token is revoked, or all of one id, and no others.
func TestRevokeNoOthers(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	token := func(subject string, id any) string { return iss.Token(map[string]any{"sub": subject, "jti": id}) }
	one, twin, other := token("ann", "x"), token("bob", "x"), token("ann", "y")
	none, empty := token("ann", nil), token("ann", "")
	accepted := func(token string) bool {
		_, err := v.Verify(t.Context(), token)
		if err != nil {
			require.ErrorIs(t, err, persauth.ErrRevoked)
		}
		return err == nil
	}
	require.NoError(t, v.Revoke(persauth.Revocation{Token: one}))
	assert.False(t, accepted(one))
	for _, token := range []string{twin, other, none, empty} {
		assert.True(t, accepted(token))
	}
	require.NoError(t, v.Revoke(persauth.Revocation{ID: "x"}))
	assert.False(t, accepted(twin))
	for _, token := range []string{other, none, empty} {
		assert.True(t, accepted(token))
	}
	require.NoError(t, v.Revoke(persauth.Revocation{Token: none}))
	assert.False(t, accepted(none))
	assert.True(t, accepted(empty))
	assert.Equal(t, 3, v.Status().DenyListed)
}

func TestRevokeErrors(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	token := iss.UserToken("acme")
	for name, r := range map[string]persauth.Revocation{
		"nothing": {}, "only an end": {Until: time.Now().Add(time.Hour)}, "only an age": {IssuedBefore: time.Now()},
		"no token": {Token: "test-token-1"}, "too many parts": {Token: token + "." + token},
		"a scheme": {Token: "Bearer " + token}, "a space": {Token: " " + token}, "a quote": {Token: `"` + token + `"`},
	} {
		require.Error(t, v.Revoke(r), name)
	}
	require.ErrorIs(t, v.Revoke(persauth.Revocation{Token: "a.b"}), persauth.ErrMalformed)
	assert.Zero(t, v.Status().DenyListed)
	// What can be no token of ours may be revoked all the same.
	require.NoError(t, v.Revoke(persauth.Revocation{Token: "a.b.c"}))
	require.NoError(t, v.Revoke(persauth.Revocation{Token: iss.ExpiredToken()}))
	require.NoError(t, v.Revoke(persauth.Revocation{Token: iss.SymmetricToken(map[string]any{})}))
}

// All that is given must match. What is taken back is what was given with the same
// names, and nothing else.
func TestRevokeByNames(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	iss.Clock().Set(time.Unix(1_800_000_000, 0))
	now := iss.Clock().Now()
	claims := map[string]any{"sub": "ann", "jti": "1", "sid": "s", "tenantId": "acme", "businessId": "shop", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	token := iss.Token(claims)
	kid := iss.Keys()[0].ID
	changed := func(name string, value any) string {
		other := map[string]any{}
		for name, value := range claims {
			other[name] = value
		}
		other[name] = value // null: left out
		return iss.Token(other)
	}
	for _, c := range []struct {
		name   string
		r      persauth.Revocation
		spared string // a token that differs in one name
	}{
		{"id", persauth.Revocation{ID: "1"}, changed("jti", "2")},
		{"subject", persauth.Revocation{Subject: "ann"}, changed("sub", "bob")},
		{"session", persauth.Revocation{Session: "s"}, changed("sid", "t")},
		{"session, of a token without one", persauth.Revocation{Session: "s"}, changed("sid", nil)},
		{"business", persauth.Revocation{Business: "shop"}, changed("businessId", "bank")},
		{"business, of a token without one", persauth.Revocation{Business: "shop"}, changed("businessId", nil)},
		{"tenant", persauth.Revocation{Tenant: "acme"}, changed("tenantId", "other")},
		{"key", persauth.Revocation{KeyID: kid}, iss.Keys()[0].Sign([]byte(`{"alg":"ES256"}`), []byte(`{"tenantId":"acme","exp":1800003600}`))},
		{"subject and tenant", persauth.Revocation{Subject: "ann", Tenant: "acme"}, changed("tenantId", "other")},
		{"subject and business", persauth.Revocation{Subject: "ann", Business: "shop"}, changed("sub", "bob")},
		{"everything", persauth.Revocation{Token: token, ID: "1", Subject: "ann", Session: "s", Business: "shop", Tenant: "acme", KeyID: kid}, changed("sub", "bob")},
		{"issued before", persauth.Revocation{Subject: "ann", IssuedBefore: now.Add(time.Second)}, changed("iat", now.Unix()+1)},
		{"issued before, to the second", persauth.Revocation{Subject: "ann", IssuedBefore: now.Add(time.Millisecond)}, changed("iat", now.Unix()+1)},
		{"the parts of a name do not mix", persauth.Revocation{Subject: "ann", Session: "s"}, changed("sub", "anns")},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := iss.Verifier()
			for range 2 {
				answers(t, v, token, nil)
				require.NoError(t, v.Revoke(c.r))
				answers(t, v, token, persauth.ErrRevoked)
				answers(t, v, c.spared, nil)
				require.NoError(t, v.Unrevoke(persauth.Revocation{Subject: "nobody"}))
				answers(t, v, token, persauth.ErrRevoked)
				require.NoError(t, v.Unrevoke(c.r))
				require.Zero(t, v.Status().DenyListed)
			}
			answers(t, v, token, nil)
		})
	}
	// A token that does not say when it was issued is older than any time.
	v := iss.Verifier()
	require.NoError(t, v.Revoke(persauth.Revocation{Subject: "ann", IssuedBefore: now.Add(-time.Hour)}))
	answers(t, v, changed("iat", nil), persauth.ErrRevoked)
	answers(t, v, token, nil)
}

// Of two revocations with the same names both count; one that says no more than
// another is not kept.
func TestRevokeSameNamesTwice(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	iss.Clock().Set(time.Unix(1_800_000_000, 0))
	now := iss.Clock().Now()
	v := iss.Verifier()
	token := func(issued time.Duration) string {
		return iss.Token(map[string]any{"sub": "ann", "iat": now.Add(issued).Unix(), "exp": now.Add(3 * time.Hour).Unix()})
	}
	before := func(age, until time.Duration) persauth.Revocation {
		return persauth.Revocation{Subject: "ann", IssuedBefore: now.Add(-age), Until: now.Add(until)}
	}
	require.NoError(t, v.Revoke(before(time.Minute, time.Hour)))
	require.NoError(t, v.Revoke(before(time.Hour, 2*time.Hour)))
	require.NoError(t, v.Revoke(before(2*time.Hour, time.Hour)), "says no more than the one before")
	assert.Equal(t, 2, v.Status().DenyListed)
	answers(t, v, token(0), nil)
	answers(t, v, token(-2*time.Minute), persauth.ErrRevoked)
	answers(t, v, token(-2*time.Hour), persauth.ErrRevoked)
	require.NoError(t, v.Unrevoke(before(time.Minute, 0)))
	answers(t, v, token(-2*time.Minute), nil)
	answers(t, v, token(-2*time.Hour), persauth.ErrRevoked)
	require.NoError(t, v.Unrevoke(persauth.Revocation{Subject: "ann"}), "all of those names")
	answers(t, v, token(-2*time.Hour), nil)
}

// Whoever holds a token signed with ECDSA can write a second good signature over
// it: (r, n-s). It is the same token.
func TestRevokeSecondSignature(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("ES256"))
	token := iss.UserToken("acme")
	second := secondSignature(t, token)
	require.NotEqual(t, token, second)
	_, err := iss.Verifier().Verify(t.Context(), second)
	require.NoError(t, err)

	v := iss.Verifier()
	require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	answers(t, v, token, persauth.ErrRevoked)
	answers(t, v, second, persauth.ErrRevoked)
}

func secondSignature(t *testing.T, token string) string {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return token[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}

// The deny list forgets what has expired, however much that is.
func TestRevocationsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		v := iss.Verifier()
		token := iss.Token(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
		require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
		const many = 100_000
		for i := range many {
			r := persauth.Revocation{ID: fmt.Sprint(i), Until: time.Now().Add(time.Minute)}
			if i%2 == 0 {
				r.ID, r.Token = "", fmt.Sprintf("a.%d.c", i)
			}
			require.NoError(t, v.Revoke(r))
		}
		require.Equal(t, many+1, v.Status().DenyListed)
		time.Sleep(time.Minute + 30*time.Second)
		require.NoError(t, v.Revoke(persauth.Revocation{ID: "one more"}))
		assert.Equal(t, 2, v.Status().DenyListed)
		answers(t, v, token, persauth.ErrRevoked)
	})
}

// A clock that is set, at whatever time, makes no revoked token good again.
func TestRevocationsWhenTheClockIsSet(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		before, after []time.Duration // how the clock is set before the token is revoked, and after
	}{
		"a day forward and back":             {nil, []time.Duration{day, -day}},
		"and again":                          {nil, []time.Duration{day, -day, day, -day}},
		"a year forward, and back in steps":  {nil, []time.Duration{365 * day, -200 * day, -165 * day}},
		"back and forward":                   {nil, []time.Duration{-day, day}},
		"revoked while it was ahead":         {[]time.Duration{day}, []time.Duration{-day}},
		"revoked while it was back":          {[]time.Duration{-day}, []time.Duration{day}},
		"ahead, right, and ahead once more":  {[]time.Duration{day, -day}, []time.Duration{day, -day}},
		"back, right, ahead and right again": {[]time.Duration{-day, day}, []time.Duration{day, -day}},
	} {
		for _, by := range []string{"token", "id"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					iss := persauthtest.NewIssuer(t)
					v := iss.Verifier()
					token := iss.Token(map[string]any{"jti": "1", "iat": nil, "exp": time.Now().Add(time.Hour).Unix()})
					others := 0
					set := func(steps []time.Duration) {
						for _, step := range steps {
							iss.Clock().Advance(step)
							time.Sleep(2 * time.Minute)
							others++ // so that what has ended is dropped
							require.NoError(t, v.Revoke(persauth.Revocation{ID: fmt.Sprint("other ", others)}))
						}
					}
					set(c.before)
					r := persauth.Revocation{Token: token}
					if by == "id" {
						r = persauth.Revocation{ID: "1"}
					}
					require.NoError(t, v.Revoke(r))
					set(c.after)
					answers(t, v, token, persauth.ErrRevoked)
				})
			})
		}
	}
}

// A machine that starts in 1970, or is asleep for long, does not keep revocations for
// good.
func TestRevocationsOfAnotherAgeAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		v := iss.Verifier()
		iss.Clock().Advance(-30 * year)
		require.NoError(t, v.Revoke(persauth.Revocation{ID: "1"}))
		iss.Clock().Advance(30 * year)
		for i := range 10 {
			require.NoError(t, v.Revoke(persauth.Revocation{ID: fmt.Sprint(i), Until: time.Now().Add(time.Hour)}))
		}
		time.Sleep(410 * 24 * time.Hour)
		require.NoError(t, v.Revoke(persauth.Revocation{ID: "another"}))
		assert.Equal(t, 1, v.Status().DenyListed)
	})
}
