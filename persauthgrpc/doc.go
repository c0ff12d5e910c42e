// Package persauthgrpc puts persauth in front of a gRPC server, and into a gRPC
// client.
//
// An [Interceptor] knows who calls (the token, and its proof where it is bound to a
// key) and asks the [Rules] whether the caller may. Handlers find the caller with
// [persauth.FromContext]. Streams end when their token does. What no rule names is
// refused.
//
//	guard, err := persauthgrpc.New(verifier, persauthgrpc.Rules{
//		"shop.v1.Orders":         persauthgrpc.Allow(persauth.TenantIs("acme")),
//		"/shop.v1.Orders/Create": persauthgrpc.AllowMessage(mayCreate),
//		"grpc.health.v1.Health":  persauthgrpc.Public(),
//	})
//	server := grpc.NewServer(guard.ServerOptions()...)
//
// A refused call gets Unauthenticated, PermissionDenied or Unavailable, with an
// ErrorInfo whose reason is [persauth.Code] and whose domain is [Domain], and the
// challenge of HTTP (RFC 6750 §3, RFC 9449 §7.1) as the trailer www-authenticate.
//
// [Credentials] are the client's half: they send tokens and proofs of a [Source],
// such as the TokenSource of persauthclient.
package persauthgrpc
