package persauth_test

// Nothing that goes wrong says a token, a part of one, or the project key.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The search finds what it is for.
func TestEvidenceIsSearched(t *testing.T) {
	for name, tell := range map[string]func(e *evidence, token, key string){
		"token":   func(e *evidence, token, _ string) { e.failed(errors.New("bad token " + token)) },
		"payload": func(e *evidence, token, _ string) { e.printed(strings.Split(token, ".")[1]) },
		"a half":  func(e *evidence, token, _ string) { e.said(token[len(token)/2:]) },
		"key": func(e *evidence, _, key string) {
			e.log().Debug("request", "header", http.Header{"X-Project-Key": {key}})
		},
		"key, inside":   func(e *evidence, _, key string) { e.failed(fmt.Errorf("a: %w", &persauth.Error{Err: errors.New(key)})) },
		"key as hex":    func(e *evidence, _, key string) { fmt.Fprintf(e, "%x", key) },
		"half of a key": func(e *evidence, _, key string) { e.printed(key[:40]) },
	} {
		e := collect(t)
		token, key := persauthtest.NewIssuer(t).UserToken("acme"), projectKey
		e.hideToken(token)
		e.hide("project key", key)
		tell(e, token, key)
		assert.NotEmpty(t, e.leaks(), name)
		assert.Empty(t, e.leaks(), name)
	}
}

// mark is long enough to be noticed wherever it turns up.
const mark = "markedmarkedmarkedmarkedmarkedmarkedmarkedmarkedmarkedmarked"

// oddTokens are bad in every way in which a token can be bad by itself.
func oddTokens(pers lab) map[string]string {
	key := pers.iss.Keys()[0]
	good := pers.iss.Token(map[string]any{"mark": mark})
	parts := strings.Split(good, ".")
	header := `{"alg":"EdDSA","kid":"` + key.ID + `"}`
	sign := func(header, payload string) string { return key.Sign([]byte(header), []byte(payload)) }
	tokens := map[string]string{
		"plain text": mark, "a key": pers.ProjectKey(), "two parts": parts[0] + "." + parts[1], "four parts": good + "." + b64(mark),
		"line break": good + "\n", "space": " " + good, "padded": good + "=", "plus": good[:len(good)-9] + "+" + good[len(good)-8:],
		"scheme": "Bearer " + good, "quoted": `"` + good + `"`, "JSON": `{"payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"header is no JSON": sign(mark, `{}`), "header twice": sign(`{"alg":"EdDSA","alg":"EdDSA"}`, `{"mark":"`+mark+`"}`),
		"payload is no JSON": sign(header, mark), "payload is cut": sign(header, `{"mark":"`+mark), "payload is an array": sign(header, `["`+mark+`"]`),
		"member twice": sign(header, `{"`+mark+`":1,"`+mark+`":1}`), "invalid UTF-8": sign(header, `{"mark":"`+mark+"\xff"+`"}`),
		"deep": sign(header, strings.Repeat(`{"mark":`, 40)+`"`+mark+`"`+strings.Repeat("}", 40)), "large": good + strings.Repeat(mark, 400),
		"crit": sign(`{"alg":"EdDSA","crit":["exp"]}`, `{"mark":"`+mark+`"}`), "none": sign(`{"alg":"none"}`, `{"mark":"`+mark+`"}`),
		"wrong alg": sign(`{"alg":"RS256","kid":"`+key.ID+`"}`, `{"mark":"`+mark+`","tenantId":"acme","exp":4000000000}`),
		"forged":    parts[0] + "." + parts[1] + "." + b64(mark), "empty signature": parts[0] + "." + parts[1] + ".",
		"no claims": sign(header, `{}`), "claims of other forms": sign(header, `{"exp":"soon","tenantId":1,"sub":{},"aud":{},"jti":[],"iss":false,"cnf":1}`),
		"expired": pers.iss.ExpiredToken(), "future": pers.iss.FutureToken(), "foreign": pers.iss.ForeignToken(), "tampered": pers.iss.TamperedToken(),
		"unknown key": pers.iss.UnknownKeyToken(), "unpublished key": pers.stranger(), "symmetric": pers.iss.SymmetricToken(map[string]any{}),
	}
	return tokens
}

func TestSecretsOfTokens(t *testing.T) {
	pers := newLab(t)
	e := collect(t)
	e.hide("project key", pers.ProjectKey())
	v := pers.warm(func(cfg *persauth.Config) {
		cfg.Logger, cfg.Tenants = e.log(), []string{persauthtest.DefaultTenant}
	})
	accepted := map[string]bool{"unpublished key": true, "good": true, "revoked": true}
	tokens := oddTokens(pers)
	for _, name := range []string{"good", "revoked", "revoked by PERS"} {
		tokens[name] = pers.iss.SystemToken(persauthtest.DefaultTenant)
	}
	pers.Revoke(tokens["revoked by PERS"])
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			err := e.verified(v, token)
			if name == "revoked" {
				require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
				require.ErrorIs(t, e.verified(v, token), persauth.ErrRevoked)
			} else if !accepted[name] {
				require.Error(t, err)
			}
			e.check(t)
		})
	}
}

// told is what the other side of a request knows.
type told struct {
	*http.Request
	token, key, both string
}

// echoes are answers of a PERS that says back what it was told.
var echoes = map[string]func(told) (*http.Response, error){
	"valid, and a message":  echo(200, `{"valid":true,"errorMessage":%[3]q}`),
	"not valid":             echo(200, `{"valid":false,"errorMessage":%[3]q}`),
	"valid is the token":    echo(200, `{"valid":%[1]q}`),
	"valid is the key":      echo(200, `{"valid":%[2]q}`),
	"tenant is the key":     echo(200, `{"valid":true,"tenantId":%[2]q}`),
	"tenant is the token":   echo(200, `{"valid":true,"tenantId":%[1]q}`),
	"payload is the token":  echo(200, `{"valid":true,"payload":%[1]q}`),
	"payload with the key":  echo(200, `{"valid":true,"payload":{"sub":%[2]q,"tenantId":%[2]q,"jti":%[2]q,"exp":1}}`),
	"members are the key":   echo(200, `{"valid":true,%[2]q:1,%[2]q:1}`),
	"nothing but the token": echo(200, `%[1]s`),
	"cut":                   echo(200, `{"valid":true,"message":"%[3]s`),
	"400":                   echo(400, `{"message":%[3]q}`),
	"401":                   echo(401, `{"message":%[3]q}`),
	"429":                   echo(429, `{"message":%[3]q}`),
	"500":                   echo(500, `%[3]s`),
	"302 to another host":   moved(302, "https://elsewhere.test/%[1]s?key=%[2]s"),
	"307 to another host":   moved(307, "https://%[2]s.test/%[1]s"),
	"307 to plain http":     moved(307, "http://pers.test/%[2]s"),
	"307 with a user":       moved(307, "https://user:%[2]s@elsewhere.test/"),
	"307 to nowhere":        moved(307, "https://[%[2]s"),
	"307 to a bad escape":   moved(307, "/%%zz%[1]s"),
	"307 in circles":        moved(307, "/%[2]s/%[1]s"),
	"an error":              func(w told) (*http.Response, error) { return nil, errors.New("broken: " + w.both) },
	"an error with fields":  func(w told) (*http.Response, error) { return nil, &leakyError{w.token, w.key} },
	"an error with an URL": func(w told) (*http.Response, error) {
		return nil, &url.Error{Op: "Post", URL: "https://" + w.both, Err: io.EOF}
	},
	"an error with its path": func(w told) (*http.Response, error) {
		return nil, &fs.PathError{Op: "open", Path: w.both, Err: fs.ErrNotExist}
	},
	"a body that breaks off": func(w told) (*http.Response, error) {
		return respond(w.Request, 200, io.MultiReader(strings.NewReader(`{"valid":`), errorReader{&leakyError{w.token, w.key}})), nil
	},
	"a header": func(w told) (*http.Response, error) {
		return respond(w.Request, 503, strings.NewReader(""), "Retry-After", w.key, "Www-Authenticate", w.both, "Cache-Control", "max-age="+w.key), nil
	},
}

type leakyError struct{ Token, Key string }

func (e *leakyError) Error() string { return "broken: " + e.Token + " " + e.Key }

func echo(status int, format string) func(told) (*http.Response, error) {
	return func(w told) (*http.Response, error) {
		// A format may leave some of the three out.
		body := fmt.Sprintf(format+"%[4]s", w.token, w.key, w.both, "")
		return respond(w.Request, status, strings.NewReader(body)), nil
	}
}

func moved(status int, format string) func(told) (*http.Response, error) {
	return func(w told) (*http.Response, error) {
		location := fmt.Sprintf(format+"%[3]s", w.token, w.key, "")
		return respond(w.Request, status, strings.NewReader(w.both), "Location", location), nil
	}
}

// tell answers all requests, or those about tokens, with an echo.
func tell(next http.RoundTripper, keysToo bool, answer func(told) (*http.Response, error)) *http.Client {
	return clientOf(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet && !keysToo {
			return next.RoundTrip(r)
		}
		var asked struct{ AuthToken string }
		if r.Body != nil {
			_ = json.NewDecoder(r.Body).Decode(&asked)
		}
		key := r.Header.Get("x-project-key")
		return answer(told{r, asked.AuthToken, key, asked.AuthToken + " " + key})
	})
}

func TestSecretsAgainstEchoes(t *testing.T) {
	for name, answer := range echoes {
		for _, keysToo := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", keys too: ", keysToo), func(t *testing.T) {
				inLab(t, func(t *testing.T, pers lab) {
					e := collect(t)
					e.hide("project key", pers.ProjectKey())
					v := pers.Verifier(func(cfg *persauth.Config) {
						cfg.Logger, cfg.HTTPClient = e.log(), tell(pers.Client().Transport, keysToo, answer)
					})
					e.failed(v.Warm(t.Context()))
					rounds := 7 // the breaker opens, and says so
					if keysToo {
						rounds = 2 // it is not reached
					}
					for range rounds {
						for _, token := range []string{pers.stranger(), pers.yearly()} {
							require.Error(t, e.verified(v, token))
						}
						e.check(t)
						time.Sleep(time.Second)
					}
				})
			})
		}
	}
}

func TestSecretsWhilePERSIsInTrouble(t *testing.T) {
	for _, fault := range []persauthtest.Fault{persauthtest.Down, persauthtest.Hanging, persauthtest.CutOff, persauthtest.Garbage,
		persauthtest.Huge, persauthtest.Contradictory, persauthtest.LyingInvalid, persauthtest.OtherTenant, persauthtest.Status(401),
		persauthtest.TooManyRequests(time.Minute)} {
		t.Run(fault.String(), func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				e := collect(t)
				e.hide("project key", pers.ProjectKey())
				v := pers.warm(func(cfg *persauth.Config) { cfg.Logger = e.log() })
				pers.Fault(persauthtest.EndpointAll, fault)
				for range 7 {
					_ = e.verified(v, pers.stranger())
					_ = e.verified(v, pers.yearly())
					e.check(t)
				}
				v.Close()
				require.Error(t, e.verified(v, pers.stranger()))
				e.check(t)
			})
		})
	}
}

func TestSecretsOfTheConfig(t *testing.T) {
	const key = projectKey
	missing := filepath.Join(t.TempDir(), "missing", "jwks.json")
	damaged := filepath.Join(t.TempDir(), "jwks.json")
	token := persauthtest.NewIssuer(t).UserToken("acme")
	require.NoError(t, os.WriteFile(damaged, []byte(`{"keys":["`+key+`"],"token":"`+token+`"}`), 0o600))
	bad := map[string]persauth.Config{
		"key with a line break": {ProjectKey: key + "\n"},
		"key in quotes":         {ProjectKey: `"` + key + `"`},
		"key with a space":      {ProjectKey: key[:20] + " " + key[20:]},
		"key in the URL":        {ProjectKey: key, BaseURL: "https://" + key + ":" + key + "@pers.test"},
		"key in the query":      {ProjectKey: key, BaseURL: "https://pers.test/?key=" + key},
		"key in no URL":         {ProjectKey: key, BaseURL: "https://pers.test/%zz" + key},
		"key, twice":            {ProjectKey: key, BaseURL: key},
		"plain http":            {ProjectKey: key, BaseURL: "http://pers.test/" + key},
		"all at once":           {ProjectKey: key + "?", Leeway: time.Hour, Algorithms: []string{"HS256"}, Timeout: -1},
		"key for keys":          {Keys: persauth.StaticKeys([]byte(key))},
		"token for keys":        {Keys: persauth.StaticKeys([]byte(`{"keys":[` + token + `]}`))},
		"damaged keys":          {Keys: persauth.FileKeys(damaged)},
		"offline, damaged":      {ProjectKey: key, Offline: true, Snapshot: damaged},
		"offline, missing":      {ProjectKey: key, Offline: true, Snapshot: missing},
		"no folder":             {ProjectKey: key, Snapshot: missing},
	}
	e := collect(t)
	e.hide("project key", key)
	e.hideToken(token)
	for name, cfg := range bad {
		t.Run(name, func(t *testing.T) {
			cfg.Logger = e.log()
			_, err := persauth.New(cfg)
			require.Error(t, err)
			e.failed(err)
			e.check(t)
		})
	}
	taken := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "inside"), 0o700))
	for _, path := range []string{taken, damaged} {
		t.Run("snapshot "+filepath.Base(path), func(t *testing.T) {
			pers := newLab(t)
			e.hide("project key", pers.ProjectKey())
			v := pers.Verifier(func(cfg *persauth.Config) { cfg.Logger, cfg.Snapshot = e.log(), path })
			before := v.Status()
			e.said(before)
			e.failed(v.Warm(t.Context()))
			assert.NoError(t, e.verified(v, pers.yearly()))
			v.Close() // waits for the snapshot
			e.said(v.Status())
			assert.True(t, before.Keys.SnapshotError != "" || v.Status().Keys.SnapshotError != "")
			e.check(t)
			content, _ := os.ReadFile(path) // what was written in place of the damaged one
			_, _ = e.Write(content)
			e.check(t)
		})
	}
}
