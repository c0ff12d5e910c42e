package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tokens of another implementation get the answer that it expects, in every
// form of output, and never come out again.
func TestFixtures(t *testing.T) {
	noConnections(t)
	env := []string{"PERS_PROJECT_KEY", secretKey}
	for _, f := range fixtures(t) {
		t.Run(f.Name, func(t *testing.T) {
			good := f.Expect == "valid"
			status := 1
			if good {
				status = 0
			}
			base := []string{"verify", "--offline", "--jwks", fixtureKeys}
			check := func(form string, got result) {
				assert.Equal(t, status, got.status, form)
				assert.Empty(t, got.stderr, form)
				signature := f.Token[strings.LastIndexByte(f.Token, '.')+1:]
				assert.NotContains(t, got.out, signature, form)
			}
			checkJSON := func(form, out string) {
				var a struct {
					Valid         bool
					Claims        json.RawMessage
					Error, Reason *string
				}
				require.NoError(t, json.Unmarshal([]byte(out), &a), form)
				assert.Equal(t, good, a.Valid, form)
				if good {
					assert.JSONEq(t, payload(t, f.Token), string(a.Claims), form)
					assert.Nil(t, a.Error, form)
					return
				}
				assert.Nil(t, a.Claims, form)
				require.NotNil(t, a.Error, form)
				assert.NotContains(t, []string{"", "internal", "unavailable"}, *a.Error, form)
				assert.Equal(t, f.Expect == "unknown-key", *a.Error == "unknown_key", form)
				assert.NotEmpty(t, *a.Reason, form)
			}

			got := call(t, f.Token+"\n", env, append(base, "--ndjson")...)
			check("ndjson", got)
			checkJSON("ndjson", got.out)
			assert.Equal(t, 1, strings.Count(got.out, "\n"))

			assert.Equal(t, got, call(t, "", env, append(base, "--ndjson", f.Token)...), "as an argument")

			got = call(t, "  \n\t "+f.Token+" \r\n\n", env, append(base, "--json")...)
			check("json", got)
			checkJSON("json", got.out)
			assert.True(t, strings.HasPrefix(got.out, "{\n  \"valid\": "), got.out)
			assert.Equal(t, good, strings.Contains(got.out, `"keyId": "pers-`), got.out)

			got = call(t, "", env, append(base, f.Token)...)
			check("human", got)
			assert.Equal(t, good, strings.HasPrefix(got.out, "✓ valid\n"), got.out)
			assert.Equal(t, !good, strings.HasPrefix(got.out, "✗ invalid\n"), got.out)

			got = call(t, f.Token, env, "explain", "--offline", "--jwks", fixtureKeys)
			check("explain", got)
			assert.Equal(t, !good, strings.Contains(got.out, "  ✗ "), got.out)
		})
	}
}

// What a person gets to read.
func TestHuman(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	iss.Clock().Set(time.Unix(1_800_000_000, 0))
	keys := file(t, iss.JWKS())
	token := iss.Token(map[string]any{"sub": "anna", "tenantId": "acme", "businessId": "shop", "authType": "business",
		"role": []string{"ADMIN", "a b"}, "cnf": map[string]string{"jkt": "abc"}})
	got := call(t, iss.ExpiredToken()+"\n"+token+"\n", nil, "verify", "--without-proof", "--jwks", keys, "--now", "1800000030")
	assert.Equal(t, 1, got.status)
	assert.Equal(t, `✗ invalid (line 1)
  token has expired: check exp: expired 1h ago (at 2027-01-15T07:00:00Z; leeway 30s), kid "test-key-1"

✓ valid (line 2)
  who        anna
  tenant     acme
  business   shop
  roles      ADMIN, "a b"
  auth type  business
  expires    2027-01-15 08:15:00 UTC (in 14m)
  key        test-key-1 (ES256)
  note       bound to the client key abc: worth nothing without a proof by that key
`, got.out)

	got = call(t, "", nil, "verify", "--jwks", keys, "--now", "1800000030", "--issuer", "pers", "--audience", "shop", token)
	assert.Equal(t, 1, got.status)
	assert.Equal(t, 3, strings.Count(got.out, "\n"), "one line for each reason: %s", got.out)
	got = call(t, token, nil, "verify", "--jwks", keys, "--now", "1800000030")
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.out, "✗ invalid (line 1)\n  proof is not accepted", "a bound token alone")
}

// Every flag that a token is held against, on both sides of its edge.
func TestFlags(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	keys := file(t, iss.JWKS())
	const exp = 1_800_000_000
	claims := map[string]any{"iat": exp - 900, "exp": exp, "iss": "pers", "aud": []string{"shop", "till"}, "tenantId": "acme"}
	token := iss.Token(claims)
	notJSON := iss.Keys()[0].Sign([]byte(`{"alg":"ES256","kid":"test-key-1"}`), []byte("just text"))
	now := []string{"--now", "1799999999"}
	for name, c := range map[string]struct {
		token string
		args  []string
		want  int
	}{
		"in time":                   {args: now, want: 0},
		"issuer":                    {args: append(now, "--issuer", "pers"), want: 0},
		"another issuer":            {args: append(now, "--issuer", "Pers"), want: 1},
		"audience":                  {args: append(now, "--audience", "till"), want: 0},
		"another audience":          {args: append(now, "--audience", "shop,till"), want: 1},
		"tenant":                    {args: append(now, "--tenant", "acme"), want: 0},
		"one of several tenants":    {args: append(now, "--tenant", "other", "--tenant", "acme"), want: 0},
		"another tenant":            {args: append(now, "--tenant", "other"), want: 1},
		"tenants are not a list":    {args: append(now, "--tenant", "other,acme"), want: 1},
		"system clock":              {token: iss.UserToken("acme"), want: 0},
		"system clock, expired":     {token: iss.ExpiredToken(), want: 1},
		"RFC 3339":                  {args: []string{"--now", "2027-01-15T08:00:00Z"}, want: 0},
		"RFC 3339, zone":            {args: []string{"--now", "2027-01-15T10:00:29.999+02:00"}, want: 0},
		"RFC 3339, too late":        {args: []string{"--now", "2027-01-15T10:00:30+02:00"}, want: 1},
		"default leeway":            {args: []string{"--now", "1800000029.999"}, want: 0},
		"default leeway, over":      {args: []string{"--now", "1800000030"}, want: 1},
		"no leeway":                 {args: []string{"--now", "1799999999.999999", "--leeway", "0"}, want: 0},
		"no leeway, over":           {args: []string{"--now", "1800000000", "--leeway", "0s"}, want: 1},
		"leeway":                    {args: []string{"--now", "1800000089", "--leeway", "1m30s"}, want: 0},
		"leeway, over":              {args: []string{"--now", "1800000090", "--leeway", "1m30s"}, want: 1},
		"before it was issued":      {args: []string{"--now", "1799999000"}, want: 1},
		"before 1970":               {args: []string{"--now", "-1.5"}, want: 1},
		"signature only":            {args: []string{"--signature-only"}, want: 0},
		"signature only, expired":   {args: []string{"--signature-only", "--now", "1900000000"}, want: 0},
		"signature only, not JSON":  {token: notJSON, args: []string{"--signature-only"}, want: 0},
		"not JSON":                  {token: notJSON, args: now, want: 1},
		"signature only, forged":    {token: iss.ForgedToken(), args: []string{"--signature-only"}, want: 1},
		"signature only, other key": {token: iss.UnknownKeyToken(), args: []string{"--signature-only"}, want: 1},
		"unknown key":               {token: iss.UnknownKeyToken(), want: 1},
		"offline":                   {args: append(now, "--offline"), want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.token == "" {
				c.token = token
			}
			args := append([]string{"--jwks", keys}, c.args...)
			for _, form := range []string{"", "--json", "--ndjson"} {
				args := append([]string{"verify"}, args...)
				if form != "" {
					args = append(args, form)
				}
				got := call(t, c.token, nil, args...)
				assert.Equal(t, c.want, got.status, "%s: %s%s", form, got.out, got.stderr)
				if c.want == 0 && form != "" && args[3] == "--signature-only" {
					assert.Equal(t, "{\"valid\":true}\n", got.out)
				}
			}
			if len(c.args) == 0 || c.args[0] != "--signature-only" {
				got := call(t, c.token, nil, append([]string{"explain"}, args...)...)
				assert.Equal(t, c.want, got.status, "explain: %s%s", got.out, got.stderr)
			}
		})
	}
	got := call(t, token, nil, "verify", "--jwks", keys, "--signature-only")
	assert.Equal(t, "✓ signature is valid (line 1)\n  This says nothing about who calls: the claims were not looked at.\n", got.out)
}

// A token as an argument is taken as it is.
func TestArgumentIsNotTrimmed(t *testing.T) {
	token := valid(t)
	assert.Equal(t, 0, call(t, "", nil, "verify", "--jwks", fixtureKeys, token).status)
	assert.Equal(t, 1, call(t, "", nil, "verify", "--jwks", fixtureKeys, token+"\n").status)
	assert.Equal(t, 1, call(t, "", nil, "verify", "--jwks", fixtureKeys, "").status)
	assert.Equal(t, 0, call(t, token, nil, "verify", "--jwks", fixtureKeys, "-").status)
}

// A pipeline whose first command failed does not pass, in no form of output.
func TestNoInput(t *testing.T) {
	keys := []string{"--jwks", fixtureKeys}
	for name, c := range map[string]struct {
		args []string
		in   string
	}{
		"verify":                {append([]string{"verify"}, keys...), ""},
		"verify, blank lines":   {append([]string{"verify"}, keys...), " \n\r\n\n"},
		"verify, dash":          {append([]string{"verify", "-"}, keys...), ""},
		"verify --json":         {append([]string{"verify", "--json"}, keys...), ""},
		"verify --ndjson":       {append([]string{"verify", "--ndjson"}, keys...), ""},
		"verify --ndjson, dash": {append([]string{"verify", "--ndjson", "-"}, keys...), ""},
		"explain":               {append([]string{"explain"}, keys...), "\n"},
		"inspect":               {[]string{"inspect"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, c.in, nil, c.args...)
			assert.Equal(t, 2, got.status)
			assert.Empty(t, got.out)
			assert.Contains(t, got.stderr, "persauth: standard input had no token")
		})
	}
}

// The whole value of a header is not a token.
func TestSchemeBeforeToken(t *testing.T) {
	for _, scheme := range []string{"Bearer ", "bearer ", "DPoP  "} {
		for _, args := range [][]string{{"verify", "--jwks", fixtureKeys}, {"verify", "--signature-only", "--jwks", fixtureKeys},
			{"explain", "--jwks", fixtureKeys}, {"inspect"}} {
			got := call(t, scheme+valid(t), nil, args...)
			assert.Equal(t, 1, got.status)
			assert.Contains(t, got.out, "pass the token alone", "%v", args)
			assert.NotContains(t, got.out, valid(t)[:12])
		}
	}
}

// Who gives the name of a file is told what to type; and a token that is no file
// is not repeated.
func TestFileInPlaceOfToken(t *testing.T) {
	token := valid(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("tokens.txt", []byte(token), 0o600))
	require.NoError(t, os.WriteFile("it's mine.txt", nil, 0o600))
	require.NoError(t, os.Mkdir("folder", 0o700))
	for _, command := range [][]string{{"verify", "--offline"}, {"verify", "--ndjson"}, {"explain"}, {"inspect"}} {
		got := call(t, "", nil, append(command, "tokens.txt")...)
		assert.Equal(t, 2, got.status, command)
		assert.Empty(t, got.out)
		assert.Contains(t, got.stderr, ": persauth "+command[0]+" < tokens.txt\n")
	}
	got := call(t, "", nil, "inspect", "it's mine.txt")
	assert.Contains(t, got.stderr, `persauth inspect < 'it'\''s mine.txt'`)
	for _, argument := range []string{"folder", "tokens.csv"} {
		got = call(t, "", nil, "inspect", argument)
		assert.Equal(t, 1, got.status)
		assert.NotContains(t, got.out+got.stderr, argument)
	}
}

// persServer is the part of PERS that gives out keys, to one tenant, and accepts
// no token: what it has signed is revoked.
func persServer(t *testing.T, iss *persauthtest.Issuer) (base string, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("x-project-key") != secretKey {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/v2/.well-known/jwks.json":
			_, _ = w.Write(iss.JWKS())
		case "/v2/auth/verify":
			_, _ = w.Write([]byte(`{"valid":false,"payload":null,"errorMessage":"Invalid token"}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v2", asked
}

// Keys from PERS: with flags or from the environment, up, down, and offline.
func TestRemoteKeys(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	seed := file(t, iss.JWKS())
	iss.Rotate()
	base, asked := persServer(t, iss)
	down := httptest.NewServer(nil)
	down.Close()
	env := []string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", base}
	envDown := []string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", down.URL}
	token, strange := iss.UserToken("acme"), iss.UnknownKeyToken()
	old := iss.TokenBy(iss.Keys()[0], map[string]any{})
	for name, c := range map[string]struct {
		token string
		env   []string
		args  []string
		want  int
		asks  bool
	}{
		"environment":               {token: token, env: env, want: 0, asks: true},
		"flags":                     {token: token, args: []string{"--project-key", secretKey, "--base-url", base}, want: 0, asks: true},
		"flags over environment":    {token: token, env: []string{"PERS_PROJECT_KEY", "other", "PERS_BASE_URL", down.URL}, args: []string{"--project-key", secretKey, "--base-url", base}, want: 0, asks: true},
		"unknown key":               {token: strange, env: env, want: 1, asks: true},
		"revoked, not asked":        {token: token, env: env, want: 0, asks: true},
		"revoked":                   {token: token, env: env, args: []string{"--live"}, want: 1, asks: true},
		"revoked or not, down":      {token: old, env: envDown, args: []string{"--jwks", seed, "--live"}, want: 3},
		"live, no project key":      {token: old, args: []string{"--jwks", seed, "--live"}, want: 2},
		"live, offline":             {token: old, env: env, args: []string{"--jwks", seed, "--live", "--offline"}, want: 2},
		"newer than the seed":       {token: token, env: env, args: []string{"--jwks", seed}, want: 0, asks: true},
		"newer, offline":            {token: token, env: env, args: []string{"--jwks", seed, "--offline"}, want: 1},
		"in the seed, offline":      {token: old, env: env, args: []string{"--jwks", seed, "--offline"}, want: 0},
		"offline, key as flag":      {token: token, args: []string{"--jwks", seed, "--offline", "--project-key", secretKey, "--base-url", base}, want: 1},
		"no key, an address":        {token: token, env: []string{"PERS_BASE_URL", base}, args: []string{"--jwks", seed}, want: 1},
		"wrong project key":         {token: token, env: []string{"PERS_PROJECT_KEY", "other", "PERS_BASE_URL", base}, want: 3, asks: true},
		"down":                      {token: token, env: envDown, want: 3},
		"down, in the seed":         {token: old, env: envDown, args: []string{"--jwks", seed}, want: 0},
		"down, newer than the seed": {token: token, env: envDown, args: []string{"--jwks", seed}, want: 3},
		"down, and malformed":       {token: "a.b", env: envDown, want: 1},
		"signature only, down":      {token: token, env: envDown, args: []string{"--signature-only"}, want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range [][]string{{"verify"}, {"verify", "--ndjson"}, {"verify", "--json"}, {"explain"}} {
				args := append(command, c.args...)
				if command[0] == "explain" && strings.Contains(name, "signature") {
					continue
				}
				asked.Store(0)
				got := call(t, c.token, c.env, args...)
				assert.Equal(t, c.want, got.status, "%s: %s%s", args, got.out, got.stderr)
				assert.Equal(t, c.asks, asked.Load() > 0, "%s: asked %d times", args, asked.Load())
				if command[0] == "verify" && len(command) == 2 && c.want == 3 {
					assert.Contains(t, strings.ReplaceAll(got.out, " ", ""), `"error":"unavailable"`)
				}
			}
		})
	}
}

// One answer that is surely "no" decides, whatever could not be told.
func TestStatusOfSeveral(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	good, bad, unknown := iss.UserToken("acme"), "a.b", iss.UnknownKeyToken()
	down := httptest.NewServer(nil)
	down.Close()
	env := []string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", down.URL}
	keys := file(t, iss.JWKS())
	for _, c := range []struct {
		want   int
		tokens []string
	}{
		{0, []string{good, good}},
		{1, []string{good, bad}},
		{3, []string{good, unknown}},
		{3, []string{unknown, good}},
		{1, []string{unknown, bad, good}},
		{1, []string{bad, unknown}},
	} {
		for _, command := range [][]string{{"verify"}, {"verify", "--json"}, {"verify", "--ndjson"}, {"explain"}} {
			got := call(t, strings.Join(c.tokens, "\n"), env, append(command, "--jwks", keys)...)
			assert.Equal(t, c.want, got.status, fmt.Sprint(command, got.out))
		}
	}
}
