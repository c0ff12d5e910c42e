package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mock is a persauth mock that runs.
type mock struct {
	env      []string // what it says should be exported
	base     string
	mint     string // the line it gives for a token
	warnings string
}

// startMock runs the command until the test ends, or stop is called, which
// returns the exit status.
func startMock(t *testing.T, args ...string) (m mock, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		defer writer.Close()
		status <- run(ctx, append([]string{"mock", "--addr", "127.0.0.1:0"}, args...), strings.NewReader(""), writer, &stderr,
			func(string) string { return "" })
	}()
	said := make([]byte, 64<<10)
	n, err := reader.Read(said) // all is said at once
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`export (\w+)=(\S+)`).FindAllStringSubmatch(string(said[:n]), -1) {
		m.env = append(m.env, match[1], match[2])
	}
	require.Len(t, m.env, 4, "%s", said[:n])
	m.base = m.env[1]
	assert.Contains(t, string(said[:n]), "curl -H 'x-project-key: "+m.env[3]+"' "+m.base+"/.well-known/jwks.json")
	m.mint = regexp.MustCompile(`persauth (mint.*) \| persauth verify`).FindStringSubmatch(string(said[:n]))[1]
	m.warnings = stderr.String()
	ended := -1
	stop = func() int {
		if ended < 0 {
			cancel()
			ended = <-status
		}
		return ended
	}
	t.Cleanup(func() { stop() })
	return m, stop
}

// What mint signs, verify accepts, with nothing said but what the mock said.
func TestMockAndMint(t *testing.T) {
	for name, args := range map[string][]string{
		"usual":      nil,
		"a seed":     {"--seed", "it's mine"},
		"algorithms": {"--algorithms", "RS256,EdDSA"},
		"settings":   {"--issuer", "https://pers.example", "--audience", "shop", "--audience", "bank", "--claim-names", "tenant=org.id,role=org.roles"},
	} {
		t.Run(name, func(t *testing.T) {
			m, stop := startMock(t, args...)
			assert.Contains(t, m.warnings, "NOT FOR PRODUCTION")
			assert.Equal(t, []string{"PERS_BASE_URL", m.base, "PERS_PROJECT_KEY"}, m.env[:3])
			if name == "a seed" {
				assert.Equal(t, `mint --seed 'it'\''s mine'`, m.mint)
			} else if name == "settings" {
				assert.Equal(t, "mint --issuer https://pers.example --audience shop --audience bank --claim-names 'tenant=org.id,role=org.roles'", m.mint)
			} else {
				assert.Equal(t, strings.Join(append([]string{"mint"}, args...), " "), m.mint)
			}
			mint := func(more ...string) string {
				got := call(t, "", nil, append(append([]string{"mint"}, args...), more...)...)
				require.Equal(t, 0, got.status, got.stderr)
				return got.out
			}
			for _, more := range [][]string{nil, {"--type", "business", "--role", "ADMIN"}, {"--type", "tenant"}, {"--type", "system"}} {
				verify := []string{"verify", "--live"}
				if name == "settings" {
					verify = append(verify, "--issuer", "https://pers.example", "--audience", "bank", "--claim-names", "tenant=org.id,role=org.roles")
				}
				got := call(t, mint(more...), m.env, verify...)
				assert.Equal(t, 0, got.status, "%s %s", more, got.out)
			}
			if name == "settings" {
				return
			}
			assert.Equal(t, 1, call(t, mint("--expires-in", "-1h"), m.env, "verify").status)
			stranger := call(t, "", nil, "mint", "--seed", "another").out
			assert.Equal(t, 1, call(t, stranger, m.env, "verify").status)
			if name == "algorithms" {
				for _, alg := range []string{"RS256", "EdDSA"} {
					got := call(t, mint("--alg", alg), m.env, "verify", "--json")
					assert.Contains(t, got.out, `"algorithm": "`+alg+`"`)
				}
			}

			assert.Equal(t, exitInterrupted, stop())
			assert.Equal(t, 3, call(t, mint(), m.env, "verify").status, "it is gone")
			assert.NotEqual(t, mint(), mint(), "each token has an id of its own")
		})
	}
}

func TestMintClaims(t *testing.T) {
	claims := func(args ...string) map[string]any {
		got := call(t, "", nil, append([]string{"mint"}, args...)...)
		require.Equal(t, 0, got.status, got.stderr)
		var all map[string]any
		require.NoError(t, json.Unmarshal([]byte(payload(t, strings.TrimSuffix(got.out, "\n"))), &all))
		return all
	}
	life := func(c map[string]any) time.Duration {
		return time.Duration(c["exp"].(float64)-c["iat"].(float64)) * time.Second
	}
	c := claims()
	assert.Equal(t, "user", c["authType"])
	assert.Equal(t, 15*time.Minute, life(c))
	assert.NotContains(t, c, "role")
	c = claims("--type", "business", "--tenant", "acme", "--business", "shop", "--role", "ADMIN", "--role", "CASHIER", "--expires-in", "2h")
	assert.Equal(t, []any{"business", "acme", "shop", []any{"ADMIN", "CASHIER"}}, []any{c["authType"], c["tenantId"], c["businessId"], c["role"]})
	assert.Equal(t, 2*time.Hour, life(c))
	c = claims("--type", "system", "--role", "R", "--claims", `{"jti":null,"sub":"me","n":12345678901234567}`)
	assert.Equal(t, []any{"me", "R"}, []any{c["sub"], c["role"]})
	assert.NotContains(t, c, "jti")
	assert.Equal(t, 365*24*time.Hour, life(c))
	assert.NotEmpty(t, claims("--type", "business")["businessId"])
}

func TestMockAndMintUsage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"address taken":         {[]string{"mock", "--addr", taken.Addr().String()}, "--addr"},
		"no address":            {[]string{"mock", "--addr", "nowhere"}, "--addr"},
		"mock: an argument":     {[]string{"mock", "x"}, "no argument"},
		"mock: empty seed":      {[]string{"mock", "--seed", ""}, "it is empty"},
		"mock: algorithm":       {[]string{"mock", "--algorithms", "HS256"}, "HS256"},
		"mint: no algorithm":    {[]string{"mint", "--algorithms", ""}, "at least one algorithm"},
		"mint: other algorithm": {[]string{"mint", "--alg", "RS256"}, "there is no key for RS256: add it, as in --algorithms ES256,RS256, to mint and to mock"},
		"mint: no such key":     {[]string{"mint", "--keys", "/no/such/file"}, "/no/such/file"},
		"mint: keys twice":      {[]string{"mint", "--keys", "x", "--algorithms", "RS256"}, "exclude each other"},
		"mock: keys twice":      {[]string{"mock", "--keys", "x", "--algorithms", "RS256"}, "exclude each other"},
		"mint: DPoP key":        {[]string{"mint", "--dpop-key", fixtureKeys}, "--dpop-key: ../../testdata/jwks.json: key 0 is public"},
		"mint: claim names":     {[]string{"mint", "--claim-names", "tenant"}, "want name=path"},
		"verify: claim names":   {[]string{"verify", "--claim-names", "shop=x", "a"}, "there is no shop: want tenant"},
		"mock: claims":          {[]string{"mock", "--claims", "[]"}, "--claims"},
		"mint: type":            {[]string{"mint", "--type", "admin"}, "--type"},
		"mint: business":        {[]string{"mint", "--business", "b"}, "--type business"},
		"mint: claims":          {[]string{"mint", "--claims", "[]"}, "--claims"},
		"mint: null":            {[]string{"mint", "--claims", "null"}, "--claims"},
		"mint: expiry":          {[]string{"mint", "--expires-in", "soon"}, "--expires-in"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, "", nil, c.args...)
			assert.Equal(t, 2, got.status)
			assert.Contains(t, got.stderr, c.want)
			assert.Empty(t, got.out)
		})
	}
}

// A page in a browser, from another address, may ask.
func TestMockForBrowsers(t *testing.T) {
	m, _ := startMock(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, m.base+"/auth/verify", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "http://localhost:3000")
	r.Header.Set("Access-Control-Request-Headers", "x-project-key")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusNoContent, response.StatusCode)
	assert.Contains(t, response.Header.Get("Access-Control-Allow-Headers"), "x-project-key")

	response, err = http.Get(m.base + "/.well-known/jwks.json")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode, "without the project key")
	assert.Equal(t, "*", response.Header.Get("Access-Control-Allow-Origin"))
}

// Keys of one's own, in the mock and in tokens, and a client's key to bind them
// to.
func TestOwnKeys(t *testing.T) {
	private := file(t, ownKey(t))
	m, _ := startMock(t, "--keys", private, "--claims", `{"email":"ann@example.com"}`)
	assert.Equal(t, "mint --keys "+private, m.mint)
	token := call(t, "", nil, "mint", "--keys", private, "--type", "user").out
	got := call(t, token, m.env, "verify", "--live", "--json")
	assert.Equal(t, 0, got.status, got.out)

	client, err := persauthtest.ReadKeys(persauthtest.KeyFile(file(t, ownKey(t))))
	require.NoError(t, err)
	bound := file(t, ownKey(t))
	keys, err := persauthtest.ReadKeys(persauthtest.KeyFile(bound))
	require.NoError(t, err)
	require.NotEqual(t, client[0].Thumbprint(), keys[0].Thumbprint())
	token = call(t, "", nil, "mint", "--keys", private, "--dpop-key", bound).out
	assert.Contains(t, payload(t, strings.TrimSpace(token)), `"cnf":{"jkt":"`+keys[0].Thumbprint()+`"}`)

	// The mock's own tokens have the claims.
	body := `{"authToken":"a provider's","authType":"user"}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.base+"/auth/token", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Project-Key", m.env[3])
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	var pair struct {
		AccessToken string `json:"accessToken"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&pair))
	assert.Contains(t, payload(t, pair.AccessToken), "ann@example.com")
}

// ownKey is a new private key as PEM.
func ownKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
