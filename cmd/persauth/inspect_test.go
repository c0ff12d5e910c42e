package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compact puts the parts of a token together.
func compact(header, payload, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(payload)) + "." + e([]byte(signature))
}

func TestInspect(t *testing.T) {
	exp := time.Now().Add(14*time.Minute + 30*time.Second)
	claims := fmt.Sprintf(`{"sub":"anna","exp":%d,"nbf":"soon","deep":{"a":[1, 2]},"n":1e300}`, exp.Unix())
	token := compact(`{"alg":"none","kid":"k"}`, claims, "secret signature")

	got := call(t, token, []string{"PERS_PROJECT_KEY", secretKey}, "inspect")
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.stderr, "NOT VERIFIED")
	assert.Contains(t, got.out, "NOT VERIFIED")
	assert.Contains(t, got.out, "alg  \"none\"\n")
	assert.Contains(t, got.out, fmt.Sprintf("exp   %d  %s UTC (in 14m)\n", exp.Unix(), exp.UTC().Format(time.DateTime)))
	assert.Contains(t, got.out, `nbf   "soon"`)
	assert.Contains(t, got.out, `{"a":[1,2]}`)
	assert.Contains(t, got.out, "16 bytes, not checked")
	assert.NotContains(t, got.out, token[strings.LastIndexByte(token, '.')+1:])
	assert.NotContains(t, got.out, "secret")

	got = call(t, "", nil, "inspect", "--json", token)
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.stderr, "NOT VERIFIED")
	assert.JSONEq(t, `{"verified":false,"header":{"alg":"none","kid":"k"},"claims":`+claims+
		`,"times":{"exp":"`+exp.UTC().Format(time.RFC3339)+`"}}`, got.out)

	for _, f := range fixtures(t) {
		assert.Equal(t, 0, call(t, f.Token, nil, "inspect").status, f.Name)
	}
	assert.Equal(t, 1, call(t, token+"\nx.y\n"+token, nil, "inspect").status)
}

func TestInspectRefuses(t *testing.T) {
	good := compact(`{}`, `{}`, "s")
	for name, token := range map[string]string{
		"nothing":            "",
		"two parts":          "e30.e30",
		"five parts":         "e30.e30.e30.e30.e30",
		"padding":            "e30=.e30.cw",
		"another alphabet":   "e30.e30.++++",
		"loose bits":         "e30.e30.cx",
		"line break":         good[:4] + "\n" + good[4:],
		"lone line break":    "e30.e30.AAAA\r",
		"not JSON":           compact(`{}`, `{`, ""),
		"not an object":      compact(`{}`, `[]`, ""),
		"header not one":     compact(`null`, `{}`, ""),
		"member twice":       compact(`{}`, `{"a":1,"\u0061":2}`, ""),
		"invalid UTF-8":      compact(`{}`, "{\"a\":\"\xff\"}", ""),
		"more after the end": compact(`{}`, `{}{}`, ""),
		"too long":           compact(`{}`, `{"a":"`+strings.Repeat("a", maxToken)+`"}`, ""),
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, "", nil, "inspect", token)
			assert.Equal(t, 1, got.status, got.out)
			assert.Contains(t, got.out, "✗ invalid")
			got = call(t, "", nil, "inspect", "--json", token)
			assert.Equal(t, 1, got.status)
			var a map[string]any
			require.NoError(t, json.Unmarshal([]byte(got.out), &a))
			assert.Equal(t, "malformed", a["error"])
			assert.NotContains(t, a, "claims")
		})
	}
	assert.Equal(t, 0, call(t, "", nil, "inspect", good).status)
}

// What inspect takes for a token has one reading, and no other token has it.
func FuzzDecode(f *testing.F) {
	for _, x := range fixtures(f) {
		f.Add(x.Token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		d, err := decode(line{token: token})
		if err != nil {
			require.ErrorIs(t, err, persauth.ErrMalformed)
			return
		}
		require.Less(t, d.SignatureSize, len(token))
		e := base64.RawURLEncoding.EncodeToString
		require.True(t, strings.HasPrefix(token, e(d.Header)+"."+e(d.Claims)+"."))
		requirePrintable(t, d.describe(line{}, time.Now()))
		out, err := d.json(answer{})
		require.NoError(t, err)
		require.True(t, json.Valid(out))
	})
}
