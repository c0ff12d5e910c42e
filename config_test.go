package persauth_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// configFaults are changes to a good Config, each of which New refuses, and each
// of which it reports beside the others.
func configFaults() map[string]func(*persauth.Config) {
	return map[string]func(*persauth.Config){
		"negative leeway":       func(c *persauth.Config) { c.Leeway = -2 },
		"soft above hard age":   func(c *persauth.Config) { c.KeySoftAge = 25 * time.Hour },
		"unknown interval":      func(c *persauth.Config) { c.UnknownKeyInterval = time.Millisecond },
		"negative timeout":      func(c *persauth.Config) { c.Timeout = -1 },
		"negative instances":    func(c *persauth.Config) { c.Instances = -1 },
		"negative cache":        func(c *persauth.Config) { c.CacheTokens = -2 },
		"symmetric algorithm":   func(c *persauth.Config) { c.Algorithms = []string{"RS256", "HS256"} },
		"an empty tenant":       func(c *persauth.Config) { c.Tenants = []string{"acme", ""} },
		"claim names":           func(c *persauth.Config) { c.ClaimNames.Tenant = "sub" },
		"project key":           func(c *persauth.Config) { c.ProjectKey = "0123456789abcdef\n" },
		"plain http":            func(c *persauth.Config) { c.BaseURL = "http://api.example" },
		"keys that are no keys": func(c *persauth.Config) { c.Keys = persauth.StaticKeys([]byte("no keys")) },
	}
}

// goodConfig has a source of every kind. No test here makes a connection.
func goodConfig() persauth.Config {
	return persauth.Config{ProjectKey: "0123456789abcdef", Keys: persauth.StaticKeys([]byte(setFor("EdDSA")))}
}

// faults counts the errors that are joined in err.
func faults(err error) int {
	if err == nil {
		return 0
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		n := 0
		for _, one := range joined.Unwrap() {
			n += faults(one)
		}
		return n
	}
	if inner := errors.Unwrap(err); inner != nil {
		return faults(inner)
	}
	return 1
}

func TestNewReportsAllFaults(t *testing.T) {
	all := goodConfig()
	for name, change := range configFaults() {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig()
			change(&cfg)
			v, err := persauth.New(cfg)
			assert.Nil(t, v)
			assert.Equal(t, 1, faults(err), "%v", err)
		})
		change(&all)
	}
	v, err := persauth.New(all)
	assert.Nil(t, v)
	assert.Equal(t, len(configFaults()), faults(err), "%v", err)
}

func TestConfig(t *testing.T) {
	keys := persauth.StaticKeys([]byte(setFor("EdDSA")))
	dir := t.TempDir()
	file := filepath.Join(dir, "jwks.json")
	require.NoError(t, os.WriteFile(file, []byte(setFor("EdDSA")), 0o600))
	const pk = "pk_test_0123456789abcdef"

	for name, c := range map[string]struct {
		cfg  persauth.Config
		good bool
	}{
		"nothing":                        {persauth.Config{}, false},
		"keys":                           {persauth.Config{Keys: keys}, true},
		"project key":                    {persauth.Config{ProjectKey: pk}, true},
		"both":                           {persauth.Config{ProjectKey: pk, Keys: keys}, true},
		"offline without a source":       {persauth.Config{Offline: true}, false},
		"offline with a project key":     {persauth.Config{Offline: true, ProjectKey: pk}, false},
		"offline with keys":              {persauth.Config{Offline: true, Keys: keys}, true},
		"offline with both":              {persauth.Config{Offline: true, Keys: keys, ProjectKey: pk}, true},
		"offline, no snapshot yet":       {persauth.Config{Offline: true, ProjectKey: pk, Snapshot: filepath.Join(dir, "none")}, false},
		"snapshot without project key":   {persauth.Config{Keys: keys, Snapshot: filepath.Join(dir, "s")}, false},
		"snapshot with one":              {persauth.Config{ProjectKey: pk, Snapshot: filepath.Join(dir, "s")}, true},
		"a file":                         {persauth.Config{Keys: persauth.FileKeys(file)}, true},
		"no such file":                   {persauth.Config{Keys: persauth.FileKeys(file + "x")}, false},
		"a folder":                       {persauth.Config{Keys: persauth.FileKeys(dir)}, false},
		"a file system":                  {persauth.Config{Keys: persauth.FSKeys(os.DirFS(dir), "jwks.json")}, true},
		"no such file in it":             {persauth.Config{Keys: persauth.FSKeys(fstest.MapFS{}, "jwks.json")}, false},
		"a set that is empty":            {persauth.Config{Keys: persauth.StaticKeys([]byte(`{"keys":[]}`))}, false},
		"a seed that is no set":          {persauth.Config{ProjectKey: pk, Keys: persauth.StaticKeys([]byte(""))}, false},
		"leeway none":                    {persauth.Config{Keys: keys, Leeway: persauth.NoLeeway}, true},
		"leeway 10 min":                  {persauth.Config{Keys: keys, Leeway: 10 * time.Minute}, true},
		"leeway above":                   {persauth.Config{Keys: keys, Leeway: 10*time.Minute + 1}, false},
		"leeway negative":                {persauth.Config{Keys: keys, Leeway: -time.Second}, false},
		"soft age 1 s":                   {persauth.Config{Keys: keys, KeySoftAge: time.Second}, true},
		"soft age below":                 {persauth.Config{Keys: keys, KeySoftAge: time.Second - 1}, false},
		"soft age negative":              {persauth.Config{Keys: keys, KeySoftAge: -1}, false},
		"hard age as soft":               {persauth.Config{Keys: keys, KeySoftAge: time.Hour, KeyHardAge: time.Hour}, true},
		"hard age below soft":            {persauth.Config{Keys: keys, KeySoftAge: time.Hour, KeyHardAge: time.Hour - 1}, false},
		"hard age below default of soft": {persauth.Config{Keys: keys, KeyHardAge: time.Minute}, false},
		"unknown interval 1 s":           {persauth.Config{Keys: keys, UnknownKeyInterval: time.Second}, true},
		"unknown interval below":         {persauth.Config{Keys: keys, UnknownKeyInterval: time.Second - 1}, false},
		"timeout negative":               {persauth.Config{Keys: keys, Timeout: -time.Second}, false},
		"instances":                      {persauth.Config{Keys: keys, Instances: 10_000}, true},
		"instances without number":       {persauth.Config{Keys: keys, Instances: 10_001}, false},
		"no calls for symmetric tokens":  {persauth.Config{Keys: keys, RemoteAlgorithmCallsPerHour: persauth.NoCalls}, false},
		"less than none":                 {persauth.Config{Keys: keys, CacheTokens: -2}, false},
		"some algorithms":                {persauth.Config{Keys: keys, Algorithms: []string{"EdDSA", "PS512"}}, true},
		"HS256":                          {persauth.Config{Keys: keys, Algorithms: []string{"HS256"}}, false},
		"none":                           {persauth.Config{Keys: keys, Algorithms: []string{"none"}}, false},
		"an unknown algorithm":           {persauth.Config{Keys: keys, Algorithms: []string{"RS256", "ES256K"}}, false},
		"an algorithm in other case":     {persauth.Config{Keys: keys, Algorithms: []string{"rs256"}}, false},
		"an empty algorithm":             {persauth.Config{Keys: keys, Algorithms: []string{""}}, false},
		"tenants":                        {persauth.Config{Keys: keys, Tenants: []string{"acme"}}, true},
		"an empty tenant":                {persauth.Config{Keys: keys, Tenants: []string{""}}, false},
		"token types":                    {persauth.Config{Keys: keys, TokenTypes: []string{"JWT"}}, true},
		"an empty token type":            {persauth.Config{Keys: keys, TokenTypes: []string{"JWT", ""}}, false},

		"https":                  {persauth.Config{ProjectKey: pk, BaseURL: "https://api.example/v2/"}, true},
		"http":                   {persauth.Config{ProjectKey: pk, BaseURL: "http://api.example/v2"}, false},
		"http to loopback":       {persauth.Config{ProjectKey: pk, BaseURL: "http://127.0.0.1:8080"}, true},
		"http to IPv6 loopback":  {persauth.Config{ProjectKey: pk, BaseURL: "http://[::1]:8080"}, true},
		"http to localhost":      {persauth.Config{ProjectKey: pk, BaseURL: "http://LOCALHOST:8080"}, true},
		"http to localhost.evil": {persauth.Config{ProjectKey: pk, BaseURL: "http://localhost.evil.example"}, false},
		"http to 127.0.0.1.evil": {persauth.Config{ProjectKey: pk, BaseURL: "http://127.0.0.1.evil.example"}, false},
		"http to 0.0.0.0":        {persauth.Config{ProjectKey: pk, BaseURL: "http://0.0.0.0"}, false},
		"http, allowed":          {persauth.Config{ProjectKey: pk, BaseURL: "http://api.example", InsecureAllowHTTP: true}, true},
		"ftp, allowed or not":    {persauth.Config{ProjectKey: pk, BaseURL: "ftp://api.example", InsecureAllowHTTP: true}, false},
		"a file URL":             {persauth.Config{ProjectKey: pk, BaseURL: "file:///etc/jwks"}, false},
		"no scheme":              {persauth.Config{ProjectKey: pk, BaseURL: "api.example/v2"}, false},
		"no host":                {persauth.Config{ProjectKey: pk, BaseURL: "https:///v2"}, false},
		"a user":                 {persauth.Config{ProjectKey: pk, BaseURL: "https://user:pw@api.example"}, false},
		"a query":                {persauth.Config{ProjectKey: pk, BaseURL: "https://api.example?x=1"}, false},
		"an empty query":         {persauth.Config{ProjectKey: pk, BaseURL: "https://api.example?"}, false},
		"a fragment":             {persauth.Config{ProjectKey: pk, BaseURL: "https://api.example#x"}, false},
		"a control character":    {persauth.Config{ProjectKey: pk, BaseURL: "https://api.example/\n"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := persauth.New(c.cfg)
			if !c.good {
				require.Error(t, err)
				assert.Nil(t, v)
				return
			}
			require.NoError(t, err)
			v.Close()
		})
	}
}

// A project key that would not work is refused, and never repeated.
func TestConfigProjectKey(t *testing.T) {
	const secret = "5ec2e7"
	for key, good := range map[string]bool{
		secret:                    true,
		"pk_test_" + secret:       true,
		secret + "\n":             false,
		secret + "\r\nx-admin: 1": false,
		" " + secret:              false,
		secret + "\t":             false,
		secret + "\x00":           false,
		secret + " " + secret:     false,
		`"` + secret + `"`:        false,
		"${PERS_" + secret + "}":  false,
		secret + "\u200b":         false,
		secret + "é":              false,
		"Bearer " + secret:        false,
		"https://pers/" + secret:  false,
	} {
		t.Run(key, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{ProjectKey: key})
			if good {
				require.NoError(t, err)
				v.Close()
				return
			}
			require.Error(t, err)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

// Algorithms narrow down what is accepted, and never widen what a key is for.
func TestConfigAlgorithms(t *testing.T) {
	v := holding(t, setFor("RS256", "ES256"), func(cfg *persauth.Config) { cfg.Algorithms = []string{"ES256", "PS256"} })
	answers(t, v, tokenWith(keyFor("ES256"), goodClaims), nil)
	answers(t, v, tokenWith(keyFor("RS256"), goodClaims), persauth.ErrAlgorithm)
	pss := signingAs(keyFor("RS256"), "PS256")
	answers(t, v, tokenWith(pss, goodClaims), persauth.ErrAlgorithm)
}

// What is changed after New changes nothing.
func TestConfigIsCopied(t *testing.T) {
	set := []byte(setFor("EdDSA"))
	algorithms, tenants, types := []string{"EdDSA"}, []string{"acme"}, []string{"JWT"}
	v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(set), Algorithms: algorithms, Tenants: tenants,
		TokenTypes: types, Now: func() time.Time { return testTime }})
	require.NoError(t, err)
	defer v.Close()
	algorithms[0], tenants[0], types[0] = "RS256", "other", "dpop+jwt"
	clear(set)
	token := keyFor("EdDSA").Sign([]byte(`{"alg":"EdDSA","kid":"kid-EdDSA","typ":"JWT"}`), []byte(goodClaims))
	answers(t, v, token, nil)
}

// A file that has no end is not read to its end.
func TestConfigKeysFromEndlessFile(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no endless file here")
	}
	_, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("/dev/zero")})
	require.Error(t, err)
}
