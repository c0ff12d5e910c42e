package persauth_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One token has one spelling. Each malformed token here is signed as it stands:
// only its form can be what is refused.

const urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// White space in any place: encoding/base64 skips line breaks, even when strict.
// The signature of ES384 fills its last group of four characters, the one of
// ES256 does not, and the payloads end in each possible way.
func TestCompactWhiteSpace(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "EdDSA"} {
		key := keyFor(alg)
		v := holding(t, setFor(alg))
		for _, pad := range []string{"", " ", "  "} {
			good := tokenWith(key, goodClaims+pad)
			answers(t, v, good, nil)
			signatureAt := strings.LastIndexByte(good, '.') + 1
			for _, space := range []string{"\n", "\r", "\r\n", "\n\n\n\n", " ", "\t", "\v", "\x00", "\u00a0"} {
				for at := range len(good) + 1 {
					bad := good[:at] + space + good[at:]
					if at < signatureAt {
						if alg != "EdDSA" {
							continue // what the others add is the form of a signature
						}
						bad = signedAsIs(key, strings.Split(bad, ".")[0], strings.Split(bad, ".")[1])
					}
					claims, err := v.Verify(t.Context(), bad)
					require.ErrorIsf(t, err, persauth.ErrMalformed, "%s with %q at %d", alg, space, at)
					require.Nil(t, claims)
				}
			}
		}
	}
}

// A segment that does not fill its last group of four has bits to spare, which
// must be zero (RFC 4648 §3.5).
func TestCompactTrailingBits(t *testing.T) {
	key := keyFor("ES256")
	v := holding(t, setFor("ES256"))
	for _, pad := range []string{"", " ", "  "} {
		good := key.Sign([]byte(headerFor(key)+pad), []byte(goodClaims+pad))
		answers(t, v, good, nil)
		header, payload, signature := segmentsOf(t, good)
		for _, c := range []struct {
			name, segment string
			with          func(segment string) string
		}{
			{"header", header, func(s string) string { return signedAsIs(key, s, payload) }},
			{"payload", payload, func(s string) string { return signedAsIs(key, header, s) }},
			{"signature", signature, func(s string) string { return header + "." + payload + "." + s }},
		} {
			for i, other := range respelled(c.segment) {
				t.Run(fmt.Sprintf("%s with %d spaces, spelling %d", c.name, len(pad), i), func(t *testing.T) {
					answers(t, v, c.with(other), persauth.ErrMalformed)
				})
			}
		}
	}
}

// respelled returns the other segments that a careless decoder takes for the
// same bytes.
func respelled(segment string) []string {
	spare := map[int]int{2: 4, 3: 2}[len(segment)%4] // bits
	last := strings.IndexByte(urlAlphabet, segment[len(segment)-1])
	var others []string
	for bits := 1; bits < 1<<spare; bits++ {
		others = append(others, segment[:len(segment)-1]+string(urlAlphabet[last|bits]))
	}
	return others
}

func TestCompactForm(t *testing.T) {
	key := keyFor("ES256")
	v := holding(t, setFor("ES256"))
	// "?" and ">" in a row give the characters in which the alphabets differ.
	good := tokenWith(key, `{"sub":"???>>>?>?>>>>???","tenantId":"acme","exp":1800000900}`)
	header, payload, signature := segmentsOf(t, good)
	require.Contains(t, payload, "-")
	require.Contains(t, payload, "_")
	standard := strings.NewReplacer("-", "+", "_", "/")

	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"as it should be":           {good, nil},
		"nothing":                   {"", persauth.ErrMalformed},
		"one part":                  {header, persauth.ErrMalformed},
		"two parts":                 {header + "." + payload, persauth.ErrMalformed},
		"four parts":                {good + "." + signature, persauth.ErrMalformed},
		"five parts, as JWE has":    {good + "." + signature + "." + signature, persauth.ErrMalformed},
		"a dot before":              {"." + good, persauth.ErrMalformed},
		"a dot after":               {good + ".", persauth.ErrMalformed},
		"a dot too many":            {header + ".." + payload + "." + signature, persauth.ErrMalformed},
		"only dots":                 {"..", persauth.ErrMalformed},
		"three dots":                {"...", persauth.ErrMalformed},
		"no header":                 {signedAsIs(key, "", payload), persauth.ErrMalformed},
		"no payload":                {signedAsIs(key, header, ""), persauth.ErrMalformed},
		"no signature":              {header + "." + payload + ".", persauth.ErrSignature},
		"detached payload":          {header + ".." + signature, persauth.ErrSignature},
		"padded header":             {signedAsIs(key, b64(headerFor(key)+" ")+"=", payload), persauth.ErrMalformed},
		"padded payload":            {signedAsIs(key, header, payload+"="), persauth.ErrMalformed},
		"payload padded to fours":   {signedAsIs(key, header, b64(goodClaims+strings.Repeat(" ", (4-len(goodClaims)%3)%3))+"=="), persauth.ErrMalformed},
		"padded signature":          {good + "==", persauth.ErrMalformed},
		"padding alone":             {signedAsIs(key, header, "===="), persauth.ErrMalformed},
		"standard alphabet":         {signedAsIs(key, header, standard.Replace(payload)), persauth.ErrMalformed},
		"standard in the signature": {header + "." + payload + "." + "+" + signature[1:], persauth.ErrMalformed},
		"percent encoding":          {header + "%2E" + payload + "." + signature, persauth.ErrMalformed},
		"a lone character":          {signedAsIs(key, header, payload+strings.Repeat("A", (5-len(payload)%4)%4)), persauth.ErrMalformed},
		"Bearer before it":          {"Bearer " + good, persauth.ErrMalformed},
		"in quotes":                 {`"` + good + `"`, persauth.ErrMalformed},
		"full-width dot":            {header + "\uff0e" + payload + "\uff0e" + signature, persauth.ErrMalformed},
		"JSON, flattened":           {`{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`, persauth.ErrMalformed},
		"JSON, general":             {`{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`, persauth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) { answers(t, v, c.token, c.want) })
	}
}

// The largest token is exactly 16 KiB. A larger one is not even looked at.
func TestCompactSize(t *testing.T) {
	key := keyFor("ES256")
	v := holding(t, setFor("ES256"))
	const most = 16 << 10
	answers(t, v, tokenOfSize(t, most), nil)
	answers(t, v, tokenOfSize(t, most+1), persauth.ErrMalformed)

	payload, err := v.InsecureVerifySignatureOnly(t.Context(), tokenOfSize(t, most))
	require.NoError(t, err)
	assert.NotEmpty(t, payload)
	payload, err = v.InsecureVerifySignatureOnly(t.Context(), tokenOfSize(t, most+1))
	require.ErrorIs(t, err, persauth.ErrMalformed)
	assert.Nil(t, payload)

	answers(t, v, tokenWith(key, goodClaims)+strings.Repeat("A", 10<<20), persauth.ErrMalformed)
	answers(t, v, strings.Repeat(".", 10<<20), persauth.ErrMalformed)
}

// tokenOfSize makes a good token of exactly so many bytes.
func tokenOfSize(t *testing.T, size int) string {
	t.Helper()
	key := keyFor("ES256")
	header := headerFor(key)
	for range 4 {
		header += " "
		rest := size - len(b64(header)) - 88 // two dots and the signature
		if rest%4 == 1 {
			continue // no encoding has this length
		}
		claims := goodClaims + strings.Repeat(" ", rest*6/8-len(goodClaims))
		token := key.Sign([]byte(header), []byte(claims))
		require.Len(t, token, size)
		return token
	}
	t.Fatal("no token of this size")
	return ""
}

// The most common of mistakes is called by its name.
func TestSchemeBeforeToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	for _, scheme := range []string{"Bearer ", "bearer  ", "DPoP "} {
		for _, rest := range []string{iss.Token(nil), "ey", "", "a.b.c.d"} {
			token := scheme + rest
			_, err := v.Verify(t.Context(), token)
			_, signatureErr := v.InsecureVerifySignatureOnly(t.Context(), token)
			report := v.Explain(t.Context(), token)
			for _, err := range []error{err, signatureErr, report.Err, v.Revoke(persauth.Revocation{Token: token})} {
				var detail *persauth.Error
				require.ErrorAs(t, err, &detail)
				require.ErrorIs(t, err, persauth.ErrMalformed)
				assert.Equal(t, "form", detail.Check)
				assert.Equal(t, strconv.Quote(strings.TrimSpace(scheme))+" before it: pass the token alone", detail.Got)
			}
			failed := slices.DeleteFunc(report.Checks, func(c persauth.Check) bool { return c.Result != persauth.Failed })
			assert.Equal(t, "form", failed[0].Name)
		}
	}
	// Other words are not called so.
	_, err := v.Verify(t.Context(), "Basic "+iss.Token(nil))
	require.ErrorIs(t, err, persauth.ErrMalformed)
	assert.NotContains(t, err.Error(), "alone")
}
