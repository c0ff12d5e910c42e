package main

// Programs that others wrote, where they are installed: oauth2-proxy (go install
// github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6), and nginx with Debian's
// libnginx-mod-http-js.

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// oauth2Proxy answers auth requests for bearer tokens of an issuer.
func oauth2Proxy(ctx context.Context, a launchArgs) (*exec.Cmd, error) {
	program, err := exec.LookPath("oauth2-proxy")
	if err != nil {
		return nil, errMissing
	}
	// It finds the keys by way of the issuer's own pages.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base := "http://" + listener.Addr().String()
	pages := http.NewServeMux()
	pages.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q,"id_token_signing_alg_values_supported":["RS256"]}`,
			issuer, base+"/jwks.json", base+"/authorize", base+"/token")
	})
	pages.HandleFunc("/jwks.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.world.jwks()) })
	server := &http.Server{Handler: pages}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return exec.CommandContext(ctx, program, "--http-address", a.addr, "--provider", "oidc", "--client-id", audience, "--client-secret", "not used",
		"--cookie-secret", "0123456789abcdef0123456789abcdef", "--email-domain", "*", "--skip-jwt-bearer-tokens", "--set-xauthrequest",
		"--oidc-issuer-url", base, "--insecure-oidc-skip-issuer-verification", "--extra-jwt-issuers", issuer+"="+audience,
		"--upstream", "static://204", "--reverse-proxy", "--request-logging=false", "--auth-logging=false", "--standard-logging=false"), nil
}

// nginxScript verifies as njs does it: WebCrypto for the signature, and JSON.
// A request has a virtual machine of its own, so the key is read in each.
const nginxScript = `
const spki = Buffer.from('%s', 'base64');
async function answer(r) {
	try {
		const parts = r.headersIn.Authorization.substring(7).split('.');
		const header = JSON.parse(Buffer.from(parts[0], 'base64url').toString());
		const c = JSON.parse(Buffer.from(parts[1], 'base64url').toString());
		const now = Date.now() / 1000;
		const key = await crypto.subtle.importKey('spki', spki, {name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256'}, false, ['verify']);
		const good = await crypto.subtle.verify('RSASSA-PKCS1-v1_5', key, Buffer.from(parts[2], 'base64url'), parts[0] + '.' + parts[1]);
		if (!good || header.alg != 'RS256' || header.kid != '%s' || c.iss != '%s' || c.aud != '%s' || c.exp < now - 30 || c.nbf > now + 30 || c.iat > now + 30) {
			return r.return(401);
		}
		const asked = r.headersIn['X-Original-URI'].split('?')[0].split('/')[2];
		if (c.tenantId != '%s' || c.businessId != asked || c.role != '%s') {
			return r.return(403);
		}
		r.headersOut['X-Pers-Subject'] = c.sub;
		r.headersOut['X-Pers-Tenant-Id'] = c.tenantId;
		r.headersOut['X-Pers-Business-Id'] = c.businessId;
		r.headersOut['X-Pers-Roles'] = c.role;
		r.headersOut['X-Pers-Auth-Type'] = c.authType;
		r.headersOut['Cache-Control'] = 'no-store';
		r.return(204);
	} catch (e) {
		r.return(401);
	}
}
export default {answer};
`

// nginxJS is nginx with a script.
func nginxJS(ctx context.Context, a launchArgs) (*exec.Cmd, error) {
	const module = "/usr/lib/nginx/modules/ngx_http_js_module.so"
	program, err := exec.LookPath("nginx")
	if _, stat := os.Stat(module); err != nil || stat != nil {
		return nil, errMissing
	}
	spki, err := x509.MarshalPKIXPublicKey(a.world.key.Public())
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(a.folder, "nginx")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	script := fmt.Sprintf(nginxScript, base64.StdEncoding.EncodeToString(spki), a.world.key.ID, issuer, audience, tenant, role)
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s; ", kind, filepath.Join(folder, kind))
	}
	config := fmt.Sprintf(`load_module %s;
pid %s/pid;
worker_processes auto;
events {}
http {
	access_log off;
	%s
	keepalive_requests 1000000000;
	js_import auth from %s/auth.js;
	server {
		listen %s;
		location / { js_content auth.answer; }
	}
}
`, module, folder, temporary.String(), folder, a.addr)
	for name, content := range map[string]string{"auth.js": script, "nginx.conf": config} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	return exec.CommandContext(ctx, program, "-p", folder, "-e", "stderr", "-c", filepath.Join(folder, "nginx.conf"), "-g", "daemon off;"), nil
}
