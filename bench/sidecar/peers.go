package main

// The servers that are compared. Each answers the question of a proxy, with who
// is calling in as many headers.

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// golangJWT is what others are compared with, too.
const golangJWT = "handler on golang-jwt + keyfunc"

// peer is a server.
type peer struct {
	name string
	// path is where it is asked.
	path string
	// bare says that it looks at no token.
	bare    bool
	command func(context.Context, launchArgs) (*exec.Cmd, error)
}

// leftOut reports whether one of the parts, with commas between, is in the name.
// The two that others are compared with stay.
func (p peer) leftOut(parts string) bool {
	for part := range strings.SplitSeq(parts, ",") {
		if part != "" && strings.Contains(p.name, part) {
			return !p.bare && p.name != golangJWT
		}
	}
	return false
}

type launchArgs struct {
	addr, folder, persauth string
	world                  *world
}

var peers = []peer{
	{name: "bare Go server, 204", path: "/", bare: true, command: self("bare")},
	{name: "persauth serve", path: "/auth", command: persauthServe},
	{name: golangJWT, path: "/", command: self("golang-jwt")},
	{name: "handler on go-oidc", path: "/", command: self("go-oidc")},
	{name: "oauth2-proxy", path: "/oauth2/auth", command: oauth2Proxy},
	{name: "nginx with njs", path: "/", command: nginxJS},
}

// self runs this program as a server.
func self(name string) func(context.Context, launchArgs) (*exec.Cmd, error) {
	return func(ctx context.Context, a launchArgs) (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, program, "-serve", name, "-addr", a.addr, "-jwks", filepath.Join(a.folder, "jwks.json")), nil
	}
}

// persauthServe runs the sidecar, with the rule that a proxy would have for it.
func persauthServe(ctx context.Context, a launchArgs) (*exec.Cmd, error) {
	program := a.persauth
	if program == "" {
		program = filepath.Join(a.folder, "persauth")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/persauth/persauth/cmd/persauth").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
	}
	metrics, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(a.folder, "sidecar.yaml")
	text := fmt.Sprintf(`proxy: nginx
pers: {jwks: jwks.json, offline: true, issuer: %q, audience: %q, tenants: [%q]}
routes:
  - {methods: [GET], path: /health, public: true}
  - {methods: [GET], path: "/businesses/{business}/orders", business: {path: business}, businessRoles: [%s]}
  - {methods: [POST], path: "/businesses/{business}/orders", business: {path: business}, businessRoles: [%s]}
`, issuer, audience, tenant, role, role)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, program, "serve", "--config", config, "--addr", a.addr, "--metrics-addr", metrics), nil
}

// serveSelf is a server of this program.
func serveSelf(name, addr, keys string) error {
	jwks, err := os.ReadFile(keys)
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, &caller{"0b0e3c2e-6a57-4f0e-9d49-000000000000", tenant, business, role, "business"})
	})
	switch name {
	case "bare":
	case "golang-jwt":
		handler, err = golangJWTHandler(jwks)
	case "go-oidc":
		handler, err = oidcHandler(jwks)
	default:
		err = fmt.Errorf("no server %q", name)
	}
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	return server.ListenAndServe()
}

// caller is who is told to the service.
type caller struct{ subject, tenant, business, role, authType string }

func answer(w http.ResponseWriter, c *caller) {
	h := w.Header()
	h.Set("X-Pers-Subject", c.subject)
	h.Set("X-Pers-Tenant-Id", c.tenant)
	h.Set("X-Pers-Business-Id", c.business)
	h.Set("X-Pers-Roles", c.role)
	h.Set("X-Pers-Auth-Type", c.authType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// own are the claims of PERS.
type own struct {
	Tenant   string `json:"tenantId"`
	Business string `json:"businessId"`
	Role     string `json:"role"`
	AuthType string `json:"authType"`
}

// allowed answers if the caller has the role in the business of the path.
func (o *own) allowed(w http.ResponseWriter, r *http.Request, subject string) {
	path, _, _ := strings.Cut(r.Header.Get("X-Original-Uri"), "?")
	asked := strings.TrimSuffix(strings.TrimPrefix(path, "/businesses/"), "/orders")
	if o.Tenant != tenant || o.Business != asked || o.Role != role {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	answer(w, &caller{subject, o.Tenant, o.Business, o.Role, o.AuthType})
}

func golangJWTHandler(jwks []byte) (http.HandlerFunc, error) {
	keys, err := keyfunc.NewJWKSetJSON(jwks)
	if err != nil {
		return nil, err
	}
	type claims struct {
		jwt.RegisteredClaims
		own
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithIssuedAt())
	return func(w http.ResponseWriter, r *http.Request) {
		var c claims
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := parser.ParseWithClaims(token, &c, keys.Keyfunc); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.allowed(w, r, c.Subject)
	}, nil
}

func oidcHandler(jwks []byte) (http.HandlerFunc, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, err
	}
	static := new(oidc.StaticKeySet)
	for _, key := range set.Keys {
		static.PublicKeys = append(static.PublicKeys, crypto.PublicKey(key.Key))
	}
	verifier := oidc.NewVerifier(issuer, static, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"RS256"}})
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		verified, err := verifier.Verify(r.Context(), token)
		var c own
		if err = errors.Join(err, claimsOf(verified, &c)); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.allowed(w, r, verified.Subject)
	}, nil
}

func claimsOf(verified *oidc.IDToken, into *own) error {
	if verified == nil {
		return nil
	}
	return verified.Claims(into)
}
