package persauth

// Answers of PERS that one instance asks for and all use. They are what PERS sent,
// and are checked by each instance as if it had asked itself.

import (
	"context"
	"sync"
	"time"
)

// answerPoll is how often one who waits looks for an answer whose notice may have
// got lost.
const answerPoll = 300 * time.Millisecond

// answers are those that this instance waits for.
type answers struct {
	member *fleetMember

	mu      sync.Mutex
	waiting map[SharedName]*answerWait
}

// answerWait is a name that some wait for.
type answerWait struct {
	n       int // how many
	arrived chan struct{}
}

func newAnswers(m *fleetMember) *answers {
	return &answers{member: m, waiting: make(map[SharedName]*answerWait)}
}

// notice wakes those who wait for a name.
func (a *answers) notice(name SharedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.waiting[name]; w != nil {
		close(w.arrived)
		w.arrived = make(chan struct{})
	}
}

// wait returns a channel that is closed when there is news of a name.
func (a *answers) wait(name SharedName) (arrived chan struct{}, leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.waiting[name]
	if w == nil {
		w = &answerWait{arrived: make(chan struct{})}
		a.waiting[name] = w
	}
	w.n++
	return w.arrived, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(a.waiting, name)
		}
	}
}

// asking is a question to PERS that the fleet shares.
type asking struct {
	name SharedName
	// within is how old an answer may be that another instance got.
	within time.Duration
	// ask asks PERS, and says how long others may use the answer: 0 for not at
	// all.
	ask func(context.Context) (body []byte, keep time.Duration, err error)
}

// get returns an answer and when PERS was asked for it. Where another instance
// asks already it waits for that one, and asks itself when none comes in time or
// the store does not answer. a may be nil: then there is no fleet.
func (a *answers) get(ctx context.Context, q asking, hold time.Duration) (body []byte, age time.Duration, shared bool, err error) {
	ticket := ""
	for a != nil && q.within > 0 && !a.member.isAway() {
		arrived, leave := a.wait(q.name)
		found, err := a.look(ctx, q, hold)
		if err == nil && found.Body == nil && found.Ticket == "" {
			timer := time.NewTimer(min(max(found.Wait, time.Millisecond), answerPoll))
			select {
			case <-arrived:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		leave()
		switch {
		case err != nil:
		case found.Body != nil:
			return found.Body, found.Age, true, nil
		case found.Ticket != "":
			ticket = found.Ticket
		case ctx.Err() == nil:
			continue
		}
		break
	}
	body, keep, err := q.ask(ctx)
	if ticket != "" {
		a.share(q.name, ticket, keep, body)
	}
	return body, 0, false, err
}

func (a *answers) look(ctx context.Context, q asking, hold time.Duration) (SharedAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.member.policy.Patience)
	defer cancel()
	return a.member.fleet.Look(ctx, q.name, LookRequest{Within: q.within, Hold: hold})
}

// share hands an answer to the others, or tells them that there is none. Nobody
// waits for it.
func (a *answers) share(name SharedName, ticket string, keep time.Duration, body []byte) {
	if keep <= 0 || len(body) > MaxShared {
		body = nil
	}
	a.member.spawn(func() {
		ctx, cancel := context.WithTimeout(a.member.context, longestRead)
		defer cancel()
		_ = a.member.fleet.Share(ctx, name, ticket, keep, body) // the others ask then
	})
}
