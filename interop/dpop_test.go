// Package interop_test holds persauth against programs that others wrote.
package interop_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func run(t *testing.T, folder, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = folder
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// serve starts a service that issues bound tokens, and takes them.
func serve(t *testing.T, iss *persauthtest.Issuer, secret []byte) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "http://" + s.Listener.Addr().String(), NonceSecret: secret}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		cnf := map[string]string{"jkt": r.FormValue("jkt")}
		_, _ = io.WriteString(w, iss.Token(map[string]any{"tenantId": "acme", "cnf": cnf}))
	})
	mux.Handle("/orders", v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.Handle("/orders/{order}/", v.Require(persauth.Tenant(persauth.Fixed("acme")))(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if order := r.PathValue("order"); order != "café/1~x" && order != "a|b" {
				http.NotFound(w, r)
			}
		})))
	s.Config.Handler = mux
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// A client of the npm package "dpop" is understood, and what it does wrong is
// refused with the error that it looks for.
func TestNpmDPoP(t *testing.T) {
	folder, node := foreign.Node(t, ".")
	iss := persauthtest.NewIssuer(t)
	plain, nonces := serve(t, iss, nil), serve(t, iss, make([]byte, 32))
	want := maps.Clone(answers)
	maps.Copy(want, map[string]string{
		"odd path": "", "path with a bar": "", "with nonce": "", "with nonce again": "",
		"without nonce": "use_dpop_nonce", "with another nonce": "use_dpop_nonce",
	})
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) { check(t, want, folder, node, alg, plain, nonces) })
	}
}

// algorithms are those that the client is tried with.
var algorithms = []string{"ES256", "RS256", "PS256", "Ed25519"}

// answers are what the client gets for each of its requests, wherever it sends
// them: an error, or "" for a 200.
var answers = map[string]string{
	"get": "", "query": "", "post": "", "upper case": "", "many": "",
	"replay": "invalid_dpop_proof", "other method": "invalid_dpop_proof", "other address": "invalid_dpop_proof",
	"other host": "invalid_dpop_proof", "no token hash": "invalid_dpop_proof", "other token": "invalid_dpop_proof",
	"no proof": "invalid_dpop_proof", "other key": "invalid_token", "as Bearer": "invalid_token",
}

// check runs the client and holds what it got against want. "403" stands for a
// path that is not let through, whoever asks.
func check(t *testing.T, want map[string]string, folder, node string, args ...string) {
	t.Helper()
	out, err := run(t, folder, node, append([]string{"client.mjs"}, args...)...)
	require.NoError(t, err, out)
	var outcomes map[string]struct {
		Status       int
		Error, Nonce string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &outcomes), out)
	assert.Len(t, outcomes, len(want))
	for step, code := range want {
		got, sent := outcomes[step]
		require.True(t, sent, step)
		status := http.StatusUnauthorized
		switch code {
		case "":
			status = http.StatusOK
		case "403":
			status, code = http.StatusForbidden, got.Error
		}
		assert.Equal(t, status, got.Status, step)
		assert.Equal(t, code, got.Error, step)
		assert.Equal(t, code == "use_dpop_nonce", got.Nonce != "", step)
	}
}
