package persauth

// A number of calls that grows with time, as a whole and for each subject.

import (
	"time"

	"github.com/persauth/persauth/internal/clock"
	"golang.org/x/time/rate"
)

// budget is a number of calls that grows with time. A clock that is put back does
// not stop it.
type budget struct {
	limiter *rate.Limiter
	latest  clock.Instant // when it was last looked at
}

func newBudget(perHour, burst float64) *budget {
	return &budget{rate.NewLimiter(rate.Limit(perHour/3600), max(int(burst), 1)), clock.None}
}

// share returns the budget of a subject, which is an eighth of all.
func (b *bulkhead) share(subject tokenDigest) *budget {
	key := string(subject[:])
	share, ok := b.shares.Get(key)
	if !ok {
		perHour := float64(b.budget.limiter.Limit()) * 3600
		share = newBudget(min(perHour, max(perHour/callShare, subjectPerHour)), float64(b.budget.limiter.Burst())/callShare)
		b.shares.Put(key, share)
	}
	return share
}

// has reports whether there is a call left, take takes it.
func (b *budget) has(now clock.Instant) bool {
	if now.Add(clock.Slack) < b.latest {
		// The clock was put back, and a budget that is used up would wait for
		// it to catch up: it goes on from here, with what it has.
		b.limiter.SetLimitAt(now.Time(), b.limiter.Limit())
	}
	b.latest = now
	return b.limiter.TokensAt(now.Time()) >= 1
}

func (b *budget) take(now clock.Instant) bool { return b.has(now) && b.limiter.AllowN(now.Time(), 1) }

// wait is how long it takes at most until there is another call.
func (b *budget) wait() time.Duration {
	return time.Duration(float64(time.Second)/float64(b.limiter.Limit())) + time.Second
}

// take takes a call for a subject out of its share and out of the budget, or says
// which of them is used up.
func (b *bulkhead) take(subject tokenDigest, now clock.Instant) (usedUp *budget) {
	if !b.budget.has(now) { // before a share is made: a flood of subjects makes none
		return b.budget
	}
	share := b.share(subject)
	if !share.take(now) {
		return share
	}
	b.budget.take(now)
	return nil
}
