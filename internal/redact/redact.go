package redact

// What may be said of text that others wrote: quoted and short, or not at all.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Quote makes text that a stranger chose fit for an error or a log: printable,
// on one line, and short.
func Quote(s string) string {
	const limit = 64
	if len(s) > limit {
		return strconv.QuoteToASCII(s[:limit]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// Text is an error whose text this project wrote itself.
type Text string

func (e Text) Error() string { return string(e) }

// Error returns of an error of the HTTP client only what no peer could have
// written. Other errors repeat what was sent or answered: a Location that is no URL,
// a line that is no header; and the peer knows the token and the project key.
func Error(err error) error {
	var own Text
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &network):
		return network
	case errors.As(err, &certificate):
		return certificate
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return known
		}
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return Text(fmt.Sprintf("the exchange broke off (%T)", err))
}

// ReadAll reads all of r, and fails where that is more than limit bytes.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = Text(fmt.Sprintf("larger than %d bytes", limit))
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}
