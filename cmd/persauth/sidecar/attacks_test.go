package sidecar

// What strangers and users try who want to be more than they are, through real
// proxies. Whatever the proxy makes of a request: either the service hears
// nothing of it, or it hears what was decided about, from who was decided about.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attack is a request that no proxy and no service should fall for.
type attack struct {
	name string
	// uri is what is asked for: by default a page for everybody.
	uri string
	// signedIn says that a user's token comes with it.
	signedIn bool
	// lines are the header, as it goes over the wire.
	lines []string
	// refused says that the service must not hear of it, in whatever form.
	refused bool
}

var attacks = append([]attack{
	{name: "none"}, // so that the rows below are refused for what is in them
	{name: "none, signed in", uri: "/me", signedIn: true},
	{name: "identity", lines: []string{"X-Pers-Roles: TENANT_ADMIN", "X-Pers-Tenant-Id: x", "X-Pers-Business-Id: x", "X-Pers-Subject: x", "X-Pers-Auth-Type: tenant"}},
	{name: "identity, twice", uri: "/me", signedIn: true, lines: []string{"X-Pers-Roles: TENANT_ADMIN", "x-pers-roles: TENANT_ADMIN"}},
	{name: "unknown identity", lines: []string{"X-Pers-Other: x"}},

	{name: "identity after the body", lines: []string{"Transfer-Encoding: chunked", "Trailer: X-Pers-Roles", "", "0", "X-Pers-Roles: TENANT_ADMIN"}},
	{name: "identity after the body, an alias", lines: []string{"Transfer-Encoding: chunked", "Trailer: X_Pers_Roles", "", "0", "X_Pers_Roles: TENANT_ADMIN"}},
	{name: "identity after the body, not announced", uri: "/me", signedIn: true, lines: []string{"Transfer-Encoding: chunked", "", "0", "X-Pers-Roles: TENANT_ADMIN"}},

	{name: "method override", lines: []string{"X-HTTP-Method-Override: DELETE"}},
	{name: "another method override", lines: []string{"X-Method-Override: DELETE"}},
	{name: "Microsoft's method override", lines: []string{"X-HTTP-Method: DELETE"}},
	{name: "path override", lines: []string{"X-Original-URL: /admin"}},
	{name: "another path override", lines: []string{"X-Rewrite-URL: /admin"}},
	{name: "forwarded", uri: "/admin", lines: []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/a", "X-Original-Method: GET", "X-Original-URI: /public/a"}, refused: true},

	{name: "h2c", lines: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "h2c, settings not named", lines: []string{"Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "h2c or a WebSocket", lines: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c, websocket", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "h2c before a WebSocket", lines: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Upgrade: websocket", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "h2c after a WebSocket", lines: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "another protocol", lines: []string{"Connection: Upgrade", "Upgrade: TLS/1.0"}},

	{name: "dotless i", uri: "/adm%C4%B1n", signedIn: true, refused: true},
	{name: "dotted I", uri: "/adm%C4%B0n", signedIn: true, refused: true},
	{name: "wide letter", uri: "/%EF%BD%81dmin", signedIn: true, refused: true},
	{name: "capitals", uri: "/ADMIN", signedIn: true, refused: true},
	{name: "two tokens", uri: "/me", signedIn: true, lines: []string{"Authorization: Bearer x"}, refused: true},
}, dropped()...)

// dropped are requests that want a header dropped on its way by naming it as one
// for the next hop only (RFC 9110 §7.6.1).
func dropped() (all []attack) {
	for _, name := range []string{"X-Pers-Tenant-Id", "X-Pers-Roles, X-Pers-Subject, X-Pers-Auth-Type", "close, x-pers-tenant-id",
		"X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Host, X-Forwarded-Proto", "X-Original-Method, X-Original-URI"} {
		all = append(all, attack{name: "Connection: " + name, uri: "/me", signedIn: true, lines: []string{"Connection: " + name}})
	}
	return append(all, attack{name: "Connection: Authorization", uri: "/me", signedIn: true, lines: []string{"Connection: Authorization"}})
}

// aliases are names that CGI, WSGI, PHP and Rack read as one with dashes.
func aliases() (all []attack) {
	for _, line := range []string{"X-Pers-Roles: TENANT_ADMIN", "X-Pers-Tenant-Id: x", "X-Http-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin"} {
		name, value, _ := strings.Cut(line, ": ")
		for _, alias := range []string{strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1), strings.ToLower(strings.ReplaceAll(name, "-", "_")),
			name[:strings.LastIndexByte(name, '-')] + "_" + name[strings.LastIndexByte(name, '-')+1:], strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "~", 1)} {
			for _, signedIn := range []bool{false, true} {
				all = append(all, attack{name: fmt.Sprintf("%s, %t", alias, signedIn), signedIn: signedIn, uri: map[bool]string{true: "/me"}[signedIn], lines: []string{alias + ": " + value}})
			}
		}
	}
	return all
}

// variables are what a service hears that reads headers as CGI does (RFC 3875
// §4.1.18): all but letters and digits is an underscore.
func variables(header http.Header) map[string][]string {
	all := make(map[string][]string)
	for name, values := range header {
		name = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, strings.ToUpper(name))
		all[name] = append(all[name], values...)
	}
	return all
}

func testAttacks(t *testing.T, b *behind) {
	token := b.iss.UserToken(tenant)
	_, mine := b.send(t, "GET", "/me", map[string]string{"Authorization": "Bearer " + token})
	require.NotNil(t, mine)
	for _, a := range append(attacks, aliases()...) {
		t.Run(a.name, func(t *testing.T) { b.attack(t, a, token, mine.Header) })
	}
}

// attack sends it, and looks at what comes of it. mine is the header by which
// the service knows the user.
func (b *behind) attack(t *testing.T, a attack, token string, mine http.Header) {
	lines := a.lines
	if a.uri == "" {
		a.uri = "/public/a"
	}
	if a.signedIn {
		lines = append([]string{"Authorization: Bearer " + token}, lines...)
	}
	response, conn, _ := b.sendRaw(t, "GET", a.uri, lines...)
	defer conn.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		require.Equal(t, "websocket", response.Header.Get("Upgrade"), "a tunnel to the service")
		return
	}
	response, heard := read(t, response)
	if len(a.lines) == 0 && !a.refused {
		require.NotNil(t, heard, "%d: without an attack it gets through", response.StatusCode)
	}
	if heard == nil {
		assert.Contains(t, []int{400, 401, 403, 404}, response.StatusCode)
		return
	}
	require.False(t, a.refused, "the service heard %+v", heard)
	assert.Equal(t, "GET "+a.uri, heard.Method+" "+heard.URI)
	for name, values := range variables(heard.Header) {
		header := strings.ReplaceAll(name, "_", "-")
		switch {
		case strings.HasPrefix(name, "X_PERS_"):
			var want []string
			if a.signedIn {
				want = mine.Values(header)
			}
			if strings.Join(values, "") != "" || len(want) > 0 {
				assert.Equal(t, want, values, header)
			}
		case strings.HasPrefix(name, "X_HTTP_METHOD"), name == "X_METHOD_OVERRIDE", name == "X_ORIGINAL_URL", name == "X_REWRITE_URL",
			name == "HTTP2_SETTINGS", name == "UPGRADE":
			assert.Fail(t, "the service may do something else", "%s: %q", name, values)
		}
	}
	for _, name := range []string{headerSubject, headerTenant, headerAuthType} {
		if a.signedIn {
			assert.Equal(t, mine.Values(name), heard.Header.Values(name), "the service knows who it is: %s", name)
		}
	}
}

// WebSockets work, for those who may call the address.
func testWebSocket(t *testing.T, b *behind) {
	for _, word := range []string{"websocket", "WebSocket"} {
		upgrade := []string{"Connection: keep-alive, Upgrade", "Upgrade: " + word, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
		response, _, _ := b.sendRaw(t, "GET", "/me", upgrade...)
		assert.Equal(t, 401, response.StatusCode)
		response, conn, reader := b.sendRaw(t, "GET", "/me", append(upgrade, "Authorization: Bearer "+b.iss.UserToken(tenant))...)
		require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode, word)
		assert.Equal(t, tenant, response.Header.Get("X-Tenant-Seen"))
		_, err := io.WriteString(conn, "hello")
		require.NoError(t, err)
		answer := make([]byte, 5)
		_, err = io.ReadFull(reader, answer)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(answer))
		conn.Close()
	}
}

// The challenges for tokens and for proofs get through, and say what is wrong.
func testChallenges(t *testing.T, b *behind) {
	response, _ := b.send(t, "GET", "/me", nil)
	challenge := strings.Join(response.Header.Values("WWW-Authenticate"), ", ")
	assert.Contains(t, challenge, "Bearer")
	assert.Contains(t, challenge, "DPoP")
	client := b.iss.DPoPClient("ES256")
	token := b.iss.BoundToken(client, map[string]any{})
	response, _ = b.send(t, "GET", "/me", map[string]string{"Authorization": "DPoP " + token, "Dpop": client.Proof("GET", "https://api.example.com/other", token)})
	assert.Equal(t, 401, response.StatusCode)
	assert.Contains(t, strings.Join(response.Header.Values("WWW-Authenticate"), ", "), "invalid_dpop_proof")
}

// Requests whose body never comes lock nobody out.
func testBodies(t *testing.T, b *behind) {
	for range 50 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.proxy, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /businesses/"+business+"/orders HTTP/1.1\r\nHost: "+publicHost+"\r\nContent-Length: 10\r\n\r\n")
		require.NoError(t, err)
	}
	began := time.Now()
	response, _ := b.send(t, "GET", "/public/a", nil)
	assert.Equal(t, 200, response.StatusCode)
	assert.Less(t, time.Since(began), 5*time.Second)
}
