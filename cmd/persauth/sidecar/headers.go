package sidecar

// Headers of a client that would make the service do something else than what is
// decided about, or take the client for somebody else. Proxies overwrite headers
// by their exact names; services read them more generously.

import (
	"net/http"
	"slices"
	"strings"
)

// identityPrefix begins the names of all headers that say who is calling.
const identityPrefix = "X-Pers-"

// overriding are headers by which some frameworks take a request for one with
// another method or path.
var overriding = map[string]bool{
	"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true, "X-Original-Url": true, "X-Rewrite-Url": true,
}

// hostileHeader reports a header of the request that must not reach the service,
// or "".
func hostileHeader(header http.Header) (problem string) {
	for name := range header {
		// All that is looked for begins with X and a character that is read as a
		// dash: nearly all other names end here.
		if len(name) < 2 || name[0]|0x20 != 'x' || letterOrDigit(name[1]) {
			continue
		}
		if problem = hostileName(name); problem != "" {
			return problem
		}
	}
	return hostileUpgrade(header)
}

// hostileName reports what is wrong with a header of this name.
func hostileName(name string) (problem string) {
	read, alias := http.CanonicalHeaderKey(name), false // of a request, it is that already
	for i := range len(name) {
		if c := name[i]; c != '-' && !letterOrDigit(c) {
			read, alias = readByCGI(name), true
			break
		}
	}
	switch {
	case overriding[read]:
		return "a header asks for another method or path (such as X-HTTP-Method-Override or X-Original-URL)"
	case strings.HasPrefix(read, identityPrefix) && (alias || !slices.Contains(identityHeaders[:], read)):
		return "a header could be taken for one of the identity headers"
	case alias && (strings.HasPrefix(read, "X-Forwarded-") || strings.HasPrefix(read, "X-Original-")):
		return "a header could be taken for one that the proxy sets"
	}
	return ""
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

// readByCGI is a header's name as CGI, WSGI, PHP and Rack read it: to them all but
// letters and digits is the same (RFC 3875 §4.1.18).
func readByCGI(name string) string {
	b := []byte(name)
	for i, c := range b {
		if !letterOrDigit(c) {
			b[i] = '-'
		}
	}
	return http.CanonicalHeaderKey(string(b))
}

func letterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
