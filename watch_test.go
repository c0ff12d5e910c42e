package persauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stream that sends nothing ends with the token of its caller, and within a
// second.
func TestContextWhileValid(t *testing.T) {
	type stream struct {
		d      *desk
		ctx    context.Context
		cancel context.CancelFunc
		parent context.CancelFunc
		token  string
	}
	const life = time.Hour
	for _, c := range []struct {
		name string
		act  func(*stream)
		ends time.Duration // at the latest; 0: not by itself
		why  error
	}{
		{"it expires", func(*stream) {}, life + 30*time.Second + time.Second, persauth.ErrExpired},
		{"its token is revoked", func(s *stream) { s.d.revoke(persauth.Revocation{Token: s.token}) }, time.Nanosecond, persauth.ErrRevoked},
		{"its subject is revoked", func(s *stream) { s.d.revoke(persauth.Revocation{Subject: "ann"}) }, time.Nanosecond, persauth.ErrRevoked},
		{"another subject is revoked", func(s *stream) { s.d.revoke(persauth.Revocation{Subject: "bob"}) }, life + 31*time.Second, persauth.ErrExpired},
		{"its key leaves", func(s *stream) {
			s.d.iss.Rotate()
			s.d.iss.Retire(s.d.iss.Keys()[0])
			time.Sleep(16 * time.Minute)
			s.d.accepts(s.d.iss.UserToken("acme")) // the one who starts the refresh
		}, time.Second, persauth.ErrUnknownKey},
		{"the verifier is closed", func(s *stream) { s.d.v.Close() }, time.Nanosecond, persauth.ErrUnavailable},
		{"it is canceled", func(s *stream) { s.cancel() }, time.Nanosecond, context.Canceled},
		{"its parent is canceled", func(s *stream) { s.parent() }, time.Nanosecond, context.Canceled},
	} {
		inBubble(t, c.name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationOff())
			s := &stream{d: d, token: d.iss.Token(map[string]any{"sub": "ann", "exp": time.Now().Add(life).Unix()})}
			parent, cancelParent := context.WithCancel(t.Context())
			s.parent = cancelParent
			defer cancelParent()
			s.ctx, s.cancel = d.v.ContextWhileValid(parent, d.accepts(s.token))
			defer s.cancel()
			require.NoError(t, s.ctx.Err())
			c.act(s)
			began := time.Now()
			<-s.ctx.Done()
			assert.LessOrEqual(t, time.Since(began), c.ends)
			require.ErrorIs(t, context.Cause(s.ctx), c.why)
			if c.why == persauth.ErrExpired {
				assert.GreaterOrEqual(t, time.Since(began), life+30*time.Second, "not before its time")
			}
		})
	}
}

// Nothing runs for streams that have ended, and claims that are not good begin none.
func TestContextWhileValidEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationOff())
		token := d.token(time.Hour)
		claims := d.accepts(token)
		for range 100 {
			ctx, cancel := d.v.ContextWhileValid(t.Context(), claims)
			require.NoError(t, ctx.Err())
			cancel()
		}
		d.revoke(persauth.Revocation{Token: token})
		ctx, cancel := d.v.ContextWhileValid(t.Context(), claims)
		defer cancel()
		require.ErrorIs(t, context.Cause(ctx), persauth.ErrRevoked)
		ctx, cancel = d.v.ContextWhileValid(t.Context(), nil)
		defer cancel()
		require.ErrorIs(t, context.Cause(ctx), persauth.ErrNoToken)
		fresh := d.accepts(d.token(time.Hour))
		d.v.Close()
		ctx, cancel = d.v.ContextWhileValid(t.Context(), fresh)
		defer cancel()
		require.ErrorIs(t, context.Cause(ctx), persauth.ErrUnavailable)
	})
}

// A clock that is set forward ends a stream as well: timers do not see it.
func TestContextWhileValidFollowsTheClock(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	t.Cleanup(v.Close)
	claims, err := v.Verify(t.Context(), iss.UserToken("acme"))
	require.NoError(t, err)
	ctx, cancel := v.ContextWhileValid(t.Context(), claims)
	defer cancel()
	iss.Clock().Advance(time.Hour)
	select {
	case <-ctx.Done():
		require.ErrorIs(t, context.Cause(ctx), persauth.ErrExpired)
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// A handler that waits for its client goes on when the token ends: at once where it
// reads, and a second later where it writes. In between it can say why.
func TestStreamWhileValid(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for name, wait := range map[string]func(w http.ResponseWriter, r *http.Request) error{
			"reads": func(w http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				_, last := io.WriteString(w, "the end")
				assert.NoError(t, last)
				return err
			},
			"writes": func(w http.ResponseWriter, _ *http.Request) error {
				for {
					if _, err := w.Write(make([]byte, 1<<16)); err != nil {
						return err
					}
				}
			},
		} {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				iss := persauthtest.NewIssuer(t)
				v := iss.Verifier()
				started, left := make(chan struct{}), make(chan error, 1)
				server := httptest.NewUnstartedServer(v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, protocol, r.Proto)
					ctx, cancel := v.StreamWhileValid(w, r)
					defer cancel()
					_ = http.NewResponseController(w).EnableFullDuplex()
					assert.NoError(t, http.NewResponseController(w).Flush())
					close(started)
					err := wait(w, r)
					assert.ErrorIs(t, context.Cause(ctx), persauth.ErrExpired)
					left <- err
				})))
				server.EnableHTTP2 = protocol == "HTTP/2.0"
				server.StartTLS()
				defer server.Close()
				body, silent := io.Pipe()
				defer silent.Close()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+iss.UserToken("acme"))
				answer, err := server.Client().Do(r)
				require.NoError(t, err)
				defer answer.Body.Close()
				<-started
				iss.Clock().Advance(16 * time.Minute)
				select {
				case err := <-left:
					require.Error(t, err)
				case <-time.After(5 * time.Second):
					t.Fatal("the handler still waits")
				}
				if name == "reads" {
					said, err := io.ReadAll(answer.Body)
					require.NoError(t, err)
					assert.Equal(t, "the end", string(said))
				}
			})
		}
	}
}

// Without a caller in the context of its request, a stream ends at once.
func TestStreamOfNobody(t *testing.T) {
	v := persauthtest.NewIssuer(t).Verifier()
	ctx, cancel := v.StreamWhileValid(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	defer cancel()
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), persauth.ErrNoToken)
}
