package persauth_test

import (
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// twin is a token of ES256 with the other good signature over the same: (r, -s).
// Anybody can write it.
func twin(t *testing.T, token string) string {
	t.Helper()
	const orderOfP256 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
	input, encoded, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	require.NoError(t, err)
	order, _ := new(big.Int).SetString(orderOfP256, 16)
	s := new(big.Int).Sub(order, new(big.Int).SetBytes(signature[32:]))
	s.FillBytes(signature[32:])
	return token[:strings.IndexByte(token, '.')+1] + input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// A token that was revoked does not come back with another signature.
func TestRevokedTokenHasNoTwin(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("ES256"))
	server := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	for name, revoke := range map[string]func(*persauth.Verifier, string){
		"by the service": func(v *persauth.Verifier, token string) {
			require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
		},
		"by PERS": func(v *persauth.Verifier, token string) {
			server.Revoke(token)
			_, err := v.VerifyLive(t.Context(), token)
			require.ErrorIs(t, err, persauth.ErrRevoked)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := server.Verifier(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationOff })
			token := iss.UserToken("acme")
			other := twin(t, token)
			require.NotEqual(t, token, other)
			accepts(t, v, token)
			accepts(t, v, other)
			revoke(v, token)
			refuses(t, v, token, persauth.ErrRevoked)
			refuses(t, v, other, persauth.ErrRevoked)
			accepts(t, v, iss.UserToken("acme"))
		})
	}
}

// PERS' clock may be a little ahead, or behind: a token that is in time only by
// the leeway is refused, and not for good.
func TestRejectedWithinTheLeewayIsNotRevoked(t *testing.T) {
	inBubble(t, func(t *testing.T, pers fakePERS) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationAlways })
		young := pers.iss.Token(map[string]any{"nbf": time.Now().Add(20 * time.Second).Unix()})
		pers.Fault(persauthtest.Verify, persauthtest.LyingInvalid.Times(1))
		refuses(t, v, young, persauth.ErrRejected)
		time.Sleep(30 * time.Second)
		accepts(t, v, young)

		old := pers.iss.Token(map[string]any{"exp": time.Now().Add(10 * time.Second).Unix()})
		accepts(t, v, old)
		time.Sleep(20 * time.Second)
		refuses(t, v, old, persauth.ErrRejected)
		require.Zero(t, v.Status().Revoked)
	})
}
