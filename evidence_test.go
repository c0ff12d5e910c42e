package persauth_test

// Everything that a verifier says, to be searched for what it must not say.

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
)

// pieceSize is how much of a secret may be told: less than this.
const pieceSize = 16

// evidence collects text, and knows the secrets that must not be in it.
type evidence struct {
	t      testing.TB
	pieces map[string]string // of secrets, with their names

	mu   sync.Mutex
	text bytes.Buffer
}

func collect(t testing.TB) *evidence { return &evidence{t: t, pieces: make(map[string]string)} }

// Write is for a log.
func (e *evidence) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

// log is a logger in both forms of slog, that leaves nothing out.
func (e *evidence) log() *slog.Logger {
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	return slog.New(slog.NewMultiHandler(slog.NewJSONHandler(e, all), slog.NewTextHandler(e, all)))
}

// hide adds a secret, as it is and in the forms in which bytes are often shown.
func (e *evidence) hide(name, secret string) {
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))} {
		for len(form) >= pieceSize {
			e.pieces[form[:pieceSize]] = name
			form = form[pieceSize:]
		}
	}
}

// hideToken adds the payload and the signature of a token, or of what looks like
// one.
func (e *evidence) hideToken(token string) {
	for i, part := range strings.Split(token, ".") {
		if i > 0 || !strings.HasPrefix(part, "eyJ") {
			e.hide([]string{"header", "payload", "signature"}[min(i, 2)], part)
		}
	}
}

// verbs are all that fmt knows but %p, and one that it does not. For %p of what
// is no pointer fmt asks no method, and shows what is inside.
const verbs = "%v %+v %#v %s %q %x %X %d %t %z\n"

func (e *evidence) printed(value any) {
	n := strings.Count(verbs, "%") - strings.Count(verbs, "%%")
	args := make([]any, n)
	for i := range args {
		args[i] = value
	}
	fmt.Fprintf(e, verbs, args...)
}

// failed takes an error down to its roots.
func (e *evidence) failed(err error) {
	if err == nil {
		return
	}
	e.printed(err)
	raw, _ := json.Marshal(err)
	_, _ = e.Write(raw)
	e.log().Error("failed", "error", err)
	var detail *persauth.Error
	if errors.As(err, &detail) {
		e.printed(*detail)
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		e.failed(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			e.failed(inner)
		}
	}
}

// verified takes down what comes of a token, asked for in every way.
func (e *evidence) verified(v *persauth.Verifier, token string) error {
	e.hideToken(token)
	claims, err := v.Verify(e.t.Context(), token)
	live, liveErr := v.VerifyLive(e.t.Context(), token)
	_, signatureErr := v.InsecureVerifySignatureOnly(e.t.Context(), token)
	for _, err := range []error{err, liveErr, signatureErr, v.Revoke(persauth.Revocation{Token: token, ID: "both"})} {
		e.failed(err)
	}
	report := v.Explain(e.t.Context(), token)
	for _, claims := range []*persauth.Claims{claims, live, report.Claims} {
		if e.printed(claims); claims != nil {
			e.printed(*claims)
			assert.NotContains(e.t, fmt.Sprintf("%p", *claims), token[strings.LastIndexByte(token, '.')+1:])
			e.log().Info("verified", "claims", claims, "copy", *claims)
			e.failed(claims.Decode(new(string)))
			e.failed(claims.RequireTenantRole("other", "other"))
		}
	}
	e.failed(report.Err)
	e.printed(report)
	report.Claims = nil // their JSON is what was signed
	e.said(report)
	e.said(v.Status())
	e.printed(v)
	return err
}

// said takes down the JSON of something.
func (e *evidence) said(value any) {
	raw, err := json.Marshal(value)
	assert.NoError(e.t, err)
	_, _ = e.Write(raw)
	e.printed(value)
}

// leaks returns the names of the secrets in the text, and forgets the text.
func (e *evidence) leaks() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text, found := e.text.String(), make(map[string]string)
	for i := range len(text) - pieceSize + 1 {
		if name, ok := e.pieces[text[i:i+pieceSize]]; ok {
			found[name] = text[max(i-200, 0):min(i+100, len(text))]
		}
	}
	e.text.Reset()
	return found
}

func (e *evidence) check(t testing.TB) {
	t.Helper()
	for name, context := range e.leaks() {
		t.Errorf("the %s is told: …%s…", name, context)
	}
}
