package sidecar

// The answer to a proxy: may this request go on, and who sent it.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
	"golang.org/x/time/rate"
)

// The headers that tell the service who is calling. An answer that lets a
// request through has all of them, also empty ones: what a client sent under
// these names is overwritten.
const (
	headerSubject  = "X-Pers-Subject"
	headerTenant   = "X-Pers-Tenant-Id"
	headerBusiness = "X-Pers-Business-Id"
	headerRoles    = "X-Pers-Roles"
	headerAuthType = "X-Pers-Auth-Type"
)

var identityHeaders = [...]string{headerSubject, headerTenant, headerBusiness, headerRoles, headerAuthType}

// authPath is where proxies ask that send the original path in a header.
const authPath = "/auth"

// The results of a decision, for metrics and logs. All others are those of
// persauth.Code, and those in proxy.go.
const (
	resultAllowed = "allowed"
	resultPublic  = "public"
	resultNoRoute = "no_route"
	resultGone    = "client_gone"
)

// state is what decides. It is immutable, and replaced as a whole.
type state struct {
	*settings
	verifier *persauth.Verifier
}

// endpoint answers the proxy.
type endpoint struct {
	state   atomic.Pointer[state]
	metrics *metrics
	log     *slog.Logger
	// logLimiter keeps what an operator has to know from flooding the log.
	logLimiter *rate.Limiter
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := e.state.Load()
	if s.proxy.uri != "" && r.URL.Path != authPath {
		const problem = "asked at another address than " + authPath + ": the proxy is not set up for this sidecar, or somebody else asks"
		e.note(r.Context(), noRoute, resultNotProxy, problem, nil)
		e.metrics.decided(noRoute, resultNotProxy, 0)
		http.NotFound(w, r)
		return
	}
	began := time.Now()
	name, result := e.decide(s, w, r)
	e.metrics.decided(name, result, time.Since(began))
}

// decide answers, and says by which route and with what result.
func (e *endpoint) decide(s *state, w http.ResponseWriter, r *http.Request) (name, result string) {
	o, wrong := s.proxy.original(r, s.PathPrefix)
	if wrong != nil {
		e.note(r.Context(), noRoute, wrong.result, wrong.problem, nil)
		s.refuse(w, r, refused(wrong.problem))
		return noRoute, wrong.result
	}
	l := lookups.Get().(*lookup)
	defer func() {
		l.forget()
		lookups.Put(l)
	}()
	l.set(o.decoded)
	route, clear := s.routes.find(l, o.method)
	switch {
	case !clear:
		const problem = "path could be taken for another one that has another rule"
		e.note(r.Context(), noRoute, resultAmbiguous, problem, nil)
		s.refuse(w, r, refused(problem))
		return noRoute, resultAmbiguous
	case route == nil:
		e.note(r.Context(), noRoute, resultNoRoute, "no route is for this request", nil)
		s.refuse(w, r, refused("no route"))
		return noRoute, resultNoRoute
	case route.rule.public:
		allow(w, nil)
		return route.name, resultPublic
	}
	claims, err := s.verifier.VerifyCredentials(r.Context(), persauth.Credentials{
		Authorization: r.Header["Authorization"], Proofs: r.Header["Dpop"], Method: o.method, URL: o.path,
	})
	if err == nil {
		err = route.rule.check(claims, l)
	}
	if err != nil {
		result := persauth.Code(err)
		if r.Context().Err() != nil {
			result = resultGone
		}
		e.note(r.Context(), route.name, result, missingEvidence(claims, err), err)
		s.refuse(w, r, err)
		return route.name, result
	}
	allow(w, claims)
	return route.name, resultAllowed
}

// lookups are used again: a decision allocates none.
var lookups = sync.Pool{New: func() any { return new(lookup) }}

// refuse answers with the error.
func (s *state) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if s.proxy.authRequest {
		w = forAuthRequest{w}
	}
	s.verifier.WriteError(w, r, err)
}

// forAuthRequest writes a refusal as nginx's auth_request needs it. Of several
// WWW-Authenticate fields it passes the first one only, and a client with a bound
// token would not learn what is wrong with its proof: the challenges are joined
// into one field (RFC 9110 §11.6.1). A 400 would be a failure of the sidecar to it.
type forAuthRequest struct{ http.ResponseWriter }

func (w forAuthRequest) WriteHeader(status int) {
	h := w.Header()
	if challenges := h["Www-Authenticate"]; len(challenges) > 1 {
		h["Www-Authenticate"] = []string{strings.Join(challenges, ", ")}
	}
	if status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}

// refused is the error for a request that nobody may send.
func refused(problem string) error {
	return &persauth.Error{Check: "route", Want: "a request that a rule lets through", Got: problem, Err: persauth.ErrForbidden}
}

// allow lets the request through. It is 200, and not 204: to Envoy nothing else
// is a yes.
func allow(w http.ResponseWriter, c *persauth.Claims) {
	// One array holds all values: each header is a slice of one of them.
	var values [5]string
	if c != nil {
		values = [5]string{headerSafe(c.Subject()), headerSafe(c.TenantID()), headerSafe(c.BusinessID()), rolesOf(c), headerSafe(string(c.AuthType()))}
	}
	all, h := values[:], w.Header()
	for i, name := range identityHeaders {
		h[name] = all[i : i+1 : i+1]
	}
	h["Cache-Control"], h["Content-Length"] = noStore, noLength
	w.WriteHeader(http.StatusOK)
}

// Nobody changes these.
var noStore, noLength = []string{"no-store"}, []string{"0"}

func rolesOf(c *persauth.Claims) string {
	roles := c.Roles()
	for i, role := range roles {
		roles[i] = headerSafe(role)
	}
	return strings.Join(roles, ",")
}

// headerSafe escapes what is not printable ASCII as in an address, and also what
// has a meaning: the escape itself, and the comma between roles.
func headerSafe(s string) string {
	safe := func(c byte) bool { return c > ' ' && c < 0x7f && c != '%' && c != ',' }
	for i := range len(s) {
		if safe(s[i]) {
			continue
		}
		var b strings.Builder
		for i := range len(s) {
			if c := s[i]; safe(c) {
				b.WriteByte(c)
			} else {
				const digits = "0123456789ABCDEF"
				b.Write([]byte{'%', digits[c>>4], digits[c&15]})
			}
		}
		return b.String()
	}
	return s
}

// missingEvidence is what an operator has to know who wonders why an
// administrator is refused, or "". Tokens that say that they are a user's or a
// business's are refused as they should be.
func missingEvidence(c *persauth.Claims, err error) string {
	var detail *persauth.Error
	if !errors.As(err, &detail) || detail.Check != "tenant role" || c.BusinessID() != "" {
		return ""
	}
	switch c.AuthType() {
	case persauth.AuthUser, persauth.AuthBusiness, persauth.AuthExternal:
		return ""
	}
	return "the token has " + detail.Got + ": its roles are the tenant's only where pers.tenantEvidence names one of these"
}

// note logs a refusal: what clients do wrong for those who look for it, and what
// is wrong here for everybody, but not each time. There is nothing of a token in
// it, and nothing of the address.
func (e *endpoint) note(ctx context.Context, name, result, problem string, err error) {
	level := slog.LevelDebug
	if result == resultNotProxy || problem != "" && errors.Is(err, persauth.ErrForbidden) || errors.Is(err, persauth.ErrUnavailable) && result != resultGone || result == "internal" {
		level = slog.LevelWarn
		if !e.logLimiter.Allow() {
			return
		}
	}
	if !e.log.Enabled(ctx, level) {
		return
	}
	attrs := []any{"route", name, "result", result}
	if problem != "" {
		attrs = append(attrs, "problem", problem)
	}
	var detail *persauth.Error
	if errors.As(err, &detail) {
		attrs = append(attrs, "check", detail.Check)
		if detail.Err == persauth.ErrUnavailable {
			attrs = append(attrs, "error", detail.Error())
		}
	}
	e.log.Log(ctx, level, "request refused", attrs...)
}
