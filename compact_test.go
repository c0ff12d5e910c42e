package persauth_test

import (
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoding/base64 drops line breaks, so that one token could be written in many
// ways. Signatures of every length modulo 3 matter: those of ES384 come out even.
func TestLineBreaksInToken(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "EdDSA"} {
		iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms(alg))
		v := iss.Verifier()
		token := iss.UserToken("acme")
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		for _, breaks := range []string{"\n", "\r", "\r\n", "\n\n\n", "\n\n\n\n"} {
			for _, at := range []int{0, 10, len(token) - 5, len(token)} {
				_, err := v.Verify(t.Context(), token[:at]+breaks+token[at:])
				assert.ErrorIs(t, err, persauth.ErrMalformed, "%s: %q at %d", alg, breaks, at)
			}
		}
	}
}
