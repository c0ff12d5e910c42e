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

	"github.com/persauth/persauth"
)

// DefaultBusiness is the business of tokens for which none is named.
const DefaultBusiness = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

const otherBusiness = "9b2d3c14-5a86-4f0e-8d27-61c0a7e4f3b8"

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
	header map[string]string
	// commit makes happen what the answer tells of, and is called when it is
	// sent with a 2xx status. It returns what is sent: another answer, where
	// something else was faster. nil: nothing happens.
	commit func() reply
}

func ok(value any) reply { return reply{status: http.StatusOK, body: marshal(value)} }

// problem is an answer that tells what is wrong.
func problem(status int, message string) reply {
	return reply{status: status, body: marshal(map[string]any{"statusCode": status, "message": message})}
}

func (x *exchange) send(a reply) {
	if a.commit != nil && a.status >= 200 && a.status <= 299 {
		a = a.commit()
	}
	for name, value := range a.header {
		x.w.Header().Set(name, value)
	}
	x.w.Header().Set("Date", x.server.iss.clock.Now().UTC().Format(http.TimeFormat)) // PERS has one clock
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
		return reply{status: http.StatusOK, body: s.iss.JWKS()}
	}
	var asked question
	media, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if media != "application/json" || json.Unmarshal(x.body, &asked) != nil {
		return problem(http.StatusBadRequest, "want an object as application/json")
	}
	switch {
	case x.endpoint == EndpointRefresh && asked.RefreshToken == "":
		return problem(http.StatusBadRequest, "refreshToken should not be empty")
	case x.endpoint == EndpointRefresh:
		return x.refresh(asked.RefreshToken)
	case asked.AuthToken == "":
		return problem(http.StatusBadRequest, "authToken should not be empty")
	case x.endpoint == EndpointVerify:
		return ok(s.judge(asked.AuthToken))
	}
	return x.signIn(asked)
}

// question is the body of a request.
type question struct {
	AuthToken    string            `json:"authToken"`
	RefreshToken string            `json:"refreshToken"`
	AuthType     persauth.AuthType `json:"authType"`
	Context      struct {
		BusinessID string `json:"businessId"`
		TenantID   string `json:"tenantId"`
	} `json:"context"`
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
	names := s.iss.tokenDefaults()
	said.TenantID, said.IdentifierEmail = names.claimOf(claims, "tenantId"), names.claimOf(claims, "email")
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
