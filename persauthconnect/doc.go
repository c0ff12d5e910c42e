// Package persauthconnect puts persauth in front of handlers of connect-go, for all
// three protocols that they speak: Connect, gRPC and gRPC-Web.
//
// A [Guard] knows who calls (the token, and its proof where it is bound to a key)
// before anything of the body is read or decompressed, and asks the [Rules] whether
// the caller may. Handlers find the caller with [persauth.FromContext]. Streams end
// when their token does. What no rule names is refused.
//
//	guard, err := persauthconnect.New(verifier, persauthconnect.Rules{
//		"shop.v1.Orders":         persauthconnect.Allow(persauth.TenantIs("acme")),
//		"/shop.v1.Orders/Create": persauthconnect.AllowMessage(mayCreate),
//	})
//	mux.Handle(persauthconnect.Handler[shopv1connect.OrdersHandler](guard, shopv1connect.NewOrdersHandler, shop{}))
//
// A refused call gets unauthenticated, permission_denied or unavailable, with an
// ErrorInfo whose reason is [persauth.Code] and whose domain is [Domain], and the
// challenge (RFC 6750 §3, RFC 9449 §7.1) as the metadata WWW-Authenticate.
package persauthconnect
