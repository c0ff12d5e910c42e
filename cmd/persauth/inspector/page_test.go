//go:build !race

package inspector_test

// The page in a real browser: Debian's Chromium, driven by Playwright. The race
// detector would only slow it down: what runs is in the browser.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth/cmd/persauth/inspector"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// missing skips a test that lacks a program of others. In CI, where it is there
// on purpose, it fails it.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("SKIPPED, the page was not tried in a browser: %s: %v", what, err)
}

// browser installs what drives the browser, and returns the folder and the
// programs.
func browser(t *testing.T) (folder, node, chromium string) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this starts a browser")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium is needed", err)
	}
	node, err = exec.LookPath("node")
	if err != nil {
		missing(t, "node, version 20 or later, is needed", err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm is needed", err)
	}
	folder = t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Join("testdata", "browser"))))
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		missing(t, "npm ci", err)
	}
	return folder, node, chromium
}

// step is one look at a token.
type step struct {
	Name   string `json:"name"`
	Token  string `json:"token"`
	Keys   string `json:"keys"`
	Issuer string `json:"issuer,omitempty"`
	Now    string `json:"now,omitempty"`
	Proof  string `json:"proof,omitempty"`
	Method string `json:"method,omitempty"`
	URL    string `json:"url,omitempty"`

	verdict string
	title   string // a part of it
	saying  string // somewhere in the answer
}

// shown is what the page showed.
type shown struct {
	Verdict, Title, Reasons, Report string
	Checks, Claims, Header, Keys    [][]string
	Foreign                         int
	Pwned                           bool
	Took                            float64
}

func (s shown) all() string {
	var b strings.Builder
	for _, table := range [][][]string{s.Checks, s.Claims, s.Header, s.Keys} {
		for _, row := range table {
			b.WriteString(strings.Join(row, " | ") + "\n")
		}
	}
	return s.Title + "\n" + s.Reasons + "\n" + b.String()
}

// outcome is what the script prints.
type outcome struct {
	Requests []struct{ Method, URL, Body string }
	// Violations are those of the Content-Security-Policy: the one that the
	// script provokes at the end.
	Violations, Errors []string
	Dialogs            int
	Answers            map[string]shown
	Axe                map[string][]string
	Storage            struct {
		Local, Session, Databases, Caches int
		Cookies, URL                      string
		State                             any
	}
	Copied, Left string
	Keys         struct{ File, Dropped, Site bool }
	Blocked      bool
	FirstAnswer  float64
}

const hostile = `<script>globalThis.pwned=true;alert(1)</script><img src=x onerror="globalThis.pwned=true">`

// steps are the tokens that the page is shown.
func steps(iss *persauthtest.Issuer) []step {
	keys := string(iss.JWKS())
	client := iss.DPoPClient("ES256")
	bound := iss.BoundToken(client, map[string]any{})
	const address = "https://api.example.com/orders"
	now := time.Now().UTC().Format(time.RFC3339) // a proof is good for a minute, and a busy machine may need longer
	good := iss.BusinessToken("tenant-1", "business-1", "ADMIN", "EDITOR")
	claims := fmt.Sprintf(`{"tenantId":%[1]s,"sub":%[1]s,%[1]s:%[1]s,"role":"\u202egnp.exe\u0000\u001b[31m","exp":%[2]d}`,
		jsonText(hostile), time.Now().Add(time.Hour).Unix())
	header := fmt.Sprintf(`{"alg":"ES256","kid":%[1]s,"typ":%[1]s}`, jsonText(hostile))
	long := func(n int) string {
		return iss.Token(map[string]any{"filler": strings.Repeat("a", n)})
	}
	return []step{
		{Name: "good", Token: good, Keys: keys, verdict: "valid", title: "Valid", saying: `["ADMIN","EDITOR"]`},
		{Name: "with its header", Token: "Authorization: Bearer " + good + "\n", Keys: keys, verdict: "valid", title: "Valid"},
		{Name: "expired", Token: iss.ExpiredToken(), Keys: keys, verdict: "invalid", title: "Invalid: expired", saying: "expired 1h"},
		{Name: "forged", Token: iss.ForgedToken(), Keys: keys, verdict: "invalid", title: "Invalid: signature", saying: "✗ failed | signature"},
		{Name: "unknown key", Token: iss.UnknownKeyToken(), Keys: keys, verdict: "invalid", title: "Invalid: unknown key", saying: "unknown-key"},
		{Name: "another issuer", Token: good, Keys: keys, Issuer: "https://api.pers.ninja", verdict: "invalid", title: "Invalid: issuer"},
		{Name: "later", Token: good, Keys: keys, Now: time.Now().Add(18 * time.Minute).UTC().Format(time.RFC3339), verdict: "invalid", title: "Invalid: expired"},
		{Name: "no keys", Token: good, verdict: "unverified", title: "Not verified", saying: "no keys were given"},
		{Name: "no keys, expired", Token: iss.ExpiredToken(), verdict: "invalid", title: "Invalid", saying: "exp"},
		{Name: "nothing", Keys: keys, verdict: "invalid", title: "Invalid: malformed"},
		{Name: "no token", Token: "hello", Keys: keys, verdict: "invalid", title: "Invalid: malformed", saying: "form"},
		{Name: "hostile", Token: iss.Keys()[0].Sign([]byte(header), []byte(claims)), Keys: keys, verdict: "invalid", saying: `sub | "<script>`},
		{Name: "hostile keys", Token: good, Keys: strings.Replace(keys, `{"keys":[`, `{"keys":[{"kty":`+jsonText(hostile)+`,"kid":`+jsonText(hostile)+`},`, 1),
			verdict: "valid", saying: "cannot be used"},
		{Name: "no key set", Token: good, Keys: "<html>" + hostile, verdict: "invalid", title: "It could not be looked at"},
		{Name: "a thousand keys", Token: good, Keys: manyKeys(iss, 1000), verdict: "valid", title: "Valid"},
		{Name: "nearly 16 KiB", Token: long(11_800), Keys: keys, verdict: "valid", title: "Valid"},
		{Name: "more than 16 KiB", Token: long(12_300), Keys: keys, verdict: "invalid", title: "Invalid: malformed", saying: "at most 16384 bytes"},
		{Name: "a megabyte", Token: strings.Repeat("A", 1<<20), Keys: keys, verdict: "invalid", title: "Invalid: malformed"},
		{Name: "a proof", Token: bound, Keys: keys, Now: now, Proof: client.Proof("POST", address, bound), Method: "post", URL: address,
			verdict: "valid", saying: "✓ passed | dpop"},
		{Name: "a proof for another address", Token: bound, Keys: keys, Now: now, Proof: client.Proof("POST", address+"/2", bound), Method: "POST", URL: address,
			verdict: "invalid", saying: "✗ failed | dpop htu"},
	}
}

func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the worst is what is not escaped
	_ = e.Encode(s)
	return strings.TrimSpace(b.String())
}

// manyKeys is a set whose last keys are the issuer's.
func manyKeys(iss *persauthtest.Issuer, n int) string {
	var all []string
	for i := range n - 1 {
		key, err := persauthtest.NewKey(fmt.Sprintf("key-%d", i), "ES256", "")
		if err != nil {
			panic(err)
		}
		all = append(all, string(key.JWK()))
	}
	all = append(all, string(iss.Keys()[0].JWK()))
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

// TestPage is what a person relies on: the right answers, nothing that leaves the
// page or outlives it, and a page that all can use.
func TestPage(t *testing.T) {
	folder, node, chromium := browser(t)
	iss := persauthtest.NewIssuer(t)
	all := steps(iss)
	page, err := inspector.Load(t.Context(), "the tests")
	require.NoError(t, err)

	var mu sync.Mutex
	var served []string
	handler := page.Handler(func(context.Context) ([]byte, error) { return iss.JWKS(), nil })
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		served = append(served, r.URL.String())
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	hosted := t.TempDir()
	require.NoError(t, page.Write(hosted, nil))
	elsewhere := httptest.NewServer(http.FileServer(http.Dir(hosted)))
	t.Cleanup(elsewhere.Close)

	plan, err := json.Marshal(map[string]any{"page": site.URL + "/", "hosted": elsewhere.URL + "/", "steps": all,
		"pictured": "expired", "pictures": os.Getenv("PERSAUTH_PICTURES")})
	require.NoError(t, err)
	planFile := filepath.Join(folder, "plan.json")
	require.NoError(t, os.WriteFile(planFile, plan, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, node, "page.mjs", chromium, planFile)
	command.Dir = folder
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Logf("%s", exit.Stderr)
	}
	require.NoError(t, err)
	var got outcome
	require.NoError(t, json.Unmarshal(out, &got))

	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			a, ok := got.Answers[s.Name]
			require.True(t, ok)
			assert.Equal(t, s.verdict, a.Verdict, a.all())
			assert.Contains(t, a.Title, s.title)
			assert.Contains(t, a.all(), s.saying)
			assert.Zero(t, a.Foreign, "what a token says became markup")
			assert.False(t, a.Pwned)
			assert.NotRegexp(t, `[\x00-\x08\x1b\x{202e}]`, a.all())
			assertWithout(t, a.Report, s)
		})
	}
	for _, name := range []string{"first", "keyboard", "back", "offline", "hosted"} {
		assert.Equal(t, "valid", got.Answers[name].Verdict, name)
	}
	t.Run("nothing leaves the page", func(t *testing.T) {
		require.NotEmpty(t, got.Requests)
		for _, r := range got.Requests {
			at, err := url.Parse(r.URL)
			require.NoError(t, err)
			assert.Contains(t, []string{site.URL, elsewhere.URL}, at.Scheme+"://"+at.Host)
			assert.Equal(t, "GET", r.Method)
			assert.Empty(t, r.Body)
			assert.Empty(t, at.RawQuery)
			assert.Regexp(t, regexp.MustCompile(`^/(|style\.css|app\.js|wasm_exec\.js|icon\.svg|persauth\.wasm\.gz|config\.json|keys\.json)$`), at.Path)
		}
		for _, path := range served {
			assert.Less(t, len(path), 30)
		}
		assert.Equal(t, site.URL+"/", got.Storage.URL)
		assert.Nil(t, got.Storage.State)
		assert.Empty(t, got.Storage.Cookies)
		assert.Zero(t, got.Storage.Local+got.Storage.Session+got.Storage.Databases+got.Storage.Caches)
		assert.Empty(t, got.Left, "something was still in the page that had been left")
		assert.Equal(t, []string{"connect-src " + site.URL + "/"}, got.Violations, "the page wants more than its policy allows")
		assert.True(t, got.Blocked, "the policy in the page does not keep it from asking elsewhere")
		assert.Zero(t, got.Dialogs)
		assert.Empty(t, got.Errors)
	})
	t.Run("all can use it", func(t *testing.T) {
		assert.Len(t, got.Axe, 8)
		for name, violations := range got.Axe {
			assert.Empty(t, violations, name)
		}
		assert.Equal(t, got.Answers["keyboard"].Report, got.Copied)
		assert.True(t, got.Keys.File)
		assert.True(t, got.Keys.Dropped)
		assert.True(t, got.Keys.Site)
	})
	info, err := os.Stat(filepath.Join(hosted, "persauth.wasm.gz"))
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(4<<20))
	t.Logf("verifier %.2f MB; from the address to the first answer %.0f ms; an answer %.0f ms, with a thousand keys %.0f ms",
		float64(info.Size())/1e6, got.FirstAnswer, got.Answers["good"].Took, got.Answers["a thousand keys"].Took)
}

// assertWithout looks for any part of the token or the proof in a report.
func assertWithout(t *testing.T, report string, s step) {
	t.Helper()
	const enough = 16
	for _, secret := range []string{s.Token, s.Proof} {
		for _, segment := range strings.Split(secret, ".") {
			if raw, err := base64.RawURLEncoding.DecodeString(segment); err != nil || len(raw) == 0 {
				continue
			}
			for i := 0; i+enough <= len(segment); i += enough {
				if strings.Contains(report, segment[i:i+enough]) {
					t.Errorf("%q of the token is in the report", segment[i:i+enough])
					return
				}
			}
		}
	}
}
