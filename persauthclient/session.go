package persauthclient

// A session: what is kept of it, and how long its token is used.

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	sessionVersion = 1
	// maxSession is the longest record of a session, in bytes.
	maxSession = 64 << 10

	// A token is refreshed after 75 to 85 % of its life: programs that started
	// together do not refresh together.
	refreshFrom, refreshSpread = 0.75, 0.10
	// Within the last 30 s of its life, or the last tenth of a short one, a token
	// may expire on the way: it is worth a moment to wait for the next one.
	closingTime = 30 * time.Second
	closingPart = 10
	// longestLife is longer than any token's.
	longestLife = 10 * 365 * 24 * time.Hour
)

// session is what a store keeps.
type session struct {
	Version int `json:"version"`
	// Account says where the tokens are from: they are sent nowhere else.
	Account      string `json:"account"`
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken,omitempty"`
	// When it came and how long it is used, by the clock of this machine.
	ObtainedAt time.Time `json:"obtainedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	// PrivateKey is the key that the tokens are bound to (PKCS #8), where this
	// package made it.
	PrivateKey []byte `json:"privateKey,omitempty"`
}

// account identifies a project at an address of PERS.
func account(base, projectKey string) string {
	sum := sha256.Sum256([]byte(base + "\x00" + projectKey))
	return encode(sum[:])
}

var errForeign = errors.New("it is a session of another project, or of another address of PERS")

// decodeSession reads what a store kept. It is nil for nothing.
func decodeSession(kept []byte, account string) (*session, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	s := new(session)
	switch err := json.Unmarshal(kept, s); {
	case len(kept) > maxSession || err != nil: // not the error: it may quote a token
		return nil, errors.New("it is not a session")
	case s.Version != sessionVersion:
		return nil, errors.New("it was written by another version")
	case s.Account != account:
		return nil, errForeign
	case !isToken(s.AccessToken) || len(s.RefreshToken) > maxToken:
		return nil, errors.New("it has no token")
	}
	return s, nil
}

func (s *session) encode() ([]byte, error) { return json.Marshal(s) }

// held is a session whose token is handed out. It is immutable. What each request
// looks at comes first, in one cache line.
type held struct {
	dueAt time.Time // when it is to be refreshed
	from  time.Time // when it came, less clockSlack
	credential

	*session
	closingAt time.Time // when it may expire on the way
	expiresAt time.Time
	problem   error // why the token is not used; nil for most
	doubtful  bool  // the clock went back since: its times mean nothing
}

// hold prepares a session for use.
func hold(s *session, key *Key) *held {
	h := &held{session: s, credential: newCredential(s.AccessToken, key), from: s.ObtainedAt.Add(-clockSlack), expiresAt: s.ExpiresAt}
	life := min(max(s.ExpiresAt.Sub(s.ObtainedAt), 0), longestLife)
	usable := life
	if again := peekToken(s.RefreshToken); !again.expiresAt().IsZero() && !again.issuedAt().IsZero() {
		usable = min(usable, max(again.expiresAt().Sub(again.issuedAt()), 0)) // a refresh token must not expire unused
	}
	h.dueAt = s.ObtainedAt.Add(time.Duration(float64(usable) * (refreshFrom + refreshSpread*spread(s.AccessToken))))
	h.closingAt = s.ObtainedAt.Add(life - min(closingTime, life/closingPart))
	if s.RefreshToken == "" {
		h.dueAt = h.closingAt
	}
	return h
}

// spread is a number from 0 to 1 that differs from token to token.
func spread(token string) float64 {
	sum := sha256.Sum256([]byte(token))
	return float64(binary.BigEndian.Uint16(sum[:])) / (1 << 16)
}

// fresh reports whether a token is used without a thought. A clock that was put
// back to before the token came says nothing about it.
func (h *held) fresh(now time.Time) bool {
	return now.Before(h.dueAt) && !now.Before(h.from.Add(-clockSlack))
}

// alive reports whether a token may still be good.
func (h *held) alive(now time.Time) bool { return h != nil && now.Before(h.expiresAt) }

// closing reports whether a token may expire on the way.
func (h *held) closing(now time.Time) bool { return !now.Before(h.closingAt) }

// clockSlack is how far a clock may go back unnoticed.
const clockSlack = time.Second

// sameCaller reports whether two tokens are of the same caller for the same
// business: a refresh changes neither.
func sameCaller(a, b peeked) bool {
	return a.Subject == b.Subject && a.Tenant == b.Tenant && a.Business == b.Business && a.AuthType == b.AuthType
}
