package sidecar

// The request that the client sent, from what the proxy says of it. Which
// headers are believed depends on the configuration alone: those of another
// proxy are any client's words.

import (
	"net/http"
	"strings"
)

// proxy says how a proxy tells about the original request.
type proxy struct {
	// method and uri are the headers that have them. Empty: they are those of
	// the request itself.
	method, uri string
	// more are headers that the proxy always sets, too: without them it is
	// another proxy, or set up in another way.
	more []string
	// authRequest says that it asks by nginx's auth_request, which knows 2xx, 401
	// and 403, and one WWW-Authenticate.
	authRequest bool
}

// proxies are the values of "proxy" in the configuration.
var proxies = map[string]proxy{
	// As examples/proxies/nginx.conf sets them: auth_request itself sets none.
	"nginx":   {method: "X-Original-Method", uri: "X-Original-Uri", authRequest: true},
	"traefik": {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", more: []string{"X-Forwarded-Proto", "X-Forwarded-Host"}},
	"caddy":   {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", more: []string{"X-Forwarded-Proto", "X-Forwarded-Host"}},
	// The check is a request with the original method and path, behind the
	// path_prefix of the filter.
	"envoy": {},
}

// original is the request that the client sent, as far as it matters here.
type original struct {
	method, uri   string
	path, decoded string
}

// badRequest is why the original request cannot be told. The first kind is what a
// client can cause, the second one a proxy that is not set up for this.
type badRequest struct {
	result, problem string
}

// The results for requests about which nothing is decided.
const (
	resultAmbiguous = "ambiguous"
	resultNotProxy  = "not_proxy"
)

// original reads the original request. prefix is what Envoy puts before its path.
func (p proxy) original(r *http.Request, prefix string) (o original, wrong *badRequest) {
	if problem := hostileHeader(r.Header); problem != "" {
		return o, &badRequest{resultAmbiguous, problem}
	}
	o.method, o.uri = r.Method, r.RequestURI
	if p.uri == "" {
		path, ok := strings.CutPrefix(o.uri, prefix)
		if !ok {
			return o, &badRequest{resultNotProxy, "path is not behind the path prefix"}
		}
		o.uri = path
	} else {
		var there bool
		if o.method, there = only(r.Header, p.method, false); !there {
			return o, notOnce(p.method)
		}
		if o.uri, there = only(r.Header, p.uri, true); !there {
			return o, notOnce(p.uri)
		}
		for _, name := range p.more {
			if _, there := only(r.Header, name, false); !there {
				return o, notOnce(name)
			}
		}
	}
	if !plainMethod(o.method) {
		return o, &badRequest{resultAmbiguous, "method is not a word in capitals"}
	}
	var problem string
	if o.path, o.decoded, problem = plainPath(o.uri); problem != "" {
		return o, &badRequest{resultAmbiguous, problem}
	}
	return o, nil
}

// only is the value of a header that is there exactly once.
func only(header http.Header, name string, list bool) (string, bool) {
	values := header[name]
	// A list is what is left of several headers after another proxy.
	if len(values) != 1 || values[0] == "" || !list && strings.Contains(values[0], ",") {
		return "", false
	}
	return values[0], true
}

func notOnce(name string) *badRequest {
	return &badRequest{resultNotProxy, "header " + name + " is not there exactly once"}
}

// plainMethod reports whether a method is one that all take for the same. To
// RFC 9110 §9.1 "get" is another than "GET"; to some services it is not.
func plainMethod(method string) bool {
	for i := range len(method) {
		if c := method[i]; (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return method != "" && len(method) <= 32 && method[0] != '-' && method[len(method)-1] != '-' && method != http.MethodConnect
}
