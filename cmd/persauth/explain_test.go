package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All faults of a token show at once, each with its want and got.
func TestExplain(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	keys := file(t, iss.JWKS())
	token := iss.Token(map[string]any{"iat": 1, "exp": 1000, "iss": "mallory", "tenantId": "other"})
	args := []string{"explain", "--jwks", keys, "--issuer", "pers", "--tenant", "acme", "--now", "2000"}

	got := call(t, token, nil, args...)
	assert.Equal(t, 1, got.status)
	for _, line := range []string{
		"  ✓ signature  ",
		"  ✗ exp        want a time in the future; got expired 16m40s ago (at 1970-01-01T00:16:40Z; leeway 30s)",
		`  ✗ iss        want "pers"; got "mallory"`,
		`  ✗ tenant     want "acme"; got "other"`,
	} {
		assert.Contains(t, got.out, line)
	}
	assert.NotContains(t, got.out, token[strings.LastIndexByte(token, '.')+1:])

	got = call(t, "", nil, append(args, "--json", token)...)
	assert.Equal(t, 1, got.status)
	var report struct {
		Valid         bool
		Error, Reason string
		Claims        any
		Checks        []persauth.Check
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	assert.False(t, report.Valid)
	assert.Nil(t, report.Claims)
	assert.Equal(t, "expired", report.Error)
	assert.NotEmpty(t, report.Reason)
	failed := map[string]bool{}
	for _, c := range report.Checks {
		failed[c.Name] = c.Result == persauth.Failed
	}
	assert.Equal(t, map[string]bool{"exp": true, "iss": true, "tenant": true, "signature": false, "key": false, "size": false, "form": false,
		"header": false, "alg": false, "typ": false, "crit": false, "b64": false, "payload": false, "nbf": false, "iat": false, "aud": false, "authType": false, "kind": false}, failed)

	// A failure that leaves nothing to look at.
	got = call(t, iss.UnknownKeyToken(), nil, "explain", "--jwks", keys)
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.out, "  – signature  not looked at\n")

	// A valid token has claims, and says how it was verified.
	got = call(t, iss.UserToken("acme"), nil, "explain", "--jwks", keys, "--json")
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.out, `"tenantId": "acme"`)
	assert.Contains(t, got.out, `"keyId": "test-key-1"`)
	got = call(t, iss.UserToken("acme"), nil, "explain", "--jwks", keys)
	assert.Contains(t, got.out, "✓ valid (line 1)\n  who ")
	assert.NotContains(t, got.out, "✗")
}
