package persauthtest

// What can go wrong with the fake PERS API, one fault after another.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault is a way in which a [Server] fails an [Endpoint]. Those that are about
// what one endpoint answers leave the others in order. It is immutable; its zero
// value is no fault.
type Fault struct {
	name  string
	act   func(*exchange) // nil: the right answer
	about Endpoint
	times int // 0: always; negative: never
}

// String names the fault.
func (f Fault) String() string { return f.name }

// Times is the fault for the next n requests only.
func (f Fault) Times(n int) Fault {
	if f.times = n; n <= 0 {
		f.times = -1
	}
	return f
}

func fault(name string, act func(*exchange)) Fault {
	return Fault{name: name, act: act, about: EndpointAll}
}

func (f Fault) named(name string) Fault { f.name = name; return f }
func (f Fault) only(e Endpoint) Fault   { f.about = e; return f }

// The faults that take no arguments.
var (
	// Down: the connection breaks before there is an answer.
	Down = fault("down", (*exchange).reset)
	// Hanging: no answer comes, and the connection stays until the client goes.
	Hanging = fault("hanging", func(x *exchange) { x.wait(nil) })
	// CutOff: the right answer, whose connection breaks halfway.
	CutOff = fault("cut off", (*exchange).cutOff)
	// Garbage: a 200 whose body is no JSON.
	Garbage = Answer(http.StatusOK, "<html><title>It works!</title>").named("garbage")
	// Huge: the right answer behind 64 MiB of white space, which JSON allows.
	Huge = fault("huge", (*exchange).huge)

	// EmptySet: a key set without keys.
	EmptySet = Answer(http.StatusOK, `{"keys":[]}`).named("empty set").only(EndpointKeys)

	// NotAVerdict: JSON that says nothing about a token.
	NotAVerdict = Answer(http.StatusOK, `{"status":"ok"}`).named("not a verdict").only(EndpointVerify)
	// Contradictory: "valid" is true, and there is an error message.
	Contradictory = Answer(http.StatusOK, `{"valid":true,"payload":null,"errorMessage":"Invalid token"}`).
			named("contradictory").only(EndpointVerify)
	// LyingValid: any token is good, whoever signed it, and its own claims
	// come along. Nothing tells this from a real answer.
	LyingValid = lie("lying valid", vouch)
	// LyingInvalid: no token is good.
	LyingInvalid = lie("lying invalid", func(string) verdict { return verdict{ErrorMessage: "Invalid token"} })
	// OtherTenant: any token is good, and belongs to another tenant.
	OtherTenant = lie("other tenant", func(token string) verdict {
		v := altered(token, "tenantId", foreignTenant)
		v.TenantID = foreignTenant
		return v
	})
	// OtherSubject: any token is good, and is somebody else's.
	OtherSubject = OtherClaim("sub", "somebody-else").named("other subject")
	// OtherExpiry: any token is good, and an hour longer than it says.
	OtherExpiry = lie("other expiry", func(token string) verdict {
		expiry, _ := claimsOf(token)["exp"].(float64)
		return altered(token, "exp", expiry+3600)
	})
)

// OtherClaim is a lie too: any token is good, with another value for a claim.
func OtherClaim(name string, value any) Fault {
	return lie("other "+name, func(token string) verdict { return altered(token, name, value) })
}

// Status is an answer with that status and the body of the right one, so that
// only the status tells them apart.
func Status(code int) Fault {
	return fault(fmt.Sprintf("status %d", code), func(x *exchange) {
		a := x.right()
		a.status = code
		x.send(a)
	})
}

// TooManyRequests is a 429. Its Retry-After is in whole seconds; for 0 there is
// none.
func TooManyRequests(retryAfter time.Duration) Fault {
	return fault("too many requests", func(x *exchange) {
		if retryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.FormatFloat(math.Ceil(retryAfter.Seconds()), 'f', 0, 64))
		}
		x.send(problem(http.StatusTooManyRequests, "Too many requests"))
	})
}

// Slow is the right answer, after d.
func Slow(d time.Duration) Fault {
	return fault("slow", func(x *exchange) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		x.wait(timer.C)
		x.send(x.right())
	})
}

// RedirectTo sends the client elsewhere, with its method and its body.
func RedirectTo(url string) Fault {
	return fault("redirect", func(x *exchange) { http.Redirect(x.w, x.r, url, http.StatusTemporaryRedirect) })
}

// Answer is an answer of one's own, whoever asks.
func Answer(status int, body string) Fault {
	return fault(fmt.Sprintf("answer %d", status), func(x *exchange) { x.send(reply{status: status, body: []byte(body)}) })
}

// lie is an untrue verdict for any token, good or bad.
func lie(name string, tell func(token string) verdict) Fault {
	return fault(name, func(x *exchange) {
		a := x.right()
		var asked struct {
			AuthToken string `json:"authToken"`
		}
		if a.status == http.StatusOK && json.Unmarshal(x.body, &asked) == nil {
			a = ok(tell(asked.AuthToken))
		}
		x.send(a)
	}).only(EndpointVerify)
}

// altered vouches for a token, with another value for a claim.
func altered(token, claim string, value any) verdict {
	v := vouch(token)
	if claims := claimsOf(token); claims != nil {
		claims[claim] = value
		v.Payload = marshal(claims)
	}
	return v
}

// wait waits until the time has come, and ends the exchange when the client or
// the server goes before that.
func (x *exchange) wait(until <-chan time.Time) {
	select {
	case <-until:
		return
	case <-x.r.Context().Done():
	case <-x.server.closing.Done():
	}
	panic(http.ErrAbortHandler)
}

// reset breaks the connection, without the goodbye where there is one.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // RST
	}
	_ = conn.Close()
}

func (x *exchange) cutOff() {
	a := x.right()
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(x.w).Flush()
	panic(http.ErrAbortHandler)
}

func (x *exchange) huge() {
	a := x.right()
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(a.status)
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	for range 1024 {
		if _, err := x.w.Write(spaces); err != nil {
			return
		}
	}
	_, _ = x.w.Write(a.body)
}

// script is the faults that an endpoint has, in order.
type script struct{ faults []Fault }

// next takes the fault for a request to e. The caller holds the server's mu.
func (s *script) next(e Endpoint) Fault {
	if s == nil || len(s.faults) == 0 {
		return Fault{}
	}
	fault := s.faults[0]
	if fault.about != EndpointAll && fault.about != e {
		return Fault{}
	}
	if fault.times > 0 {
		if s.faults[0].times--; s.faults[0].times == 0 {
			s.faults = s.faults[1:]
		}
	}
	return fault
}

// Fault makes an endpoint fail from the next request on: in the first way until
// its [Fault.Times] are over, then in the next. After the last it is in order
// again. What it was told before is forgotten; without faults it is in order.
// With [EndpointAll], the endpoints share the script. A request that has already come
// keeps the fault that it met.
func (s *Server) Fault(e Endpoint, faults ...Fault) {
	told := &script{slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return f.times < 0 })}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		if e == EndpointAll || int(e) == i {
			s.faults[i] = told
		}
	}
}

// Heal takes all faults away.
func (s *Server) Heal() { s.Fault(EndpointAll) }
