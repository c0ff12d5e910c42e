package persauthtest

// The right answers of the fake PERS API. What the documentation of PERS does
// not say, the form of errors above all, is made up.

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

// DefaultBusiness is the business of tokens for which none is named.
const DefaultBusiness = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

const (
	otherBusiness = "9b2d3c14-5a86-4f0e-8d27-61c0a7e4f3b8"
	refreshLife   = 24 * time.Hour
)

// exchange is a request and the way to its answer.
type exchange struct {
	server   *Server
	endpoint Endpoint
	w        http.ResponseWriter
	r        *http.Request
	body     []byte // of the request
}

// reply is an answer as a whole.
type reply struct {
	status int
	body   []byte
}

func ok(value any) reply { return reply{http.StatusOK, marshal(value)} }

// problem is an answer that tells what is wrong.
func problem(status int, message string) reply {
	return reply{status, marshal(map[string]any{"statusCode": status, "message": message})}
}

func (x *exchange) send(a reply) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body) // whoever is gone needs no answer
}

// right is the answer that PERS gives when it is well.
func (x *exchange) right() reply {
	s := x.server
	if !s.authorized(x.r) {
		return problem(http.StatusUnauthorized, "the header x-project-key does not have the project key")
	}
	if x.endpoint == EndpointKeys {
		return reply{http.StatusOK, s.iss.JWKS()}
	}
	var asked struct {
		AuthToken    string            `json:"authToken"`
		RefreshToken string            `json:"refreshToken"`
		AuthType     persauth.AuthType `json:"authType"`
		Context      struct {
			BusinessID string `json:"businessId"`
			TenantID   string `json:"tenantId"`
		} `json:"context"`
	}
	media, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if media != "application/json" || json.Unmarshal(x.body, &asked) != nil {
		return problem(http.StatusBadRequest, "want an object as application/json")
	}
	switch {
	case x.endpoint == EndpointRefresh && asked.RefreshToken == "":
		return problem(http.StatusBadRequest, "refreshToken should not be empty")
	case x.endpoint == EndpointRefresh:
		return s.refresh(asked.RefreshToken)
	case asked.AuthToken == "":
		return problem(http.StatusBadRequest, "authToken should not be empty")
	case x.endpoint == EndpointVerify:
		return ok(s.judge(asked.AuthToken))
	}
	caller := map[string]any{"authType": asked.AuthType}
	if asked.Context.TenantID != "" {
		caller["tenantId"] = asked.Context.TenantID
	}
	switch asked.AuthType {
	case "", persauth.AuthUser:
		caller["authType"] = persauth.AuthUser
	case persauth.AuthBusiness:
		if asked.Context.BusinessID == "" {
			return reply{http.StatusBadRequest, marshal(map[string]any{
				"statusCode": http.StatusBadRequest,
				"message":    "MULTIPLE_CONTEXT_SELECTION_REQUIRED",
				"options":    []map[string]string{{"businessId": DefaultBusiness}, {"businessId": otherBusiness}},
			})}
		}
		caller["businessId"], caller["role"] = asked.Context.BusinessID, "ADMIN"
	case persauth.AuthTenant:
		caller["role"] = "TENANT_ADMIN"
	default:
		return problem(http.StatusBadRequest, "authType must be one of user, business and tenant")
	}
	return s.pair(caller)
}

// verdict is the answer of /auth/verify.
type verdict struct {
	Valid           bool            `json:"valid"`
	Payload         json.RawMessage `json:"payload"`
	TenantID        string          `json:"tenantId,omitempty"`
	IdentifierEmail string          `json:"identifierEmail,omitempty"`
	ErrorMessage    string          `json:"errorMessage,omitempty"`
}

// judge gives the verdict on a token. It allows no difference between clocks.
func (s *Server) judge(token string) verdict {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return verdict{ErrorMessage: "Invalid token"}
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || json.Unmarshal(decode(parts[0]), &header) != nil ||
		!s.iss.signed(header.Algorithm, []byte(signingInput(token)), signature) {
		return verdict{ErrorMessage: "Invalid token"}
	}
	said := vouch(token)
	claims := claimsOf(token)
	expiry, _ := claims["exp"].(float64)
	jti, _ := claims["jti"].(string)
	switch {
	case said.Payload == nil:
		return verdict{ErrorMessage: "Invalid token"}
	case float64(s.iss.clock.Now().UnixNano())/1e9 >= expiry:
		return verdict{ErrorMessage: "Token has expired"}
	case s.isRevoked(token, jti):
		return verdict{ErrorMessage: "Token is revoked"}
	}
	return said
}

// vouch is the verdict that a token is good, in the token's own words.
func vouch(token string) verdict {
	claims := claimsOf(token)
	v := verdict{Valid: true}
	v.TenantID, _ = claims["tenantId"].(string)
	v.IdentifierEmail, _ = claims["email"].(string)
	if claims != nil {
		v.Payload = decode(part(token, 1))
	}
	return v
}

// claimsOf reads the claims of a token, and is nil where there are none.
func claimsOf(token string) (claims map[string]any) {
	if strings.Count(token, ".") == 2 && json.Unmarshal(decode(part(token, 1)), &claims) != nil {
		return nil
	}
	return claims
}

func decode(segment string) []byte {
	raw, _ := base64.RawURLEncoding.DecodeString(segment)
	return raw
}

// pair issues an access token and a refresh token for a caller.
func (s *Server) pair(caller map[string]any) reply {
	again := map[string]any{"tokenType": "refresh", "exp": s.iss.clock.Now().Add(refreshLife).Unix()}
	for name, value := range caller {
		again[name] = value
	}
	return ok(map[string]string{"accessToken": s.iss.Token(caller), "refreshToken": s.iss.SymmetricToken(again)})
}

// refresh issues a new pair for the caller of a refresh token.
func (s *Server) refresh(token string) reply {
	claims := claimsOf(token)
	if !s.judge(token).Valid || claims["tokenType"] != "refresh" {
		return problem(http.StatusUnauthorized, "Invalid refresh token")
	}
	for _, name := range []string{"tokenType", "exp", "iat", "jti"} {
		delete(claims, name)
	}
	return s.pair(claims)
}
