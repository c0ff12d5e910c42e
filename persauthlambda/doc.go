// Package persauthlambda puts persauth in front of AWS Lambda functions, in one of
// two places.
//
// [Authorizer] is the function that API Gateway asks about callers, for REST APIs
// (TOKEN and REQUEST), HTTP APIs (both formats, simple answers and policies) and
// WebSocket APIs:
//
//	authorizer, err := persauthlambda.Authorizer(verifier, persauthlambda.AuthorizerConfig{
//		Rule: persauth.TenantIs("acme"),
//	})
//	lambda.Start(authorizer)
//
// [Handler] makes a function of an http.Handler, such as one behind
// [persauth.Verifier.Middleware], so that the function itself verifies:
//
//	lambda.Start(persauthlambda.Handler(verifier.Middleware(mux)))
//
// API Gateway caches what an authorizer says, for 300 s unless it is told otherwise:
// docs/lambda.md says what that does to revocation, expiry and proofs.
package persauthlambda
