package sidecar

// Headers of a client that would make the service do something else than what is
// decided about, or take the client for somebody else. Proxies overwrite headers
// by their exact names; services read them more generously.

import (
	"net/http"
	"strings"
)

// identityPrefix begins the names of all headers that say who is calling, in
// lower case.
const identityPrefix = "x-pers-"

// overriding are headers by which some frameworks take a request for one with
// another method or path, in lower case.
var overriding = map[string]bool{
	"x-http-method": true, "x-http-method-override": true, "x-method-override": true, "x-original-url": true, "x-rewrite-url": true,
}

// proxyPrefixes begin names of headers that proxies set, and services believe.
var proxyPrefixes = []string{"x-forwarded-", "x-original-"}

// hostileHeader reports a header of the request that must not reach the service,
// or "".
func hostileHeader(header http.Header) (problem string) {
	for name := range header {
		// All that is looked for begins with X and a character that is read as a
		// dash: nearly all other names end here.
		if len(name) < 2 || name[0]|0x20 != 'x' || letterOrDigit(name[1]) {
			continue
		}
		read := readByCGI(name)
		alias := !strings.EqualFold(read, name)
		switch {
		case overriding[read]:
			return "a header asks for another method or path (such as X-HTTP-Method-Override or X-Original-URL)"
		case strings.HasPrefix(read, identityPrefix) && (alias || !isIdentity(name)):
			return "a header could be taken for one of the identity headers"
		case alias && (strings.HasPrefix(read, proxyPrefixes[0]) || strings.HasPrefix(read, proxyPrefixes[1])):
			return "a header could be taken for one of the proxy's"
		}
	}
	return hostileUpgrade(header)
}

// hostileUpgrade refuses all but WebSockets: a proxy that lets a client switch to
// HTTP/2 in clear text (RFC 7540 §3.2) opens a tunnel through which requests
// reach the service that nobody decides about.
func hostileUpgrade(header http.Header) (problem string) {
	if len(header["Http2-Settings"]) > 0 {
		return "header HTTP2-Settings asks for HTTP/2 without TLS"
	}
	protocols := header["Upgrade"]
	if len(protocols) == 0 || len(protocols) == 1 && strings.EqualFold(protocols[0], "websocket") {
		return ""
	}
	return "header Upgrade asks for another protocol than websocket"
}

// isIdentity reports whether the proxy overwrites this header.
func isIdentity(name string) bool {
	for _, identity := range identityHeaders {
		if strings.EqualFold(name, identity) {
			return true
		}
	}
	return false
}

// readByCGI is a header's name as CGI, WSGI, PHP and Rack read it, in lower case:
// to them all but letters and digits is the same (RFC 3875 §4.1.18).
func readByCGI(name string) string {
	b := []byte(strings.ToLower(name))
	for i, c := range b {
		if !letterOrDigit(c) {
			b[i] = '-'
		}
	}
	return string(b)
}

func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
