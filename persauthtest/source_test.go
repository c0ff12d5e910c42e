package persauthtest_test

import (
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func base64URL(segment string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	return string(raw), err
}

var target = &url.URL{Scheme: "https", Host: "api.example.com", Path: "/"}

func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		v := iss.Verifier()
		source := iss.TokenSource(map[string]any{"sub": "ann"})
		verify := func() string {
			authorization, proof, err := source.Authorize(t.Context(), "GET", target, "")
			require.NoError(t, err)
			assert.Empty(t, proof)
			r := httptest.NewRequest("GET", "https://api.example.com/", nil)
			r.Header.Set("Authorization", authorization)
			claims, err := v.VerifyRequest(r)
			require.NoError(t, err)
			assert.Equal(t, "ann", claims.Subject())
			return authorization
		}
		first := verify()
		assert.Equal(t, first, verify(), "one token for as long as it lives")
		iss.Clock().Advance(14*time.Minute - time.Second)
		assert.Equal(t, first, verify())
		iss.Clock().Advance(2 * time.Second)
		second := verify()
		assert.NotEqual(t, first, second, "another one before it expires")
		require.NoError(t, source.Renew(t.Context(), first))
		assert.Equal(t, second, verify(), "the one that was not accepted is gone already")
		require.NoError(t, source.Renew(t.Context(), second))
		assert.NotEqual(t, second, verify())
		assert.Equal(t, 3, source.Issued())
		assert.Equal(t, 2, source.Refused())

		away := errors.New("away")
		source.Fail(away)
		_, _, err := source.Authorize(t.Context(), "GET", target, "")
		assert.ErrorIs(t, err, away)
		assert.ErrorIs(t, source.Renew(t.Context(), first), away)
		source.Fail(nil)
		verify()
	})
}

func TestBoundTokenSource(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	secret := make([]byte, 32)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPRequired, Origin: "https://api.example.com", NonceSecret: secret}
	})
	source := iss.BoundTokenSource(iss.DPoPClient("ES256"), nil)
	try := func(nonce string) (string, error) {
		r := httptest.NewRequest("GET", "https://api.example.com/orders?page=2#3", nil)
		authorization, proof, err := source.Authorize(t.Context(), r.Method, r.URL, nonce)
		require.NoError(t, err)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("DPoP", proof)
		_, err = v.VerifyRequest(r)
		w := httptest.NewRecorder()
		if err != nil {
			v.WriteError(w, r, err)
		}
		return w.Header().Get("DPoP-Nonce"), err
	}
	nonce, err := try("")
	require.ErrorIs(t, err, persauth.ErrProof)
	require.NotEmpty(t, nonce)
	_, err = try(nonce)
	assert.NoError(t, err)
}
