package persauthlambda_test

// The example as Lambda runs it: a process, and the runtime API, which the test
// serves.

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcome is what a function said about one event.
type outcome struct {
	failed bool
	body   string
}

// runtimeAPI gives events to a function, and takes its answers.
type runtimeAPI struct {
	events   chan []byte
	outcomes chan outcome
	asked    chan time.Time // when the function asked for the first event
}

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const prefix = "/2018-06-01/runtime/"
	switch {
	case r.URL.Path == prefix+"invocation/next":
		select {
		case a.asked <- time.Now():
		default:
		}
		select {
		case event := <-a.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(5*time.Second).UnixMilli(), 10))
			_, _ = w.Write(event)
		case <-r.Context().Done():
		}
	case r.URL.Path == prefix+"invocation/1/response" || r.URL.Path == prefix+"invocation/1/error":
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		a.outcomes <- outcome{filepath.Base(r.URL.Path) == "error", string(body)}
	default:
		http.NotFound(w, r)
	}
}

// running is a function that runs.
type running struct {
	*runtimeAPI
	stop func()
}

// start starts a function, with a runtime API of its own.
func start(t testing.TB, program string, env ...string) *running {
	t.Helper()
	api := &runtimeAPI{make(chan []byte), make(chan outcome), make(chan time.Time, 1)}
	server := httptest.NewServer(api)
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, program)
	command.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+server.Listener.Addr().String())
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	return &running{api, func() {
		cancel()
		_ = command.Wait()
		server.Close()
	}}
}

// invoke lets the function answer an event with a token.
func (r *running) invoke(t testing.TB, token string) outcome {
	t.Helper()
	event := sample(t, "apigw-custom-auth-request", func(event map[string]any) { event["authorizationToken"] = token })
	select {
	case r.events <- event:
		return <-r.outcomes
	case <-time.After(20 * time.Second):
		t.Fatal("the function asks for no event")
		return outcome{}
	}
}

func TestFunctionInTheRuntime(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this builds a program")
	}
	iss := persauthtest.NewIssuer(t)
	folder := t.TempDir()
	program, keys := filepath.Join(folder, "bootstrap"), filepath.Join(folder, "jwks.json")
	require.NoError(t, os.WriteFile(keys, iss.JWKS(), 0o600))
	out, err := foreign.Run(t, ".", "go", "build", "-tags", "lambda.norpc", "-o", program, "./example")
	require.NoError(t, err, out)

	function := start(t, program, "PERS_JWKS_FILE="+keys)
	defer function.stop()
	var a answer
	good := function.invoke(t, "Bearer "+iss.UserToken("acme"))
	require.False(t, good.failed, good.body)
	require.NoError(t, json.Unmarshal([]byte(good.body), &a))
	assert.Equal(t, "Allow", a.PolicyDocument.Statement[0].Effect)
	denied := function.invoke(t, "Bearer "+iss.SystemToken("acme"))
	require.False(t, denied.failed, denied.body)
	assert.Contains(t, denied.body, `"Deny"`)
	var failure struct {
		Message string `json:"errorMessage"`
	}
	for _, token := range []string{"Bearer " + iss.ForgedToken(), "Bearer " + iss.ExpiredToken(), "nonsense", ""} {
		refused := function.invoke(t, token)
		require.True(t, refused.failed)
		require.NoError(t, json.Unmarshal([]byte(refused.body), &failure))
		assert.Equal(t, "Unauthorized", failure.Message, "the text that API Gateway looks for")
	}

	// A cold start: from the start of the process to the answer to its first event.
	var ready, answered []time.Duration
	for range 20 {
		begin := time.Now()
		function := start(t, program, "PERS_JWKS_FILE="+keys)
		got := function.invoke(t, "Bearer "+iss.UserToken("acme"))
		answered = append(answered, time.Since(begin))
		ready = append(ready, (<-function.asked).Sub(begin))
		function.stop()
		require.False(t, got.failed, got.body)
	}
	slices.Sort(ready)
	slices.Sort(answered)
	t.Logf("cold start, median of 20: asks for its first event after %v, and has answered it after %v", ready[10], answered[10])
	assert.Less(t, answered[10], time.Second)
}
