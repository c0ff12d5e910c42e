package frameworks_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/examples/frameworks/live"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endsWithin is how long a connection may outlive its token, with time for a machine
// that is busy.
const endsWithin = 2 * time.Second

// ends are what ends a token.
var ends = map[string]func(*testing.T, *persauthtest.Issuer, *persauth.Verifier, string){
	"expired": func(_ *testing.T, iss *persauthtest.Issuer, _ *persauth.Verifier, _ string) {
		iss.Clock().Advance(16 * time.Minute)
	},
	"revoked": func(t *testing.T, _ *persauthtest.Issuer, v *persauth.Verifier, token string) {
		require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	},
}

func TestEvents(t *testing.T) {
	for reason, end := range ends {
		t.Run(reason, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t)
			v := iss.Verifier()
			events := make(chan string)
			server := httptest.NewServer(live.New(v, events))
			defer server.Close()
			token := iss.UserToken("acme")
			get := func() *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events", nil)
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+token)
				answer, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				return answer
			}
			answer := get()
			defer answer.Body.Close()
			require.Equal(t, http.StatusOK, answer.StatusCode)
			events <- "one"
			begin := time.Now()
			end(t, iss, v, token)
			said, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			assert.Less(t, time.Since(begin), endsWithin)
			assert.Equal(t, "data: one\n\nevent: end\ndata: "+reason+"\n\n", string(said))
			again := get()
			defer again.Body.Close()
			assert.Equal(t, http.StatusUnauthorized, again.StatusCode)
		})
	}
}

func TestSocket(t *testing.T) {
	for reason, end := range ends {
		t.Run(reason, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t)
			v := iss.Verifier()
			server := httptest.NewServer(live.New(v, nil))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			token := iss.UserToken("acme")
			dial := func() (*websocket.Conn, *http.Response, error) {
				return websocket.Dial(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/socket",
					&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
			}
			conn, _, err := dial()
			require.NoError(t, err)
			defer conn.CloseNow()
			require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte("hello")))
			_, message, err := conn.Read(ctx)
			require.NoError(t, err)
			assert.Equal(t, "hello", string(message))
			begin := time.Now()
			end(t, iss, v, token)
			_, _, err = conn.Read(ctx) // silent on both sides
			assert.Less(t, time.Since(begin), endsWithin)
			var closed websocket.CloseError
			require.ErrorAs(t, err, &closed)
			assert.Equal(t, websocket.StatusPolicyViolation, closed.Code)
			assert.Equal(t, reason, closed.Reason)
			_, answer, err := dial()
			require.Error(t, err)
			assert.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		})
	}
}
