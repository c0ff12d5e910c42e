package persauthclient

// A session that stays fresh: what a program asks of it.

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

const (
	opToken = "token"
	opStore = "store"

	// closingWait is how long a caller waits for the next token while its own may
	// expire on the way.
	closingWait = time.Second
	// renewEvery is how often a service can make a token be refreshed by refusing
	// it: one that refuses every token must not use up PERS' calls.
	renewEvery = 30 * time.Second
)

// TokenSource keeps a session fresh, for any number of goroutines: make one and
// share it. It is a [Source], and an [oauth2.TokenSource].
//
// A token is refreshed when the first request comes after about 80 % of its life,
// in the background: requests are served from the token that there is while it
// lives. One refresh runs at a time, for all goroutines and, with a [FileStore],
// for all processes. Between requests nothing runs: see [TokenSource.Run].
type TokenSource struct {
	// What each request looks at, in one cache line.
	current atomic.Pointer[held] // nil: none yet
	latest  atomic.Int64         // when a token was asked for last, in Unix nanoseconds, give or take a second
	clock   func() time.Time     // nil: the system's

	cfg     Config
	account string
	log     *slog.Logger

	mu        sync.Mutex // guards what follows; never held across I/O
	closed    bool
	flight    *flight // the one under way, or nil
	failure   failure // the last one; its err is nil after a success
	renewedAt time.Time
	running   sync.WaitGroup

	// Of the flight under way alone:
	ended      string   // the refresh token that PERS refused
	distrusted string   // the access token that was not what it should be
	unsaved    *session // what the store did not take, or nil
	replaced   string   // the refresh token that the store has in its place
}

// Format writes nothing of the session, for every verb.
func (s *TokenSource) Format(f fmt.State, _ rune) { fmt.Fprint(f, "a token source") }

var (
	_ Source             = (*TokenSource)(nil)
	_ oauth2.TokenSource = (*TokenSource)(nil)
)

// AccessToken returns a token to use now, for those who make their own requests.
// One that is bound to a key is of no use without proofs: see
// [TokenSource.Authorize].
//
// The error is [ErrSignIn], [ErrUnavailable], [ErrAnswer] or [ErrStore]; it holds
// the error of ctx where that ended first.
func (s *TokenSource) AccessToken(ctx context.Context) (string, error) {
	h, err := s.get(ctx)
	if err != nil {
		return "", err
	}
	return h.AccessToken, nil
}

// Token is for those who take an [oauth2.TokenSource]. It is
// [TokenSource.AccessToken] without a context, and [ErrBound] for a token that is
// bound to a key: nobody there makes proofs.
func (s *TokenSource) Token() (*oauth2.Token, error) {
	h, err := s.get(context.Background())
	if err != nil {
		return nil, err
	}
	if h.key != nil {
		return nil, &Error{Op: opToken, Got: "use a Transport, which makes proofs", Err: ErrBound}
	}
	return &oauth2.Token{AccessToken: h.AccessToken, TokenType: "Bearer", Expiry: h.expiresAt}, nil
}

// Authorize returns the headers Authorization and DPoP for one request: see
// [Source].
func (s *TokenSource) Authorize(ctx context.Context, method string, target *url.URL, nonce string) (authorization, proof string, err error) {
	h, err := s.get(ctx)
	if err != nil {
		return "", "", err
	}
	return h.authorize(method, target, nonce, s.now)
}

// Renew refreshes a token that a service did not accept, whenever it would
// expire: at most once in 30 s.
func (s *TokenSource) Renew(ctx context.Context, authorization string) error {
	if h := s.current.Load(); h != nil && h.authorization != authorization {
		return nil // it is another one already
	}
	f := s.join(s.now(), refreshRefused)
	if f == nil {
		return errNotRenewed
	}
	if err := s.wait(ctx, f, s.cfg.Timeout); err != nil {
		return err
	}
	if h := s.current.Load(); h == nil || h.authorization == authorization {
		return errNotRenewed
	}
	return nil
}

// get returns the token to use now.
func (s *TokenSource) get(ctx context.Context) (*held, error) {
	now := s.now()
	h := s.current.Load()
	s.watch(now, h)
	if h != nil && h.fresh(now) && s.current.Load() == h {
		return h, nil
	}
	return s.refreshed(ctx, now)
}

func (s *TokenSource) now() time.Time {
	if s.clock == nil {
		return time.Now()
	}
	return s.clock()
}

// watch sees a clock that goes back. How long the token still lives is unknown
// then: it is refreshed now, and used meanwhile.
func (s *TokenSource) watch(now time.Time, h *held) {
	at := now.UnixNano()
	past := s.latest.Load() - at
	switch {
	case past < -int64(clockSlack):
		s.latest.Store(at)
	case past > 2*int64(clockSlack) && s.latest.CompareAndSwap(past+at, at) && h != nil:
		stale := *h
		stale.dueAt, stale.doubtful = time.Time{}, true
		s.current.CompareAndSwap(h, &stale)
	}
}

// refreshed starts a refresh, or finds the one under way, and waits for it only
// where there is no token to use meanwhile.
func (s *TokenSource) refreshed(ctx context.Context, now time.Time) (*held, error) {
	f := s.join(now, refreshDue)
	h := s.current.Load()
	switch {
	case h != nil && h.fresh(now):
		return h, nil // another caller was faster
	case h.alive(now) && (f == nil || !h.closing(now)):
		return h, nil
	case h.alive(now):
		if err := s.wait(ctx, f, closingWait); ctx.Err() != nil {
			return nil, err
		}
		return s.use() // the next one, or the same
	case f == nil:
		return nil, s.paused(now)
	}
	err := s.wait(ctx, f, s.cfg.Timeout)
	switch {
	case !f.refreshes && f.ended():
		return s.get(ctx) // somebody signed in or out, or tried to
	case err != nil:
		if h := s.current.Load(); h.alive(s.now()) {
			return h, nil // the store had one
		}
		return nil, err
	}
	return s.use()
}

// use returns the token that there is.
func (s *TokenSource) use() (*held, error) {
	if h := s.current.Load(); h != nil {
		return h, nil
	}
	return nil, s.signInError(nil)
}

// wait waits for a flight, or until it has found a token to use meanwhile, for so
// long or until ctx ends. The flight goes on.
func (s *TokenSource) wait(ctx context.Context, f *flight, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-f.early:
		return nil
	case <-ctx.Done():
		return &Error{Op: opToken, Err: ErrUnavailable, Cause: ctx.Err()}
	case <-timer.C:
		return &Error{Op: opToken, Got: fmt.Sprintf("no token after %v", limit), Err: ErrUnavailable, RetryAfter: time.Second}
	}
}

// SignIn exchanges a provider's token, and keeps the session in place of the one
// before. The errors are those of [Client.Exchange], [ErrAnswer] where the tokens
// are not what the Config asks for, and [ErrStore].
func (s *TokenSource) SignIn(ctx context.Context, request Request) error {
	f, err := s.begin(ctx, func(ctx context.Context) error { return s.signIn(ctx, request) })
	if err != nil {
		return err
	}
	return s.wait(ctx, f, callLimit)
}

// SignOut forgets the session, here and in the store. PERS documents no way to
// end it there: the tokens stay good until they expire.
func (s *TokenSource) SignOut(ctx context.Context) error {
	f, err := s.begin(ctx, s.signOut)
	if err != nil {
		return err
	}
	return s.wait(ctx, f, callLimit)
}

// Run refreshes the session when it is due, also while there are no requests, so
// that its refresh token does not expire unused. It returns when ctx ends, with
// its error.
func (s *TokenSource) Run(ctx context.Context) error {
	for {
		_, _ = s.get(ctx) // its error is in Status, and in the log
		pause := time.Second
		if h := s.current.Load(); h != nil {
			// At most a minute, because the machine may sleep, or its clock step.
			pause = min(max(h.dueAt.Sub(s.now()), time.Second), time.Minute)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// Close waits for the refresh under way, so that its answer is not lost.
// Afterwards nobody is asked, and the token that is held is used while it lives.
func (s *TokenSource) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}
