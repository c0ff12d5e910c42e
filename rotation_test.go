package persauth_test

// What becomes of tokens when the keys of PERS change.

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jwks is a JWK Set of these keys.
func jwks(keys ...*persauthtest.Key) []byte {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		all[i] = key.JWK()
	}
	return append(append([]byte(`{"keys":[`), bytes.Join(all, []byte(","))...), "]}"...)
}

func newKey(t testing.TB, id, algorithm string) *persauthtest.Key {
	t.Helper()
	key, err := persauthtest.NewKey(id, algorithm, "")
	require.NoError(t, err)
	return key
}

// refresh lets the soft age pass, and the refresh that is then due complete.
func (s *service) refresh() {
	s.t.Helper()
	time.Sleep(softAge)
	s.warm()
	synctest.Wait()
}

// A key that leaves takes its tokens along, whether they are remembered or not;
// those of the keys that stay are not even verified again.
func TestKeyRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		old := s.iss.Keys()[0]
		stays := s.iss.Rotate()
		s.warm()
		remembered, kept := s.tokenBy(old), s.tokenBy(stays)
		s.accepts(remembered)
		s.accepts(kept)
		s.iss.Retire(old)
		s.accepts(remembered) // nobody has heard yet

		s.refresh()
		s.refuses(remembered, persauth.ErrUnknownKey)
		s.refuses(s.tokenBy(old), persauth.ErrUnknownKey)
		before := s.status().Counters.Verified
		s.accepts(kept)
		assert.Equal(t, before, s.status().Counters.Verified)
		assert.Len(t, s.status().Keys.Keys, 1)

		// It comes back: its tokens are good again.
		s.pers.now(replies(200, jwks(stays, old)))
		s.refresh()
		s.accepts(remembered)
	})
}

// Every key is replaced at once.
func TestAllKeysReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		old := s.token()
		s.warm()
		s.accepts(old)
		s.iss.Retire(s.iss.Keys()...)
		s.iss.Rotate()
		token := s.token()
		s.accepts(token) // unknown, and so it has the set read
		s.refuses(old, persauth.ErrUnknownKey)
		s.accepts(token)
	})
}

// A new key under an old kid: what the old one signed is void.
func TestKeyReplacedUnderItsKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		one, other := newKey(t, "main", "ES256"), newKey(t, "main", "ES256")
		s.pers.now(replies(200, jwks(one)))
		old, token := s.tokenBy(one), s.tokenBy(other)
		s.accepts(old)
		s.refuses(token, persauth.ErrSignature)
		s.pers.now(replies(200, jwks(other)))
		s.refresh()
		s.refuses(old, persauth.ErrSignature)
		s.accepts(token)

		// Both under one kid, for a while: both are good.
		s.pers.now(replies(200, jwks(one, other)))
		s.refresh()
		s.accepts(old)
		s.accepts(token)
	})
}

// A key that may no longer be used for an algorithm takes its tokens along.
func TestKeyChangesItsUse(t *testing.T) {
	for name, change := range map[string][2]string{
		"algorithm":  {`"alg":"RS256"`, `"alg":"PS256"`},
		"encryption": {`"use":"sig"`, `"use":"enc"`},
		"kid":        {`"kid":"rsa"`, `"kid":"asr"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				key, beside := newKey(t, "rsa", "RS256"), newKey(t, "beside", "ES256")
				body := jwks(key, beside)
				s.pers.now(replies(200, body))
				token := s.tokenBy(key)
				s.accepts(token)
				s.accepts(token)
				changed := bytes.Replace(body, []byte(change[0]), []byte(change[1]), 1)
				require.NotEqual(t, body, changed)
				s.pers.now(replies(200, changed))
				s.refresh()
				_, err := s.verify(token)
				require.Error(t, err)
				assert.NotErrorIs(t, err, persauth.ErrUnavailable)
			})
		})
	}
}

// The same keys in another order, form and company stay the same keys.
func TestSameKeysWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		a, b := newKey(t, "a", "ES256"), newKey(t, "b", "EdDSA")
		s.pers.now(replies(200, jwks(a, b)))
		tokens := []string{s.tokenBy(a), s.tokenBy(b)}
		for _, token := range tokens {
			s.accepts(token)
		}
		for _, body := range [][]byte{
			jwks(b, a),
			bytes.ReplaceAll(jwks(a, b), []byte(","), []byte(",\n  ")),
			jwks(a, newKey(t, "c", "ES256"), b),
			jwks(a, b, a),
		} {
			s.pers.now(replies(200, body))
			s.refresh()
			verified := s.status().Counters.Verified
			for _, token := range tokens {
				s.accepts(token)
			}
			assert.Equal(t, verified, s.status().Counters.Verified)
			for i, info := range s.status().Keys.Keys {
				assert.Equal(t, i, info.Position)
			}
		}
		// The log names keys that come and go, not refreshes.
		assert.Equal(t, 3, s.log.lines("keys changed"), s.log)
	})
}

// A token that is verified while its key leaves is verified with what is held
// then; the next one is not.
func TestRemovedByRefreshForUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		old := s.iss.Keys()[0]
		s.warm()
		token := s.tokenBy(old)
		s.accepts(token)
		s.iss.Rotate()
		s.iss.Retire(old)
		s.refuses(s.stranger(1), persauth.ErrUnknownKey)
		s.refuses(token, persauth.ErrUnknownKey)
	})
}

// A token without a kid is for the one key that fits, while there is only one.
func TestRotationWithoutKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		token := s.iss.TokenWithHeader(map[string]any{"kid": nil}, map[string]any{})
		s.accepts(token)
		first := s.iss.Keys()[0]
		s.iss.Rotate()
		s.refuses(s.stranger(1), persauth.ErrUnknownKey)
		another := s.iss.TokenWithHeader(map[string]any{"kid": nil}, map[string]any{})
		s.refuses(another, persauth.ErrUnknownKey)
		s.iss.Retire(first)
		time.Sleep(30 * time.Second)
		s.accepts(another)
		s.refuses(token, persauth.ErrSignature)
	})
}
