package persauth

// Calls of POST /auth/verify that are under way: one for each token, which all
// callers with that token share, and which nobody's leaving ends.

import (
	"context"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

// frozenSlack: a call that took longer than its timeout, and this, was not bounded
// by it, so this process stood still. Serverless platforms freeze one between
// requests.
const frozenSlack = time.Second

// inflightCall is one call, which any number of callers wait for.
type inflightCall struct {
	about   *cachedToken
	why     purpose
	subject tokenDigest
	asked   clock.Instant      // when it was made; whatever PERS knew then is in the answer
	within  time.Duration      // how old an answer may be that another instance of the fleet got
	began   time.Time          // the same, by a clock that nobody sets
	cancel  context.CancelFunc // ends it
	next    *inflightCall      // for those who came too late for this one; guarded by mu
	done    chan struct{}
	claims  *Claims // these two are set when done is closed
	err     error
}

func newCall(about *cachedToken, why purpose) *inflightCall {
	return &inflightCall{about: about, why: why, subject: subjectOf(about), done: make(chan struct{})}
}

// subjectOf identifies who a token was issued to: a subject of a tenant, or the
// token where it names none.
func subjectOf(about *cachedToken) tokenDigest {
	if about.claims.Subject() == "" {
		return digestToken(about.claims.signingInput())
	}
	return about.claims.account()
}

// join returns the call to wait for: the one under way about the token, the one
// after it, a new one, or one that ended while the caller was on the way here.
func (i *introspector) join(q inquiry) (*inflightCall, error) {
	now := clock.Of(i.now())
	about, digest := q.about, digestToken(q.about.token())
	i.mu.Lock()
	defer i.mu.Unlock()
	if call := i.inflight[digest]; call != nil {
		if i.stoodStill(call, now) {
			call.cancel() // its answer does not come any more
		} else if call.asked >= q.since && (about.claims.key == nil || call.about.claims.key != nil) {
			// A refusal of a token whose key is unknown says nothing about one
			// whose signature is known to be good.
			return call, nil
		}
		if call.next == nil {
			call.next = newCall(about, q.why)
		} else if about.claims.key != nil && call.next.about.claims.key == nil {
			call.next.about, call.next.why = about, q.why // the key has come since
		}
		return call.next, nil
	}
	if claims := i.vouched(about, q.came, now); claims != nil {
		call := &inflightCall{done: make(chan struct{}), claims: claims}
		close(call.done)
		return call, nil
	}
	negative := i.negatives.get(about)
	if negative != nil && q.since != clock.Never && negative.resting(now) {
		return nil, negative.err
	}
	call := newCall(about, q.why)
	if i.fleet != nil {
		call.within = i.shareable(about, negative, q.since, now)
	}
	if err := i.permit(call, now); err != nil {
		return nil, err
	}
	i.start(call, digest, now)
	return call, nil
}

// stoodStill reports whether a call is under way for longer than any can be, by
// one clock or the other: some go on while a process is frozen, some do not.
func (i *introspector) stoodStill(call *inflightCall, now clock.Instant) bool {
	longest := i.timeout + frozenSlack
	return time.Since(call.began) > longest || now > call.asked.Add(longest)
}

// start makes a call that is permitted. The caller holds mu.
func (i *introspector) start(call *inflightCall, digest tokenDigest, now clock.Instant) {
	ctx, cancel := context.WithTimeout(i.context, i.timeout)
	call.asked, call.began, call.cancel = now, time.Now(), cancel
	i.inflight[digest] = call
	i.bulkheads[call.why].counts.Asked++
	i.running.Go(func() {
		defer cancel()
		blame, err := i.call(ctx, call)
		i.finish(call, digest, blame, err)
	})
}

// finish draws all conclusions from how a call ended, and makes the next one about
// its token.
func (i *introspector) finish(call *inflightCall, digest tokenDigest, blame blame, err error) {
	after := clock.Of(i.now())
	b := i.bulkheads[call.why]
	call.claims, call.err = i.applyVerdict(call.about, call.asked, err)
	i.mu.Lock()
	if call.err = i.negatives.note(call.about, call.asked, after, blame, call.err); call.err != nil {
		call.claims = nil
	}
	limited := i.settle(b, err, blame, after)
	before, state := b.reported, b.breaker.State()
	b.reported = state
	delete(i.inflight, digest)
	if next := call.next; next != nil {
		if next.err = i.permit(next, after); next.err == nil {
			i.start(next, digest, after)
		} else {
			close(next.done)
		}
	}
	close(call.done)
	i.mu.Unlock()
	// Told without the lock, because a log may take its time.
	if state != before {
		i.log.Warn("persauth: asking PERS about tokens", "purpose", call.why.String(), "breaker", state.String(), "before", before.String())
	}
	if limited {
		i.log.Warn("persauth: the calls that PERS allows to the project key are used up", "purpose", call.why.String(), "error", err)
	}
}
