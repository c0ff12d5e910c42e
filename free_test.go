package persauth_test

// What can be told without PERS is told without PERS; what only PERS can tell is
// not told by anybody else.

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A token that is bad in itself costs nothing, even when its key is unknown:
// neither a question nor a fetch of the keys.
func TestWhatIsFreeComesFirst(t *testing.T) {
	hour := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }
	under := func(pers lab, known bool, claim string, value any) string {
		claims := map[string]any{"tenantId": "acme", "iss": "pers", "aud": "shop", "exp": hour(1)}
		claims[claim] = value
		if known {
			return pers.iss.Token(claims)
		}
		return pers.iss.UnpublishedToken(claims)
	}
	unknown := func(claim string, value any) func(lab) string {
		return func(pers lab) string { return under(pers, false, claim, value) }
	}
	header := func(members string) func(lab) string {
		return func(pers lab) string {
			return pers.iss.UnpublishedKey().Sign([]byte(members), []byte(`{"tenantId":"acme","exp":4000000000}`))
		}
	}
	bad := map[string]struct {
		token func(lab) string
		want  error
	}{
		"expired":          {unknown("exp", int64(1)), persauth.ErrExpired},
		"just expired":     {unknown("exp", time.Now().Unix()-3600), persauth.ErrExpired},
		"not yet valid":    {unknown("nbf", hour(2)), persauth.ErrNotYetValid},
		"issued later":     {unknown("iat", hour(2)), persauth.ErrNotYetValid},
		"without exp":      {unknown("exp", nil), persauth.ErrClaims},
		"exp as a string":  {unknown("exp", "4000000000"), persauth.ErrClaims},
		"foreign tenant":   {unknown("tenantId", "other"), persauth.ErrTenant},
		"without a tenant": {unknown("tenantId", ""), persauth.ErrClaims},
		"wrong issuer":     {unknown("iss", "other"), persauth.ErrIssuer},
		"wrong audience":   {unknown("aud", []string{"other"}), persauth.ErrAudience},
		"empty":            {func(lab) string { return "" }, persauth.ErrMalformed},
		"no token":         {func(lab) string { return "Bearer of bad news" }, persauth.ErrMalformed},
		"two parts":        {func(pers lab) string { return strings.TrimRight(pers.stranger(), "-_.") + ".x" }, persauth.ErrMalformed},
		"padded":           {func(pers lab) string { return pers.stranger() + "=" }, persauth.ErrMalformed},
		"oversize":         {unknown("more", strings.Repeat("x", 16<<10)), persauth.ErrMalformed},
		"payload no object": {func(pers lab) string {
			return pers.iss.UnpublishedKey().Sign([]byte(`{"alg":"EdDSA","kid":"x"}`), []byte(`[]`))
		}, persauth.ErrMalformed},
		"crit":           {header(`{"alg":"EdDSA","kid":"x","crit":["exp"]}`), persauth.ErrMalformed},
		"typ of a proof": {header(`{"alg":"EdDSA","kid":"x","typ":"dpop+jwt"}`), persauth.ErrMalformed},
		"no alg":         {header(`{"kid":"x"}`), persauth.ErrAlgorithm},
		"alg none":       {header(`{"alg":"none","kid":"x"}`), persauth.ErrAlgorithm},
		"alg unheard of": {header(`{"alg":"XY512","kid":"x"}`), persauth.ErrAlgorithm},
		"symmetric":      {func(pers lab) string { return pers.iss.SymmetricToken(map[string]any{"tenantId": "acme"}) }, persauth.ErrAlgorithm},
	}
	demanding := func(cfg *persauth.Config) {
		cfg.Tenants, cfg.Issuer, cfg.Audience = []string{"acme"}, "pers", "shop"
	}
	pers := newLab(t)
	cold := pers.Verifier(demanding)
	for name, c := range bad {
		t.Run("no keys yet: "+name, func(t *testing.T) { refuses(t, cold, c.token(pers), c.want) })
	}
	require.Zero(t, pers.Count(persauthtest.EndpointAll))

	// With keys at hand, also what they say.
	known := pers.iss.Keys()[0].ID
	maps.Copy(bad, map[string]struct {
		token func(lab) string
		want  error
	}{
		"forged":   {func(pers lab) string { return pers.iss.ForgedToken() }, persauth.ErrSignature},
		"tampered": {func(pers lab) string { return pers.iss.TamperedToken() }, persauth.ErrSignature},
		"unpublished key, known kid": {func(pers lab) string {
			return pers.iss.UnpublishedKey().Sign([]byte(`{"alg":"EdDSA","kid":"`+known+`"}`), []byte(`{"tenantId":"acme","exp":4000000000}`))
		}, persauth.ErrSignature},
		"known kid, other alg": {header(`{"alg":"RS256","kid":"` + known + `"}`), persauth.ErrAlgorithm},
	})
	warm := pers.warm(demanding)
	for name, c := range bad {
		t.Run(name, func(t *testing.T) { refuses(t, warm, c.token(pers), c.want) })
	}
	require.Equal(t, 1, pers.Count(persauthtest.EndpointAll))
	accepts(t, warm, under(pers, true, "more", 1))
	require.Equal(t, 1, pers.Count(persauthtest.EndpointAll))
	accepts(t, warm, under(pers, false, "more", 1))
	require.Equal(t, 3, pers.Count(persauthtest.EndpointAll))
}

// hs256 signs claims with a secret, under a kid if there is one.
func hs256(t *testing.T, secret []byte, kid string, claims map[string]any) string {
	t.Helper()
	header := map[string]string{"alg": "HS256"}
	if kid != "" {
		header["kid"] = kid
	}
	rawHeader, err := json.Marshal(header)
	require.NoError(t, err)
	rawClaims, err := json.Marshal(claims)
	require.NoError(t, err)
	input := b64(rawHeader) + "." + b64(rawClaims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// Symmetric tokens are PERS' business alone, and only where that is configured.
func TestRemoteAlgorithms(t *testing.T) {
	claims := func() map[string]any {
		return map[string]any{"tenantId": "acme", "sub": "user-7", "exp": time.Now().Add(time.Hour).Unix()}
	}
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.Verifier(func(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} })
		good := accepts(t, v, pers.iss.SymmetricToken(claims()))
		assert.Equal(t, persauth.VerifiedRemotely, good.Verification().Method)
		assert.Equal(t, "HS256", good.Verification().Algorithm)
		assert.Equal(t, "user-7", good.Subject())
		refuses(t, v, hs256(t, []byte("some secret"), "", claims()), persauth.ErrRejected)
		refuses(t, v, pers.iss.SymmetricToken(map[string]any{"exp": 1}), persauth.ErrExpired)
		assert.Equal(t, 2, pers.asked())
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500))
		refuses(t, v, pers.iss.SymmetricToken(claims()), persauth.ErrUnavailable)
		assert.Zero(t, pers.Count(persauthtest.EndpointKeys), "no key set will ever have a secret")
		other := pers.iss.UnpublishedKey().Sign([]byte(`{"alg":"HS384"}`), []byte(`{"tenantId":"acme","exp":4000000000}`))
		refuses(t, v, other, persauth.ErrAlgorithm)
	})
}

// A public key is no secret: whoever has it can compute an HMAC with it. No form
// of it makes a token good, whatever kid the token names.
func TestPublicKeyIsNoSecret(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} })
		key := pers.iss.Keys()[0]
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		require.NoError(t, err)
		secrets := [][]byte{key.JWK(), der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), pers.iss.JWKS(), nil}
		asked := pers.asked()
		for i, secret := range secrets {
			claims := map[string]any{"tenantId": "acme", "jti": strconv.Itoa(i), "exp": time.Now().Add(time.Hour).Unix()}
			refuses(t, v, hs256(t, secret, key.ID, claims), persauth.ErrRejected)
		}
		assert.Equal(t, asked+len(secrets), pers.asked(), "PERS decides")
		assert.Equal(t, 1, pers.Count(persauthtest.EndpointKeys))
	})
}

// Close ends a question that is under way; whoever waits for it is told that
// nobody can tell, and not that somebody has left.
func TestCloseDuringAQuestion(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		remembered, due := pers.iss.UserToken("acme"), pers.yearly()
		accepts(t, v, remembered)
		accepts(t, v, due)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
		begin := time.Now()
		go func() {
			time.Sleep(time.Second)
			v.Close()
		}()
		detail := refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		assert.NotErrorIs(t, detail, context.Canceled)
		assert.Equal(t, time.Second, time.Since(begin))
		synctest.Wait()

		// What is held is good for as long as it is.
		asked := pers.asked()
		pers.Heal()
		accepts(t, v, remembered)
		accepts(t, v, due)
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
		_, err := v.VerifyLive(t.Context(), remembered)
		require.ErrorIs(t, err, persauth.ErrUnavailable)
		time.Sleep(6 * time.Minute)
		accepts(t, v, remembered)
		refuses(t, v, due, persauth.ErrUnavailable)
		assert.Equal(t, asked, pers.asked())
		v.Close() // again
	})
}
