package main

// A session from the shell: login, token, curl, logout.

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// account is a user of a fake PERS, with a file for a session.
type account struct {
	*persauthtest.Server
	iss  *persauthtest.Issuer
	env  []string
	path string
}

func newAccount(t *testing.T, options ...persauthtest.ServerOption) account {
	iss := persauthtest.NewIssuer(t)
	a := account{Server: persauthtest.NewServer(t, iss, options...), iss: iss, path: filepath.Join(t.TempDir(), "folder", "session.json")}
	a.env = []string{"PERS_BASE_URL", a.URL(), "PERS_PROJECT_KEY", a.ProjectKey(), "PERSAUTH_SESSION", a.path}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return a
}

const providerToken = "a.providers-secret.token"

// call runs the command, and sees to it that no token comes out where none should.
func (a account) call(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	got := call(t, stdin, a.env, args...)
	for _, secret := range []string{a.ProjectKey(), providerToken} {
		assert.NotContains(t, got.out+got.stderr, secret, args)
	}
	assert.NotContains(t, got.stderr, "eyJ", args)
	if args[0] != "token" {
		assert.NotContains(t, got.out, "eyJ", args)
	}
	return got
}

func (a account) login(t *testing.T, args ...string) {
	t.Helper()
	got := a.call(t, providerToken+"\n", append([]string{"login"}, args...)...)
	require.Equal(t, exitValid, got.status, got.stderr)
	assert.Contains(t, got.out, a.path)
}

// age makes the session older than it is.
func (a account) age(t *testing.T, by time.Duration) {
	t.Helper()
	content, err := os.ReadFile(a.path)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(content, &members))
	for _, name := range []string{"obtainedAt", "expiresAt"} {
		at, err := time.Parse(time.RFC3339, members[name].(string))
		require.NoError(t, err)
		members[name] = at.Add(-by)
	}
	content, err = json.Marshal(members)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.path, content, 0o600))
}

func TestLoginTokenLogout(t *testing.T) {
	a := newAccount(t)
	got := a.call(t, "", "token")
	assert.Equal(t, exitInvalid, got.status)
	assert.Contains(t, got.stderr, "sign in again: there is no session: see persauth login")
	assert.NoFileExists(t, a.path)

	a.login(t)
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{a.path: 0o600, filepath.Dir(a.path): 0o700} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode().Perm(), path)
		}
	}
	v := a.Verifier()
	token := func() string {
		got := a.call(t, "", "token")
		require.Equal(t, exitValid, got.status, got.stderr)
		token, found := strings.CutSuffix(got.out, "\n")
		require.True(t, found)
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		return token
	}
	first := token()
	assert.Equal(t, first, token(), "it lives")
	assert.Zero(t, a.Count(persauthtest.EndpointRefresh))
	a.age(t, 16*time.Minute)
	second := token()
	assert.NotEqual(t, first, second)
	assert.Equal(t, second, token())
	assert.Equal(t, 1, a.Count(persauthtest.EndpointRefresh))

	a.Fault(persauthtest.EndpointRefresh, persauthtest.Down)
	a.age(t, 14*time.Minute)
	assert.Equal(t, second, token(), "PERS is away, and the token lives")
	a.age(t, 16*time.Minute)
	got = a.call(t, "", "token")
	assert.Equal(t, exitUnknown, got.status)
	assert.Empty(t, got.out)
	a.Heal()
	token()

	assert.Equal(t, exitValid, a.call(t, "", "logout").status)
	assert.NoFileExists(t, a.path)
	assert.Equal(t, exitValid, a.call(t, "", "logout").status, "there is none, as asked for")
	assert.Equal(t, exitInvalid, a.call(t, "", "token").status)
}

// A session that has ended says so, and a file that is not one is left alone, but
// for logout.
func TestSessionEnds(t *testing.T) {
	a := newAccount(t)
	a.login(t)
	a.Fault(persauthtest.EndpointRefresh, persauthtest.Answer(401, "{}"))
	a.age(t, time.Hour)
	got := a.call(t, "", "token")
	assert.Equal(t, exitInvalid, got.status)
	assert.Contains(t, got.stderr, "see persauth login")
	require.NoError(t, os.WriteFile(a.path, []byte("eyJ-garbage"), 0o600))
	got = a.call(t, "", "token")
	assert.Equal(t, exitUsage, got.status)
	assert.Contains(t, got.stderr, "not a session")
	assert.Equal(t, exitValid, a.call(t, "", "logout").status)
	assert.NoFileExists(t, a.path)

	b := newAccount(t)
	b.path, b.env[5] = a.path, a.path
	b.login(t)
	got = a.call(t, "", "token")
	assert.Equal(t, exitUsage, got.status)
	assert.Contains(t, got.stderr, "another project")
	assert.Equal(t, exitValid, b.call(t, "", "token").status)
}

func TestLoginRefused(t *testing.T) {
	a := newAccount(t, persauthtest.WithMemberships(persauthtest.Membership{BusinessID: "b1", Name: "One\x1b[31m & Co", Role: "VIEWER"},
		persauthtest.Membership{BusinessID: "b2"}))
	got := a.call(t, providerToken, "login", "--type", "business")
	assert.Equal(t, exitUsage, got.status)
	assert.Contains(t, got.stderr, "--business b1")
	assert.Contains(t, got.stderr, "--business b2")
	assert.NotContains(t, got.stderr, "\x1b")
	a.login(t, "--type", "business", "--business", "b2")
	claims, err := a.Verifier().Verify(t.Context(), strings.TrimSpace(a.call(t, "", "token").out))
	require.NoError(t, err)
	assert.Equal(t, "b2", claims.BusinessID())
	before, err := os.ReadFile(a.path)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		stdin string
		fault persauthtest.Fault
		args  []string
		want  int
		says  string
	}{
		"nothing":          {"", persauthtest.Fault{}, nil, exitUsage, "has no token"},
		"two":              {"a.b.c d.e.f", persauthtest.Fault{}, nil, exitUsage, "something else"},
		"huge":             {strings.Repeat("x", 1<<20), persauthtest.Fault{}, nil, exitUsage, "something else"},
		"refused":          {providerToken, persauthtest.Answer(401, "{}"), nil, exitInvalid, "does not accept"},
		"down":             {providerToken, persauthtest.Down, nil, exitUnknown, "cannot be asked"},
		"another business": {providerToken, persauthtest.OtherTokens(map[string]any{"businessId": "b1"}), []string{"--type", "business", "--business", "b2"}, exitUnknown, "another business"},
		"forged":           {providerToken, persauthtest.Answer(200, fmt.Sprintf(`{"accessToken":%q}`, persauthtest.NewIssuer(t).UserToken("x"))), nil, exitUnknown, "not good"},
		"no such key":      {providerToken, persauthtest.Fault{}, []string{"--bind", "RS256"}, exitUsage, "BindTo"},
		"as an argument":   {"", persauthtest.Fault{}, []string{providerToken}, exitUsage, "no argument"},
	} {
		a.Fault(persauthtest.EndpointToken, c.fault)
		got := a.call(t, c.stdin, append([]string{"login"}, c.args...)...)
		assert.Equal(t, c.want, got.status, "%s: %s", name, got.stderr)
		assert.Contains(t, got.stderr, c.says, name)
		assert.Empty(t, got.out, name)
	}
	after, err := os.ReadFile(a.path)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after), "the session from before stays")
	a.Heal()
	noKey := account{env: []string{"PERSAUTH_SESSION", a.path}, Server: a.Server}
	for _, args := range [][]string{{"login"}, {"token"}, {"curl", "https://api.example.com"}} {
		got := noKey.call(t, providerToken, args...)
		assert.Equal(t, exitUsage, got.status, args)
		assert.Contains(t, got.stderr, "project key", args)
	}
}

// shop is a service that takes bound tokens, and says what it got.
func shop(t *testing.T, a account, change func(*persauth.Config)) string {
	s := httptest.NewUnstartedServer(nil)
	v := a.iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "http://" + s.Listener.Addr().String()}
		change(cfg)
	})
	mux := http.NewServeMux()
	mux.Handle("/orders", v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		fmt.Fprintf(w, "%s %s %s %s %s\n", r.Method, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("X-Mine"), body)
	})))
	mux.Handle("/missing", v.Middleware(http.NotFoundHandler()))
	mux.Handle("/away", http.RedirectHandler("http://127.0.0.1:1/steal", http.StatusTemporaryRedirect))
	mux.Handle("/here", http.RedirectHandler("/orders?here", http.StatusTemporaryRedirect))
	s.Config.Handler = mux
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestCurl(t *testing.T) {
	for name, c := range map[string]struct {
		login  []string
		change func(*persauth.Config)
	}{
		"Bearer":      {nil, func(*persauth.Config) {}},
		"DPoP":        {[]string{"--bind", "ES256"}, func(cfg *persauth.Config) { cfg.DPoP.Mode = persauth.DPoPRequired }},
		"with nonces": {[]string{"--bind", "EdDSA"}, func(cfg *persauth.Config) { cfg.DPoP.NonceSecret = make([]byte, 32) }},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.login(t, c.login...)
			url := shop(t, a, c.change)
			file := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(file, []byte("from a file"), 0o600))
			for _, row := range []struct {
				args  []string
				stdin string
				want  string
			}{
				{[]string{url + "/orders?page=2"}, "", "GET page=2   \n"},
				{[]string{"-d", `{"item":7}`, url + "/orders"}, "", "POST  application/json  {\"item\":7}\n"},
				{[]string{"-X", "PUT", "-d", "a=b", "-d", "c=d", "-H", "X-Mine: x", url + "/orders"}, "", "PUT  application/x-www-form-urlencoded x a=b&c=d\n"},
				{[]string{"-d", "@-", url + "/orders"}, "from stdin", "POST  application/x-www-form-urlencoded  from stdin\n"},
				{[]string{"-d", "@" + file, "-H", "content-type: text/plain", url + "/orders"}, "", "POST  text/plain  from a file\n"},
				{[]string{"-L", url + "/here"}, "", "GET here   \n"},
			} {
				got := a.call(t, row.stdin, append([]string{"curl"}, row.args...)...)
				assert.Equal(t, exitValid, got.status, "%s %s", row.args, got.stderr)
				assert.Equal(t, row.want, got.out, row.args)
			}
			got := a.call(t, "", "curl", "-i", url+"/orders")
			assert.Contains(t, got.out, "HTTP/1.1 200 OK\n")
			assert.Contains(t, got.out, "X-Answer: yes\n")
			got = a.call(t, "", "curl", "-o", file, url+"/orders")
			assert.Empty(t, got.out)
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, "GET    \n", string(content))

			// A service that does not accept the token any more gets another one.
			require.Zero(t, a.Count(persauthtest.EndpointRefresh))
			token := strings.TrimSpace(a.call(t, "", "token").out)
			strict := shop(t, a, func(cfg *persauth.Config) {
				c.change(cfg)
				now := cfg.Now
				cfg.Now = func() time.Time { return now().Add(20 * time.Minute) }
			})
			got = a.call(t, "", "curl", "-f", strict+"/orders")
			assert.Equal(t, exitInvalid, got.status, "its clock is wrong, and no token helps")
			assert.Equal(t, 1, a.Count(persauthtest.EndpointRefresh))
			assert.NotEqual(t, token, strings.TrimSpace(a.call(t, "", "token").out))
		})
	}
}

func TestCurlRefused(t *testing.T) {
	a := newAccount(t)
	got := a.call(t, "", "curl", "https://api.example.com/orders")
	assert.Equal(t, exitInvalid, got.status)
	assert.Contains(t, got.stderr, "see persauth login")
	a.login(t, "--bind", "ES256")
	url := shop(t, a, func(*persauth.Config) {})
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", r.Header.Get("Authorization"))
		_ = conn.Close()
	}))
	defer hostile.Close()
	for name, c := range map[string]struct {
		args []string
		want int
		says string
	}{
		"not found":        {[]string{url + "/missing"}, exitValid, ""},
		"not found, -f":    {[]string{"-f", url + "/missing"}, exitInvalid, "404"},
		"no service":       {[]string{"http://127.0.0.1:1/x?secret"}, exitUnknown, "refused"},
		"hostile":          {[]string{hostile.URL}, exitUnknown, "broke off"},
		"plain http":       {[]string{"http://api.example.com/x?secret"}, exitUsage, "the URL must be https"},
		"not a URL":        {[]string{"secret"}, exitUsage, "not a URL"},
		"a password":       {[]string{"https://user:secret@api.example.com"}, exitUsage, "not a URL"},
		"no URL":           {nil, exitUsage, "one URL"},
		"its own token":    {[]string{"-H", "authorization: Bearer secret", url}, exitUsage, "made from the session"},
		"its own proof":    {[]string{"-H", "DPoP: secret", url}, exitUsage, "made from the session"},
		"another host":     {[]string{"-H", "Host: secret", url}, exitUsage, "Host"},
		"no header":        {[]string{"-H", "secret", url}, exitUsage, "--header"},
		"no method":        {[]string{"-X", "GE T", url}, exitUsage, "--request"},
		"no file":          {[]string{"-d", "@/no/such/file", url}, exitUsage, "no such file"},
		"nowhere to write": {[]string{"-o", "/no/such/folder/file", url + "/orders"}, exitUsage, "--output"},
		"to another host":  {[]string{"-L", "-i", url + "/away"}, exitValid, ""},
	} {
		got := a.call(t, "", append([]string{"curl"}, c.args...)...)
		assert.Equal(t, c.want, got.status, "%s: %s", name, got.stderr)
		assert.Contains(t, got.stderr, c.says, name)
		assert.NotContains(t, got.stderr, "secret", name)
		if name == "to another host" {
			assert.Contains(t, got.out, "307 Temporary Redirect", "it is shown, and not followed")
		}
	}
}

// PERS itself wants the project key beside the token.
func TestCurlPERS(t *testing.T) {
	a := newAccount(t)
	a.login(t)
	got := a.call(t, "", "curl", "-f", a.URL()+"/.well-known/jwks.json")
	assert.Equal(t, exitValid, got.status, got.stderr)
	assert.Contains(t, got.out, `"keys"`)
}
