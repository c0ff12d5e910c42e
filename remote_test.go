package persauth_test

// What PERS says in the headers of its answers, and in BaseURL.

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Cache-Control: max-age takes the place of the soft age, within bounds.
func TestMaxAge(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                                softAge,
		"max-age=600":                     10 * time.Minute,
		`public, MAX-AGE="7200"`:          2 * time.Hour,
		"max-age=60":                      time.Minute,
		"max-age=59":                      time.Minute,
		"max-age=1":                       time.Minute,
		"max-age=0":                       softAge,
		"no-store":                        softAge,
		"max-age=-5":                      softAge,
		"max-age=soon":                    softAge,
		"max-age=86400":                   24 * time.Hour,
		"max-age=86401":                   24 * time.Hour,
		"max-age=99999999999999999999999": 24 * time.Hour,
		"s-maxage=60":                     softAge,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, func(c *persauth.Config) { c.KeyHardAge = 72 * time.Hour })
				s.pers.now(up(s.iss, "Cache-Control", header))
				s.warm()
				token := s.token()
				time.Sleep(want - time.Microsecond)
				s.accepts(token)
				synctest.Wait()
				require.Equal(t, 1, s.pers.requests())
				time.Sleep(time.Microsecond)
				s.accepts(token)
				synctest.Wait()
				require.Equal(t, 2, s.pers.requests())
			})
		})
	}
}

// Of max-age counts what is left of it after the caches on the way, and never more
// than KeySoftAge where that is set.
func TestMaxAgeLessAge(t *testing.T) {
	for _, c := range []struct {
		name, maxAge, age string
		given, want       time.Duration
	}{
		{"nearly over", "max-age=86400", "86390", 0, time.Minute},
		{"nearly over, beside KeySoftAge", "max-age=86400", "86390", time.Minute, time.Minute},
		{"KeySoftAge is the smaller one", "max-age=86400", "", 5 * time.Minute, 5 * time.Minute},
		{"KeySoftAge is below the bounds of max-age", "max-age=86400", "86390", 10 * time.Second, 10 * time.Second},
		{"max-age is the smaller one", "max-age=120", "", 5 * time.Minute, 2 * time.Minute},
		{"half of it", "max-age=7200", "3600", 0, time.Hour},
		{"over", "max-age=600", "601", 0, time.Minute},
		{"long over", "max-age=600", "99999999999999999999", 0, time.Minute},
		{"an age that is none", "max-age=600", "-1", 0, 10 * time.Minute},
		{"another that is none", "max-age=600", "1 hour", 0, 10 * time.Minute},
		{"no max-age", "", "3600", 0, softAge},
		{"a max-age of 0", "max-age=0", "3600", 0, softAge},
		{"a max-age of 0, and KeySoftAge", "max-age=0", "", time.Hour, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, func(cfg *persauth.Config) { cfg.KeySoftAge, cfg.KeyHardAge = c.given, 72*time.Hour })
				s.pers.now(up(s.iss, "Cache-Control", c.maxAge, "Age", c.age))
				s.warm()
				removed := s.token()
				s.iss.Rotate()
				s.iss.Retire(s.iss.Keys()[0])
				time.Sleep(c.want - time.Microsecond)
				s.accepts(removed)
				synctest.Wait()
				require.Equal(t, 1, s.pers.requests())
				time.Sleep(time.Microsecond)
				s.accepts(removed)
				synctest.Wait()
				require.Equal(t, 2, s.pers.requests())
				s.refuses(removed, persauth.ErrUnknownKey)
			})
		})
	}
}

// However long PERS says that its keys are good, they are refreshed well before
// the hard age.
func TestMaxAgeLeavesRoomBeforeHardAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(c *persauth.Config) { c.KeyHardAge = time.Hour })
		s.pers.now(up(s.iss, "Cache-Control", "max-age=86400"))
		s.warm()
		assert.Equal(t, time.Now().Add(30*time.Minute).UTC(), s.status().Keys.StaleAt)
	})
}

// Retry-After is obeyed, up to five minutes, with and without keys at hand.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		value    func() string
		min, max time.Duration
	}{
		"seconds":   {func() string { return "120" }, 2 * time.Minute, 2 * time.Minute},
		"date":      {func() string { return time.Now().UTC().Add(time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT") }, time.Minute, time.Minute},
		"past":      {func() string { return "Mon, 02 Jan 1995 15:04:05 GMT" }, 0, time.Second},
		"nonsense":  {func() string { return "soon" }, 0, time.Second},
		"none":      {func() string { return "" }, 0, time.Second},
		"negative":  {func() string { return "-1" }, 0, time.Second},
		"a day":     {func() string { return "86400" }, 5 * time.Minute, 5 * time.Minute},
		"for ever":  {func() string { return "99999999999999999999999" }, 5 * time.Minute, 5 * time.Minute},
		"fractions": {func() string { return "1.5" }, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.pers.now(replies(429, nil, "Retry-After", c.value()))
				e := s.refuses(s.token(), persauth.ErrUnavailable)
				require.GreaterOrEqual(t, e.RetryAfter, c.min)
				require.LessOrEqual(t, e.RetryAfter, c.max)
				time.Sleep(e.RetryAfter - time.Microsecond)
				s.refuses(s.token(), persauth.ErrUnavailable)
				require.Equal(t, 1, s.pers.requests())
				s.pers.now(up(s.iss))
				time.Sleep(time.Microsecond)
				s.accepts(s.token())

				s.pers.now(replies(503, nil, "Retry-After", c.value()))
				time.Sleep(softAge)
				s.accepts(s.token())
				synctest.Wait()
				require.Equal(t, 3, s.pers.requests())
				wait := time.Until(s.status().Keys.NextAttempt)
				require.LessOrEqual(t, wait, c.max)
			})
		})
	}
}

// Where the project key may go is settled in New.
func TestBaseURL(t *testing.T) {
	for address, text := range map[string]string{
		"":                                "",
		"https://api.pers.ninja/v2":       "",
		"https://api.pers.ninja/v2/":      "",
		"HTTPS://API.PERS.NINJA":          "",
		"https://[2001:db8::1]:8443":      "",
		"http://localhost:8080/v2":        "",
		"http://127.0.0.1":                "",
		"http://127.1.2.3:1":              "",
		"http://[::1]:8080":               "",
		"http://api.pers.ninja/v2":        "must be https",
		"http://localhost.evil.test":      "must be https",
		"http://127.0.0.1.evil.test":      "must be https",
		"http://10.0.0.1":                 "must be https",
		"http://0.0.0.0":                  "must be https",
		"ftp://api.pers.ninja":            "must be https",
		"file:///etc/jwks.json":           "form",
		"api.pers.ninja/v2":               "form",
		"//api.pers.ninja/v2":             "must be https",
		"https:api.pers.ninja":            "form",
		"https://":                        "form",
		"https://:443/v2":                 "form",
		"https://user:word@pers.test":     "form",
		"https://user@pers.test":          "form",
		"https://pers.test/v2?a=b":        "form",
		"https://pers.test/v2?":           "form",
		"https://pers.test/v2#a":          "form",
		"https://pers.test/\x00":          "not a URL",
		"https://user:word@pers.test/%zz": "not a URL",
	} {
		t.Run(address, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{ProjectKey: projectKey, BaseURL: address})
			if text == "" {
				require.NoError(t, err)
				v.Close()
				return
			}
			require.ErrorContains(t, err, text)
			assert.NotContains(t, err.Error(), "word")
			assert.NotContains(t, err.Error(), projectKey)
		})
	}
	v, err := persauth.New(persauth.Config{ProjectKey: projectKey, BaseURL: "http://pers.test", InsecureAllowHTTP: true})
	require.NoError(t, err)
	v.Close()
}

// A project key that could not travel in a header, or would take another header
// along, is refused, and not repeated.
func TestProjectKeyForm(t *testing.T) {
	for _, key := range []string{projectKey + "\n", " " + projectKey, projectKey + "\r\nX-Other: 1", projectKey + " 1", projectKey + "é", projectKey + "\x00"} {
		_, err := persauth.New(persauth.Config{ProjectKey: key})
		require.ErrorContains(t, err, "ProjectKey")
		assert.NotContains(t, err.Error(), projectKey)
	}
}
