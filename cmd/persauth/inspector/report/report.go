// Package report answers what the inspector page asks: every check of a token,
// what it says, and the keys beside it. It runs in the browser, compiled to
// WebAssembly; it opens no connection and keeps nothing.
package report

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/internal/plaintext"
	"github.com/persauth/persauth/cmd/persauth/internal/unverified"
)

// Request is what the page sends. All but Token may be empty.
type Request struct {
	Token string `json:"token"`
	// Keys is a JWK Set (RFC 7517 §5). Without one, all is checked but the
	// signature, and no token is valid.
	Keys string `json:"keys"`

	// Issuer, Audience, Tenants, Leeway and ClaimNames are those of
	// persauth.Config.
	Issuer     string              `json:"issuer"`
	Audience   string              `json:"audience"`
	Tenants    []string            `json:"tenants"`
	Leeway     string              `json:"leeway"` // as time.ParseDuration reads it
	ClaimNames persauth.ClaimNames `json:"claimNames"`
	// Now is the time that is assumed: RFC 3339. Empty: the browser's clock.
	Now string `json:"now"`

	// Proof is a DPoP proof (RFC 9449) for a request with Method to URL.
	Proof  string `json:"proof"`
	Method string `json:"method"`
	URL    string `json:"url"`
}

// Answer is what the page shows. It holds neither the token nor a proof.
type Answer struct {
	// Problem says why nothing was looked at: a setting that does not hold.
	Problem string `json:"problem,omitempty"`

	Verdict Verdict  `json:"verdict"`
	Title   string   `json:"title"`
	Reasons []string `json:"reasons"`
	At      string   `json:"at"` // RFC 3339
	Checks  []Check  `json:"checks"`
	Header  []Row    `json:"header"`
	Claims  []Row    `json:"claims"`
	Keys    []Key    `json:"keys"`
	// Text is the report to copy: the verdict and the checks.
	Text string `json:"text"`
}

// Verdict is the answer in a word.
type Verdict string

// The verdicts.
const (
	Valid      Verdict = "valid"
	Invalid    Verdict = "invalid"
	Unverified Verdict = "unverified" // there was no key to verify it with
)

// Check is one line of persauth.Report, in printable text.
type Check struct {
	Name   string               `json:"name"`
	Result persauth.CheckResult `json:"result"`
	Want   string               `json:"want"`
	Got    string               `json:"got"`
}

// Row is a member of the header or of the claims, in printable text.
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"` // JSON
	Note  string `json:"note"`  // a time in words
}

// Key is a key of the set, in printable text.
type Key struct {
	KeyID      string `json:"kid"`
	Type       string `json:"type"`
	Algorithms string `json:"algorithms"`
	Thumbprint string `json:"thumbprint"`
	Problem    string `json:"problem"`
}

// JSON is [Explain] for a caller that speaks JSON. It panics for nothing that a
// token, a key set or a setting may hold.
func JSON(request string) string {
	var r Request
	answer := Answer{Problem: "the request is not JSON"}
	if json.Unmarshal([]byte(request), &r) == nil {
		answer = Explain(r)
	}
	out, err := json.Marshal(answer)
	if err != nil {
		out = []byte(`{"problem":"the answer cannot be written as JSON"}`)
	}
	return string(out)
}

// Explain looks at a token.
func Explain(r Request) Answer {
	r.Token = bare(r.Token)
	now := time.Now()
	if r.Now != "" {
		at, err := time.Parse(time.RFC3339, r.Now)
		if err != nil {
			return Answer{Problem: "time: it is not RFC 3339, as in 2026-01-02T15:04:05Z"}
		}
		now = at
	}
	a := Answer{At: now.UTC().Format(time.RFC3339)}
	keys, err := a.readKeys(r.Keys)
	if err != nil {
		return Answer{Problem: "keys: " + plaintext.Printable(err.Error())}
	}
	cfg, err := r.config(keys, now)
	if err != nil {
		return Answer{Problem: plaintext.Printable(err.Error())}
	}
	v, err := persauth.New(cfg)
	if err != nil {
		return Answer{Problem: plaintext.Printable(strings.ReplaceAll(err.Error(), "persauth: ", ""))}
	}
	defer v.Close()
	found := v.Explain(context.Background(), r.Token)
	checks, err := found.Checks, found.Err
	if r.Proof != "" {
		checks, err = withProof(v, r, checks, err)
	}
	a.fill(checks, err, keys == nil)
	a.decode(r.Token, now)
	a.Text = a.text()
	return a
}

// bare is the token without what is copied along with it.
func bare(text string) string {
	text = strings.TrimSpace(text)
	for _, prefix := range []string{"authorization:", "bearer ", "dpop "} {
		if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			text = strings.TrimSpace(text[len(prefix):])
		}
	}
	return text
}

// readKeys describes the keys, and returns nil where none were given.
func (a *Answer) readKeys(text string) ([]byte, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	infos, err := persauth.InspectKeys([]byte(text))
	if err != nil {
		return nil, err
	}
	for _, k := range infos {
		a.Keys = append(a.Keys, Key{plaintext.Printable(k.KeyID), plaintext.Printable(k.Type), strings.Join(k.Algorithms, " "),
			k.Thumbprint, plaintext.Printable(k.Problem)})
	}
	return []byte(text), nil
}

func (r *Request) config(keys []byte, now time.Time) (persauth.Config, error) {
	cfg := persauth.Config{
		Offline: true, Issuer: r.Issuer, Audience: r.Audience, Tenants: r.Tenants, ClaimNames: r.ClaimNames,
		Now: func() time.Time { return now },
	}
	if keys == nil {
		keys = nobodysKey()
	}
	cfg.Keys = persauth.StaticKeys(keys)
	if r.Leeway != "" {
		d, err := time.ParseDuration(r.Leeway)
		if err != nil || d < 0 {
			return cfg, errors.New("leeway: it is not a duration, as in 30s")
		}
		if cfg.Leeway = d; d == 0 {
			cfg.Leeway = persauth.NoLeeway
		}
	}
	if r.Proof != "" {
		at, err := url.Parse(r.URL)
		if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
			return cfg, errors.New("the address of the request: want one as in https://api.example.com/orders")
		}
		cfg.DPoP.Origin = at.Scheme + "://" + at.Host
	}
	return cfg, nil
}

// nobodysKey is a key set with a key whose private half is thrown away: with it
// all can be checked but the signature.
func nobodysKey() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"alg":"ES256","x":%q,"y":%q}]}`, rand.Text(), b64(point[1:33]), b64(point[33:]))
}

// withProof checks the token as part of a request with the proof.
func withProof(v *persauth.Verifier, r Request, checks []persauth.Check, tokenErr error) ([]persauth.Check, error) {
	// That the token wants a proof is answered by what comes of it.
	checks = slices.DeleteFunc(checks, func(c persauth.Check) bool { return strings.HasPrefix(c.Name, "dpop") })
	method := strings.ToUpper(strings.TrimSpace(r.Method))
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequest(method, r.URL, nil)
	if err != nil {
		return append(checks, persauth.Check{Name: "dpop", Result: persauth.Failed, Want: "a method and an address", Got: "something else"}), err
	}
	request.RequestURI = request.URL.RequestURI()
	request.Header.Set("Authorization", "DPoP "+r.Token)
	request.Header.Set("DPoP", strings.TrimSpace(r.Proof))
	_, err = v.VerifyRequest(request)
	var e *persauth.Error
	switch {
	case err == nil:
		return append(checks, persauth.Check{Name: "dpop", Result: persauth.Passed, Want: "a proof for this request and this token", Got: "that"}), nil
	case (errors.Is(err, persauth.ErrProof) || errors.Is(err, persauth.ErrReplay)) && errors.As(err, &e):
		return append(checks, persauth.Check{Name: e.Check, Result: persauth.Failed, Want: e.Want, Got: e.Got}), err
	}
	return append(checks, persauth.Check{Name: "dpop", Result: persauth.Skipped}), tokenErr
}

// fill takes over what was found.
func (a *Answer) fill(checks []persauth.Check, err error, noKeys bool) {
	failed := false
	for _, c := range checks {
		if noKeys && (c.Name == "key" || c.Name == "signature") && c.Want != "base64url" {
			c = persauth.Check{Name: c.Name, Result: persauth.Skipped, Got: "no keys were given"}
		}
		failed = failed || c.Result == persauth.Failed
		a.Checks = append(a.Checks, Check{plaintext.Printable(c.Name), c.Result, plaintext.Printable(c.Want), plaintext.Printable(c.Got)})
	}
	switch {
	case err == nil:
		a.Verdict, a.Title = Valid, "Valid"
		return
	case noKeys && !failed:
		a.Verdict, a.Title = Unverified, "Not verified: no keys were given"
		a.Reasons = []string{"Anyone can make a token that says this. Give the key set of PERS to know whether it is good."}
		return
	case noKeys:
		a.Verdict, a.Title = Invalid, "Invalid"
		for _, c := range a.Checks {
			if c.Result == persauth.Failed {
				a.Reasons = append(a.Reasons, c.Name+": want "+c.Want+", got "+c.Got)
			}
		}
		return
	}
	a.Verdict, a.Title = Invalid, "Invalid: "+strings.ReplaceAll(persauth.Code(err), "_", " ")
	for _, reason := range reasons(err) {
		a.Reasons = append(a.Reasons, plaintext.Printable(reason))
	}
}

// reasons takes joined errors apart.
func reasons(err error) (all []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if _, one := err.(*persauth.Error); !one {
			for _, err := range joined.Unwrap() {
				all = append(all, reasons(err)...)
			}
			return all
		}
	}
	return []string{strings.TrimPrefix(err.Error(), "persauth: ")}
}

// decode shows what the token says, where it can be read at all.
func (a *Answer) decode(token string, now time.Time) {
	t, err := unverified.Decode(token)
	if err != nil {
		return
	}
	for name, value := range unverified.Members(t.Header) {
		a.Header = append(a.Header, Row{Name: plaintext.Printable(name), Value: string(plaintext.PrintableJSON(value))})
	}
	for name, value := range unverified.Members(t.Claims) {
		row := Row{Name: plaintext.Printable(name), Value: string(plaintext.PrintableJSON(value))}
		if at, ok := unverified.Time(name, value); ok {
			row.Note = inWords(name, at, now)
		}
		a.Claims = append(a.Claims, row)
	}
}

// inWords says what a time means for the token: "expired 3m ago".
func inWords(claim string, at, now time.Time) string {
	verb := ""
	switch {
	case claim == "exp" && at.After(now):
		verb = "expires "
	case claim == "exp":
		verb = "expired "
	case claim == "nbf" && at.After(now):
		verb = "becomes valid "
	case claim == "nbf":
		verb = "became valid "
	case claim == "iat":
		verb = "issued "
	}
	return verb + plaintext.Relative(at.Sub(now)) + ", at " + at.UTC().Format("2006-01-02 15:04:05 MST")
}

// text is the report for an issue or a message.
func (a *Answer) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "persauth: %s (checked at %s)\n", a.Title, a.At)
	for _, reason := range a.Reasons {
		fmt.Fprintf(&b, "  %s\n", reason)
	}
	for _, c := range a.Checks {
		line := fmt.Sprintf("%-7s  %s", c.Result, c.Name)
		if c.Want != "" {
			line += "; want " + c.Want
		}
		if c.Got != "" {
			line += "; got " + c.Got
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
