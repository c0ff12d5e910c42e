package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

func TestRevokedByWebhook(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	service := newService(iss.Verifier(), "secret")
	token := iss.Token(map[string]any{"jti": "token-1"})
	me := func() int {
		r := httptest.NewRequest(http.MethodGet, "/me", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w.Code
	}
	hook := func(secret, body string) int {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/revoked", strings.NewReader(body))
		r.Header.Set("X-Webhook-Secret", secret)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w.Code
	}
	assert.Equal(t, http.StatusOK, me())
	assert.Equal(t, http.StatusUnauthorized, hook("wrong", `{"jti":"token-1"}`))
	assert.Equal(t, http.StatusBadRequest, hook("secret", `{}`))
	assert.Equal(t, http.StatusOK, me(), "nothing was revoked yet")
	assert.Equal(t, http.StatusNoContent, hook("secret", `{"jti":"token-1"}`))
	assert.Equal(t, http.StatusUnauthorized, me(), "refused from the next call on")
}
