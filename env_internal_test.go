package persauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFromEnv(t *testing.T) {
	from := func(env map[string]string) (Config, error) {
		return fromEnv(func(name string) (string, bool) { value, ok := env[name]; return value, ok })
	}
	cfg, err := from(map[string]string{
		"PERS_PROJECT_KEY": "0123456789abcdef", "PERS_BASE_URL": "http://127.0.0.1:1/v2", "PERS_SNAPSHOT": "keys.json", "PERS_ISSUER": "iss",
		"PERS_AUDIENCE": "aud", "PERS_TENANTS": "a, b", "PERS_DPOP_ORIGIN": "https://shop.example", "PERS_JWKS_FILE": "testdata/jwks.json", "PERS_INSTANCES": "3",
	})
	require.NoError(t, err)
	v, err := New(cfg)
	require.NoError(t, err)
	defer v.Close()
	assert.NotNil(t, cfg.Keys)
	cfg.Keys = nil // a function, which cannot be compared
	assert.Equal(t, Config{
		ProjectKey: "0123456789abcdef", BaseURL: "http://127.0.0.1:1/v2", Snapshot: "keys.json", Issuer: "iss", Audience: "aud",
		Tenants: []string{"a", "b"}, DPoP: DPoP{Origin: "https://shop.example"}, Instances: 3,
	}, cfg)

	const secret = "pk_test_5ec2e7 5ec2e7"
	for name, env := range map[string]map[string]string{
		"PERS_PROJECT_KEY is not set": {},
		"PERS_PROJECT_KEY: ":          {"PERS_PROJECT_KEY": secret},
		"PERS_PROJECT_KEY: is set":    {"PERS_PROJECT_KEY": ""},
		"PERS_BASE_URL: ":             {"PERS_PROJECT_KEY": "x", "PERS_BASE_URL": "http://" + strings.ReplaceAll(secret, " ", "") + ".example"},
		"PERS_JWKS_FILE: ":            {"PERS_JWKS_FILE": "testdata/none.json"},
		"PERS_ISSUER: is set":         {"PERS_PROJECT_KEY": "x", "PERS_ISSUER": ""},
		"PERS_TENANTS: ":              {"PERS_PROJECT_KEY": "x", "PERS_TENANTS": "a,,b"},
		"PERS_INSTANCES: ":            {"PERS_PROJECT_KEY": "x", "PERS_INSTANCES": "0"},
		"PERS_INSTANCES: must":        {"PERS_PROJECT_KEY": "x", "PERS_INSTANCES": "many"},
		"PERS_DPOP_ORIGIN: ":          {"PERS_PROJECT_KEY": "x", "PERS_DPOP_ORIGIN": "shop.example"},
	} {
		cfg, err := from(env)
		require.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "5ec2e7")
		assert.Equal(t, Config{}, cfg)
	}
}
