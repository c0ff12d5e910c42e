package persauth

// Verdicts of PERS that one instance asks for and all use.

import (
	"context"
	"errors"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

// sharedVerdictFor is how long a verdict is shared, and sharedRefusalFor one that
// says no: then PERS is asked again, as an instance does that is alone.
const (
	sharedVerdictFor = autoMaxAge
	sharedRefusalFor = 30 * time.Second
)

// shareable returns how old a verdict may be that another instance got, for a call
// about a token whose verdict must not be older than since.
func (i *introspector) shareable(about *cachedToken, negative *negativeEntry, since, now clock.Instant) time.Duration {
	if negative != nil { // it must be newer than what we were told ourselves
		since = max(since, negative.asked.Add(i.timeout+time.Microsecond))
	}
	switch since {
	case clock.Never: // it must be asked for from now on
		return 0
	case clock.None: // a renewal in good time: one that takes us half the way will do
		if about.claims.checked == clock.None {
			return 0
		}
		return time.Duration(max(now-about.claims.checked, 0)) * time.Microsecond / 2
	}
	// Others may join who came later than this one.
	return min(time.Duration(now-since)*time.Microsecond-i.timeout, sharedVerdictFor)
}

// verdictName is the name of a token's verdict. Of a token whose signature held, the
// signing input counts: anybody can write another ECDSA signature. Of all others
// the whole token: a forged twin must not speak for it.
func verdictName(about *cachedToken) SharedName {
	if about.claims.key != nil {
		return SharedName{SharedVerdict, digestToken("known\x00" + about.claims.signingInput())}
	}
	return SharedName{SharedVerdict, digestToken("unknown\x00" + about.token())}
}

// answer asks PERS, or takes what another instance was told lately. Then the call
// counts as made when that instance asked.
func (i *introspector) answer(ctx context.Context, call *inflightCall) ([]byte, error) {
	if i.fleet == nil {
		return i.ownAnswer(ctx, call)
	}
	ask := func(ctx context.Context) ([]byte, time.Duration, error) {
		body, err := i.ownAnswer(ctx, call)
		if err != nil {
			i.fleet.leases.limited(err)
			return nil, 0, err
		}
		keep := sharedVerdictFor
		switch err := i.validate(body, &call.about.claims, call.about.claims.key == nil); {
		case errors.Is(err, ErrRejected):
			keep = sharedRefusalFor
		case err != nil:
			keep = 0 // each asks for itself
		}
		return body, keep, nil
	}
	body, age, shared, err := i.fleet.answers.get(ctx, asking{verdictName(call.about), call.within, ask}, holdFor(i.timeout))
	if shared {
		i.mu.Lock()
		call.asked = call.asked.Add(-age)
		i.mu.Unlock()
	}
	return body, err
}
