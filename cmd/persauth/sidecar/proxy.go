package sidecar

// The request that the client sent, from what the proxy says of it. Which
// headers are believed depends on the configuration alone: those of another
// proxy are any client's words.

import (
	"net/http"
	"net/url"
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
		for _, name := range append([]string{p.method, p.uri}, p.more...) {
			values := r.Header[name]
			// A list is what is left of several headers after another proxy.
			if len(values) != 1 || values[0] == "" || name != p.uri && strings.Contains(values[0], ",") {
				return o, &badRequest{resultNotProxy, "header " + name + " is not there exactly once"}
			}
		}
		o.method, o.uri = r.Header[p.method][0], r.Header[p.uri][0]
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

// request is the original request for the verifier, and for the rules. It has no
// header but those that say who sent it.
func (o original) request(r *http.Request) *http.Request {
	header := make(http.Header, 2)
	for _, name := range []string{"Authorization", "Dpop"} {
		if values := r.Header[name]; len(values) > 0 {
			header[name] = values
		}
	}
	return (&http.Request{
		Method:     o.method,
		URL:        &url.URL{Path: o.decoded, RawPath: o.path},
		RequestURI: o.uri,
		Header:     header,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}).WithContext(r.Context())
}

// plainMethod reports whether a method is one that all take for the same. To
// RFC 9110 §9.1 "get" is another than "GET"; to some services it is not.
func plainMethod(method string) bool {
	return method != "" && len(method) <= 32 && strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == "" &&
		strings.Trim(method, "-") == method && method != http.MethodConnect
}
