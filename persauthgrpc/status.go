package persauthgrpc

// What a refused client is told: a line of the table of answers, in gRPC's words.

import (
	"context"
	"errors"
	"net/http"

	"github.com/persauth/persauth"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the domain of the ErrorInfo in the status of refused calls. Its reason
// is [persauth.Code]: "expired", "forbidden", "unavailable" and so on.
const Domain = "persauth"

// refused is a refusal on its way to the client, and why. Interceptors further out
// find the cause with [errors.Is]; the client gets the status alone.
type refused struct {
	status *status.Status
	cause  error
}

func (r *refused) Error() string { return r.cause.Error() }

func (r *refused) Unwrap() error { return r.cause }

// GRPCStatus is what the client gets.
func (r *refused) GRPCStatus() *status.Status { return r.status }

// refuse returns the error with which a call ends, and sets the trailers.
func (c *call) refuse(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if ended := ctx.Err(); ended != nil {
			return &refused{status.FromContextError(ended), err} // the caller's own doing
		}
	}
	refusal := c.v.Refusal(err, c.authorization)
	trailer := metadata.MD{}
	if len(refusal.Challenges) > 0 {
		trailer[challengeKey] = refusal.Challenges
	}
	if refusal.Nonce != "" {
		trailer.Set(nonceKey, refusal.Nonce)
	}
	if len(trailer) > 0 {
		c.setTrailer(trailer)
	}
	return &refused{statusOf(refusal), err}
}

// statusOf returns the status for a refusal.
func statusOf(r persauth.Refusal) *status.Status {
	code := codes.Unauthenticated
	switch r.Status {
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	case http.StatusInternalServerError:
		code = codes.Internal
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: r.Code, Domain: Domain}}
	if r.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)})
	}
	plain := status.New(code, r.Detail)
	if detailed, err := plain.WithDetails(details...); err == nil {
		return detailed
	}
	return plain
}

// handlerError is the error of a handler. One of a guard that it called itself,
// such as [persauth.Claims.RequireBusiness], gets the status that it stands for.
func (c *call) handlerError(ctx context.Context, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, persauth.ErrForbidden) || errors.Is(err, persauth.ErrUnavailable) {
		return c.refuse(ctx, err)
	}
	return err
}
