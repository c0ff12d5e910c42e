package persauth_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checksInOrder are the checks of a token without fault, as they are made.
var checksInOrder = []string{"size", "form", "header", "alg", "typ", "crit", "b64", "key", "signature",
	"payload", "exp", "nbf", "iat", "iss", "aud", "tenant", "authType", "kind"}

// explained gets a report, holds it against Verify, and checks what goes for all
// reports: their order, and that they do not show the token.
func explained(t testing.TB, v *persauth.Verifier, token string) persauth.Report {
	t.Helper()
	claims, err := v.Verify(t.Context(), token)
	r := v.Explain(t.Context(), token)
	require.Equal(t, err == nil, r.Valid)
	require.Equal(t, err == nil, r.Err == nil)
	require.Equal(t, claims == nil, r.Claims == nil)
	require.Equal(t, persauth.Code(err), persauth.Code(r.Err))
	require.Equal(t, r.Valid, len(named(r, persauth.Failed)) == 0)
	for _, one := range leaves(err) {
		require.Contains(t, named(r, persauth.Failed), one.Check, "every failure has its line")
	}

	place, seen := -1, map[string]bool{}
	for _, c := range r.Checks {
		if at := slices.Index(checksInOrder, c.Name); at >= 0 {
			// The header's "alg" may be fine, and not be the key's.
			require.False(t, seen[c.Name+string(c.Result)], "%s comes once", c.Name)
			seen[c.Name+string(c.Result)] = true
			if c.Result == persauth.Passed { // a claim without its form fails before the others
				require.Greater(t, at, place, "%s comes in its place", c.Name)
				place = at
			}
		}
		require.Contains(t, []persauth.CheckResult{persauth.Passed, persauth.Failed, persauth.Skipped}, c.Result)
		if c.Result == persauth.Failed {
			require.NotEmpty(t, c.Want, c.Name)
		}
	}
	text, err := json.Marshal(r)
	require.NoError(t, err)
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 15 {
			require.NotContains(t, string(text), part)
			require.NotContains(t, string(text), part[len(part)/2:])
		}
	}
	return r
}

// named lists the checks that had a result.
func named(r persauth.Report, result persauth.CheckResult) []string {
	names := []string{}
	for _, c := range r.Checks {
		if c.Result == result {
			names = append(names, c.Name)
		}
	}
	return names
}

// leaves are the single failures in an error.
func leaves(err error) []*persauth.Error {
	if e, ok := err.(*persauth.Error); ok {
		return []*persauth.Error{e}
	}
	var all []*persauth.Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, leaves(one)...)
		}
	}
	return all
}

func TestExplainFixtures(t *testing.T) {
	v := offline(t)
	for _, f := range fixtures(t) {
		t.Run(f.Name, func(t *testing.T) {
			r := explained(t, v, f.Token)
			if f.Expect == "valid" {
				assert.Equal(t, checksInOrder, named(r, persauth.Passed))
				assert.Len(t, r.Checks, len(checksInOrder))
			}
		})
	}
}

// One fault after the other, and what can still be told in spite of it.
func TestExplainFaults(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA", "ES256"), func(cfg *persauth.Config) {
		cfg.Issuer, cfg.Audience, cfg.Tenants = "pers", "shop", []string{"acme"}
	})
	const ours = `"exp":1800000900,"iss":"pers","aud":"shop","tenantId":"acme"`
	with := func(claim string) string { return tokenWith(key, `{`+replaced(ours, claim)+`}`) }
	header := func(header string) string { return key.Sign([]byte(header), []byte(`{`+ours+`}`)) }
	good := with(`"sub":"alice"`)
	h, p, s := segmentsOf(t, good)
	all := func(s ...string) []string { return append([]string{}, s...) }
	claimChecks := checksInOrder[9:]

	for name, c := range map[string]struct {
		token   string
		failed  []string
		skipped []string
		passed  []string // these at least
	}{
		"no fault":               {good, all(), all(), checksInOrder},
		"nothing":                {"", all("size"), all(), all()},
		"too large":              {good + strings.Repeat("A", 20000), all("size"), all(), all()},
		"two parts":              {h + "." + p, all("form"), all(), all("size")},
		"header not base64url":   {"!" + good, all("encoding"), all("key", "signature"), claimChecks},
		"header not JSON":        {header(`{"alg"}`), all("header"), all("key", "signature"), claimChecks},
		"header member twice":    {header(`{"alg":"EdDSA","alg":"EdDSA"}`), all("header"), all("key", "signature"), claimChecks},
		"alg of the wrong type":  {header(`{"alg":5}`), all("alg"), all("key", "signature"), claimChecks},
		"alg none":               {header(`{"alg":"none"}`), all("alg"), all("key", "signature"), append(all("typ", "crit", "b64"), claimChecks...)},
		"alg of another key":     {header(`{"alg":"ES256","kid":"kid-EdDSA"}`), all("alg"), all("signature"), claimChecks},
		"typ, crit and b64":      {header(`{"alg":"EdDSA","typ":"dpop+jwt","crit":[],"b64":true}`), all("typ", "crit", "b64"), all("key", "signature"), append(all("alg"), claimChecks...)},
		"unknown key":            {header(`{"alg":"EdDSA","kid":"x"}`), all("key"), all("signature"), claimChecks},
		"another signature":      {h + "." + p + "." + b64(make([]byte, 64)), all("signature"), all(), append(all("key"), claimChecks...)},
		"signature not base64":   {h + "." + p + "." + s + "=", all("encoding"), all("key", "signature"), claimChecks},
		"payload not base64":     {signedAsIs(key, h, p+"="), all("encoding"), all(), all("key", "signature")},
		"neither is":             {h + "." + p + "=." + s + "=", all("encoding", "encoding"), all("key", "signature"), all("header")},
		"payload not JSON":       {tokenWith(key, "hello"), all("payload"), all(), all("key", "signature")},
		"expired":                {with(`"exp":1`), all("exp"), all(), all("signature", "nbf", "iat", "iss", "aud", "tenant")},
		"no exp":                 {with(`"-exp":1`), all("exp"), all(), all("signature", "nbf", "tenant")},
		"nbf":                    {with(`"nbf":1900000000`), all("nbf"), all(), all("exp", "iat")},
		"iat":                    {with(`"iat":1900000000`), all("iat"), all(), all("exp", "nbf")},
		"issuer":                 {with(`"iss":"x"`), all("iss"), all(), all("exp", "aud")},
		"audience":               {with(`"aud":"x"`), all("aud"), all(), all("exp", "iss")},
		"tenant":                 {with(`"tenantId":"x"`), all("tenant"), all(), all("exp", "iss")},
		"no tenant":              {with(`"tenantId":null`), all("tenant"), all(), all("exp", "iss")},
		"role of the wrong form": {with(`"role":5`), all("role"), all(), claimChecks},
		"everything at once": {key.Sign([]byte(`{"alg":"none","typ":"x","crit":[],"b64":1}`), []byte(`{"exp":1,"iat":1900000000,"nbf":1900000000}`)),
			all("alg", "typ", "crit", "b64", "tenant", "exp", "nbf", "iat", "iss", "aud"), all("key", "signature"), all("payload")},
	} {
		t.Run(name, func(t *testing.T) {
			r := explained(t, v, c.token)
			assert.ElementsMatch(t, c.failed, named(r, persauth.Failed))
			assert.Equal(t, c.skipped, named(r, persauth.Skipped))
			assert.Subset(t, named(r, persauth.Passed), c.passed)
		})
	}
}

// A report that ends with the caller's context says so like any other.
func TestExplainContextOver(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.True(t, v.Explain(ctx, tokenWith(keyFor("EdDSA"), goodClaims)).Valid, "nothing to wait for")
}

// Explain says what Verify says, also while PERS does not answer and Verify rests
// on what it remembers.
func TestExplainSaysWhatVerifySays(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) {
			cfg.Revocation = persauth.RevocationEvery(time.Minute).WithGrace(time.Hour)
		})
		token := pers.yearly()
		accepts(t, v, token)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		for range 2 {
			claims := accepts(t, v, token)
			r := v.Explain(t.Context(), token)
			require.True(t, r.Valid, "%v", r.Err)
			assert.Equal(t, claims.Verification(), r.Claims.Verification())
			time.Sleep(10 * time.Minute)
		}
	})
}
