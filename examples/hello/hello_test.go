package main

import (
	"net/http/httptest"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

func TestOrders(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	handler := routes(iss.Verifier())
	for token, want := range map[string]int{
		iss.BusinessToken("acme", "shop-1", "ADMIN"): 200,
		iss.BusinessToken("acme", "shop-2", "ADMIN"): 403,
		iss.ExpiredToken():                           401,
		iss.ForgedToken():                            401,
	} {
		r := httptest.NewRequest("GET", "/businesses/shop-1/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
		}
	}
}

// The program as main starts it: with the environment that persauth mock prints.
func TestAgainstMock(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	t.Setenv("PERS_BASE_URL", pers.URL())
	t.Setenv("PERS_PROJECT_KEY", pers.ProjectKey())
	cfg, err := persauth.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	v, err := persauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r := httptest.NewRequest("GET", "/me", nil)
	r.Header.Set("Authorization", "Bearer "+iss.Token(map[string]any{"sub": "ann", "tenantId": "acme"}))
	w := httptest.NewRecorder()
	routes(v).ServeHTTP(w, r)
	if got, want := w.Body.String(), "hello ann of tenant acme\n"; w.Code != 200 || got != want {
		t.Errorf("got %d %q, want 200 %q", w.Code, got, want)
	}
}
