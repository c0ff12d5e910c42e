package persauth_test

// What the tests of single rules share: keys that are made once, key sets and
// tokens of exactly the wanted bytes, and one way to ask for an answer.

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// testTime is the time in the tests of single rules.
var testTime = time.Unix(1_800_000_000, 0).UTC()

// goodClaims pass every check at testTime.
const goodClaims = `{"sub":"alice","tenantId":"acme","iat":1799999000,"exp":1800000900}`

var allAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// testKeys are made when they are first asked for; RSA keys take their time.
var testKeys = func() map[string]func() *persauthtest.Key {
	keys := make(map[string]func() *persauthtest.Key)
	for _, alg := range allAlgorithms {
		keys[alg] = sync.OnceValue(func() *persauthtest.Key {
			key, err := persauthtest.NewKey("kid-"+alg, alg, "strictness")
			if err != nil {
				panic(err)
			}
			return key
		})
	}
	return keys
}()

// keyFor returns the key that tests use for an algorithm; its kid is "kid-" and
// the algorithm.
func keyFor(alg string) *persauthtest.Key { return testKeys[alg]() }

// signingAs returns the same private key, signing with another algorithm.
func signingAs(key *persauthtest.Key, alg string) *persauthtest.Key {
	other := *key
	other.Algorithm = alg
	return &other
}

// jwkOf returns the key's JWK with changes; a nil value takes a member out.
func jwkOf(t testing.TB, key *persauthtest.Key, changes map[string]any) string {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(key.JWK(), &members))
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	raw, err := json.Marshal(members)
	require.NoError(t, err)
	return string(raw)
}

// setOf puts JWKs into a JWK Set.
func setOf(jwks ...string) string { return `{"keys":[` + strings.Join(jwks, ",") + `]}` }

// setFor is the JWK Set of the test keys for some algorithms.
func setFor(algs ...string) string {
	jwks := make([]string, len(algs))
	for i, alg := range algs {
		jwks[i] = string(keyFor(alg).JWK())
	}
	return setOf(jwks...)
}

// holding makes a verifier that holds a key set, at testTime.
func holding(t testing.TB, jwks string, changes ...func(*persauth.Config)) *persauth.Verifier {
	t.Helper()
	cfg := persauth.Config{Keys: persauth.StaticKeys([]byte(jwks)), Now: func() time.Time { return testTime }}
	for _, change := range changes {
		change(&cfg)
	}
	v, err := persauth.New(cfg)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// headerFor is the plain header of a key's tokens.
func headerFor(key *persauthtest.Key) string {
	return `{"alg":"` + key.Algorithm + `","kid":"` + key.ID + `"}`
}

// tokenWith is a token of exactly these claims, in all else a good one.
func tokenWith(key *persauthtest.Key, claims string) string {
	return key.Sign([]byte(headerFor(key)), []byte(claims))
}

// signedAsIs signs two segments as they stand, well encoded or not, so that
// nothing but their form can be wrong with the token.
func signedAsIs(key *persauthtest.Key, header, payload string) string {
	input := header + "." + payload
	return input + "." + b64(key.Signature([]byte(input)))
}

func b64[T ~[]byte | ~string](raw T) string { return base64.RawURLEncoding.EncodeToString([]byte(raw)) }

// segmentsOf cuts a token into its three segments.
func segmentsOf(t testing.TB, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	return parts[0], parts[1], parts[2]
}

// answers requires that the token is accepted, where want is nil, or refused
// with want: by Verify, again from memory, and by Explain. One that is bound to a
// key is accepted by VerifyWithoutProof alone.
func answers(t testing.TB, v *persauth.Verifier, token string, want error) *persauth.Claims {
	t.Helper()
	var claims *persauth.Claims
	for range 2 {
		var err error
		claims, err = v.VerifyWithoutProof(t.Context(), token)
		if want == nil {
			require.NoError(t, err)
			require.NotNil(t, claims)
		} else {
			require.ErrorIs(t, err, want)
			require.Nil(t, claims)
		}
	}
	if claims != nil && claims.Confirmation() != "" {
		want = persauth.ErrProof
	}
	_, err := v.Verify(t.Context(), token)
	report := v.Explain(t.Context(), token)
	require.ErrorIs(t, err, want)
	require.Equal(t, want == nil, report.Valid)
	if want != nil {
		require.ErrorIs(t, report.Err, want)
	}
	return claims
}
