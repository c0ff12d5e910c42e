package main

// No one is timed doing nothing: what every peer takes and refuses.

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// without is the third token of a session without one of its claims.
func without(t *testing.T, w *world, claim string) string {
	t.Helper()
	_, rest, _ := strings.Cut(w.token(3, nil), ".")
	segment, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(segment)
	require.NoError(t, err)
	claims := make(map[string]any)
	require.NoError(t, json.Unmarshal(payload, &claims))
	require.Contains(t, claims, claim)
	delete(claims, claim)
	return w.signed(header(w.key.Algorithm, w.key.ID), claims)
}

func TestEveryPeerChecks(t *testing.T) {
	for _, algorithm := range algorithms {
		w, err := newWorld(algorithm)
		require.NoError(t, err)
		for _, p := range peers {
			if !p.takes(algorithm) {
				continue
			}
			t.Run(algorithm+"/"+p.name, func(t *testing.T) {
				check, err := p.open(t.Context(), w)
				require.NoError(t, err)
				for i := range 3 {
					c, err := check(t.Context(), w.token(i, nil))
					require.NoError(t, err)
					assert.Equal(t, caller{subject: "0b0e3c2e-6a57-4f0e-9d49-00000000000" + string(rune('0'+i)),
						tenant: tenant, business: business, role: "ADMIN"}, c)
				}
				good := w.token(3, nil)
				for name, token := range map[string]string{
					"forged":           forged(w.token(1, nil), w.token(2, nil)),
					"not signed":       unsigned(withHeader(header("none", w.key.ID), good)) + ".",
					"cut":              good[:len(good)-12],
					"expired":          w.token(3, func(s *session) { s.ExpiresAt = w.begin.Add(-time.Hour).Unix() }),
					"not yet valid":    w.token(3, func(s *session) { s.NotBefore = w.begin.Add(time.Hour).Unix() }),
					"from the future":  w.token(3, func(s *session) { s.IssuedAt = w.begin.Add(time.Hour).Unix() }),
					"of another one":   w.token(3, func(s *session) { s.Issuer = "https://example.com" }),
					"for another one":  w.token(3, func(s *session) { s.Audience = []string{"example"} }),
					"without exp":      without(t, w, "exp"),
					"without iss":      without(t, w, "iss"),
					"without aud":      without(t, w, "aud"),
					"without a tenant": without(t, w, "tenantId"),
				} {
					c, err := check(t.Context(), token)
					assert.Errorf(t, err, "a token that is %s was taken", name)
					assert.Zero(t, c)
				}
			})
		}
	}
}

func TestPeersLeftOut(t *testing.T) {
	// What a peer is said not to know it must refuse; else it is left out for
	// nothing.
	for _, algorithm := range algorithms {
		w, err := newWorld(algorithm)
		require.NoError(t, err)
		for _, p := range peers {
			if p.takes(algorithm) {
				continue
			}
			check, err := p.open(t.Context(), w)
			if err == nil {
				_, err = check(t.Context(), w.token(0, nil))
			}
			assert.Errorf(t, err, "%s takes %s", p.name, algorithm)
		}
	}
}

func TestTheFloorChecks(t *testing.T) {
	for _, algorithm := range algorithms {
		w, err := newWorld(algorithm)
		require.NoError(t, err)
		assert.True(t, holds(w.key.Public(), w.token(0, nil)))
		assert.False(t, holds(w.key.Public(), forged(w.token(1, nil), w.token(2, nil))))
	}
}
