package persauthconnect

// What a refused client is told: a line of the table of answers, in Connect's words.

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the domain of the ErrorInfo among the details of refused calls. Its
// reason is [persauth.Code]: "expired", "forbidden", "unavailable" and so on.
const Domain = "persauth"

// refused is what a client is told, and why.
type refused struct {
	detail string
	cause  error
}

func (r *refused) Error() string { return r.detail }

func (r *refused) Unwrap() error { return r.cause }

// refuse returns the error with which a call ends. Outer handlers find its cause
// with [errors.Is]; the client gets nothing of that.
func (c *call) refuse(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		code := connect.CodeCanceled // the caller's own doing
		if errors.Is(ended, context.DeadlineExceeded) {
			code = connect.CodeDeadlineExceeded
		}
		return connect.NewError(code, ended)
	}
	refusal := c.v.Refusal(err, c.r.Header["Authorization"])
	code := connect.CodeUnauthenticated
	switch refusal.Status {
	case http.StatusForbidden:
		code = connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		code = connect.CodeUnavailable
	case http.StatusInternalServerError:
		code = connect.CodeInternal
	}
	e := connect.NewError(code, &refused{refusal.Detail, err})
	addDetail(e, &errdetails.ErrorInfo{Reason: refusal.Code, Domain: Domain})
	meta := e.Meta()
	if c.protocol != connect.ProtocolGRPC { // net/http takes no trailer of that name
		meta["Www-Authenticate"] = refusal.Challenges
	}
	if refusal.Nonce != "" {
		meta.Set("DPoP-Nonce", refusal.Nonce)
	}
	if refusal.RetryAfter > 0 {
		meta.Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
		addDetail(e, &errdetails.RetryInfo{RetryDelay: durationpb.New(refusal.RetryAfter)})
	}
	return e
}

// refuseFirst is refuse before anything was sent: then the challenge is a header of
// gRPC, too.
func (c *call) refuseFirst(ctx context.Context, err error) error {
	h := c.w.Header()
	if c.protocol == connect.ProtocolGRPC {
		h["Www-Authenticate"] = c.v.Refusal(err, c.r.Header["Authorization"]).Challenges
	}
	h.Set("Cache-Control", "no-store") // a GET of Connect may be cached
	return c.refuse(ctx, err)
}

func addDetail(e *connect.Error, message proto.Message) {
	if detail, err := connect.NewErrorDetail(message); err == nil {
		e.AddDetail(detail)
	}
}

// handlerError is the error of a handler. One of a guard that it called itself,
// such as [persauth.Claims.RequireBusiness], gets the code that it stands for.
func (c *call) handlerError(ctx context.Context, err error) error {
	if e := (*connect.Error)(nil); errors.As(err, &e) {
		return err
	}
	if errors.Is(err, persauth.ErrForbidden) || errors.Is(err, persauth.ErrUnavailable) {
		return c.refuse(ctx, err)
	}
	return err
}
