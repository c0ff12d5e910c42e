package persauth_test

// What a refresh does not take for a key set, and what becomes of the keys at
// hand then: nothing.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// badReplies are the ways in which PERS, or what stands before it, may answer
// with something that is no key set of the tenant. text is what Status says.
func badReplies(t testing.TB) map[string]struct {
	reply reply
	text  string
} {
	other := persauthtest.NewIssuer(t) // nobody's keys: they must never be taken
	valid := other.JWKS()
	large := bytes.Clone(valid[:len(valid)-1])
	large = append(append(large, bytes.Repeat([]byte(" "), 1<<20)...), '}')
	type c = struct {
		reply reply
		text  string
	}
	cases := map[string]c{
		"connection refused":     {down, "connection refused"},
		"timeout":                {hanging, "deadline exceeded"},
		"stalled in the body":    {stalling(valid), "deadline exceeded"},
		"cut off":                {truncated(valid), "unexpected EOF"},
		"over 1 MiB":             {replies(200, large), "larger than"},
		"endless":                {endless, "larger than"},
		"nothing":                {replies(200, nil), "key set is"},
		"no content":             {replies(204, nil), "key set is"},
		"a page":                 {replies(200, []byte("<!doctype html><title>Hello</title>")), "key set is"},
		"half a set":             {replies(200, valid[:len(valid)-2]), "key set is"},
		"more after the set":     {replies(200, append(bytes.Clone(valid), "{}"...)), "key set is"},
		"empty set":              {replies(200, []byte(`{"keys":[]}`)), "no usable key"},
		"no keys":                {replies(200, []byte(`{}`)), `no \"keys\"`},
		"null keys":              {replies(200, []byte(`{"keys":null}`)), "not an array"},
		"keys twice":             {replies(200, []byte(`{"keys":[],"keys":[]}`)), "twice"},
		"another case":           {replies(200, bytes.Replace(valid, []byte(`"keys"`), []byte(`"Keys"`), 1)), `no \"keys\"`},
		"null":                   {replies(200, []byte(`null`)), "not a JSON object"},
		"an array":               {replies(200, []byte(`[]`)), "not a JSON object"},
		"a key, not a set":       {replies(200, other.Keys()[0].JWK()), "a JWK, not a JWK Set"},
		"unusable keys":          {replies(200, []byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},17]}`)), "no usable key"},
		"an error in JSON":       {replies(200, []byte(`{"error":"busy"}`)), `no \"keys\"`},
		"redirect to a stranger": {replies(302, nil, "Location", "https://evil.test/v2/.well-known/jwks.json"), "a redirect"},
		"redirect to http":       {replies(307, nil, "Location", "http://"+persHost+"/v2/.well-known/jwks.json"), "a redirect"},
		"redirect to a port":     {replies(308, nil, "Location", "https://"+persHost+":8443/v2/.well-known/jwks.json"), "a redirect"},
		"redirect in a circle":   {replies(302, nil, "Location", "/v2/.well-known/jwks.json"), "a redirect"},
		"redirect to nowhere":    {replies(302, nil), "status 302"},
		"redirect to no URL":     {replies(302, nil, "Location", "http://[::1"), "a redirect"},
	}
	for _, status := range []int{300, 304, 400, 401, 403, 404, 410, 429, 500, 502, 503, 504, 599} {
		cases[fmt.Sprint("status ", status, " with a set")] = c{replies(status, valid), fmt.Sprint("status ", status)}
	}
	return cases
}

// endless is a body that never stops.
func endless(req *http.Request) (*http.Response, error) { return respond(req, 200, zeros{}), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Whatever comes instead of keys: what is held stays, and Status tells.
func TestBadAnswerKeepsWhatIsHeld(t *testing.T) {
	for name, bad := range badReplies(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.warm()
				before := s.status()
				token := s.token()
				s.accepts(token)
				s.pers.now(bad.reply)
				time.Sleep(softAge)
				s.accepts(token)
				time.Sleep(6 * time.Second) // more than the timeout
				assert.True(t, s.accepts(token).Verification().KeysStale)
				assert.True(t, s.accepts(s.token()).Verification().KeysStale)

				status := s.status()
				assert.Contains(t, fmt.Sprintf("%q", status.Keys.LastError), bad.text)
				assert.Equal(t, before.Keys.Keys, status.Keys.Keys)
				assert.Equal(t, before.Keys.Loaded, status.Keys.Loaded)
				assert.True(t, status.Ready)
				assert.True(t, status.Keys.Stale)
				assert.Positive(t, status.Counters.Keys.Failures)
				assert.Equal(t, 1, s.log.lines("cannot be refreshed"))

				// What cannot be known is not called invalid.
				time.Sleep(30 * time.Second)
				s.refuses(s.stranger(1), persauth.ErrUnavailable)

				s.pers.now(up(s.iss))
				time.Sleep(time.Minute)
				s.accepts(token)
				synctest.Wait()
				assert.False(t, s.accepts(token).Verification().KeysStale)
				assert.Empty(t, s.status().Keys.LastError)
			})
		})
	}
}

// The same at the start, with nothing held: nobody can tell.
func TestBadAnswerAtStart(t *testing.T) {
	for name, bad := range badReplies(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.pers.now(bad.reply)
				e := s.refuses(s.token(), persauth.ErrUnavailable)
				assert.Positive(t, e.RetryAfter)
				assert.Contains(t, fmt.Sprintf("%q", e.Error()), bad.text)
				assert.Contains(t, fmt.Sprintf("%q", s.status().Keys.LastError), bad.text)
				assert.False(t, s.status().Ready)
				report := s.v.Explain(t.Context(), s.token())
				require.ErrorIs(t, report.Err, persauth.ErrUnavailable)
				text, err := json.Marshal(report)
				require.NoError(t, err)
				s.discreet("report", string(text))
				s.pers.now(up(s.iss))
				time.Sleep(5 * time.Second)
				s.accepts(s.token())
			})
		})
	}
}

// A wrong project key is named as such, and not repeated.
func TestProjectKeyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(replies(401, []byte(projectKey)))
		e := s.refuses(s.token(), persauth.ErrUnavailable)
		assert.Contains(t, e.Error(), "does not accept the project key")
	})
}

// A redirect of the key set is not followed on the same host either: nobody says
// that what is found there is the tenant's key set.
func TestRedirectOnTheSameHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(func(req *http.Request) (*http.Response, error) {
			if req.URL.RawQuery == "" {
				return replies(302, nil, "Location", "jwks.json?version=2")(req)
			}
			return up(s.iss)(req)
		})
		s.refuses(s.token(), persauth.ErrUnavailable)
		assert.Equal(t, 1, s.pers.requests())
		assert.Contains(t, s.status().Keys.LastError, "redirect")
	})
}

// A key that cannot be used does not spoil the others, and is reported.
func TestUnusableKeyAmongGoodOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		body := bytes.Replace(s.iss.JWKS(), []byte(`[`), []byte(`[{"kty":"future","kid":"odd"},`), 1)
		s.pers.now(replies(200, body))
		s.accepts(s.token())
		synctest.Wait()
		status := s.status()
		require.Len(t, status.Keys.Skipped, 1)
		assert.Equal(t, "odd", status.Keys.Skipped[0].KeyID)
		assert.NotEmpty(t, status.Keys.Skipped[0].Problem)
		assert.Len(t, status.Keys.Keys, 1)
		assert.Equal(t, 1, s.log.lines("a key cannot be used"))
	})
}

// Tokens whose key the set does not have are told apart from forged ones, and
// neither is called unavailable while PERS answers.
func TestAnswersWhilePERSIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.refuses(s.iss.UnknownKeyToken(), persauth.ErrUnknownKey)
		s.refuses(s.iss.ForgedToken(), persauth.ErrSignature)
		s.refuses(s.iss.ExpiredToken(), persauth.ErrExpired)
	})
}
