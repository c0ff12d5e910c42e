package dpop

// Proofs that were used (RFC 9449 §11.1).

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

const (
	// replaySpans is in how many parts ids are forgotten.
	replaySpans = 8
	// subjectShare is the part of the memory that one subject may fill.
	subjectShare = 16
)

var (
	errReplaysFull  = errors.New("the memory of used proofs is full: DPoP.MaxReplays")
	errReplaysLost  = errors.New("the clock was set back, to a time whose proofs are no longer remembered")
	errSubjectsFull = errors.New("the token's subject has its share of the memory of used proofs: a sixteenth of DPoP.MaxReplays")
)

// Memory is a Store for one instance. When it is full it refuses
// new ids: to forget one before its time would let its proof be used again. One
// subject cannot fill it.
//
// Proofs are dated by the wall clock, and ids are kept by a stopwatch, for as long
// as the proof is good by the wall clock of their use. So a clock that is set
// forward makes nothing forgotten, and one that is set back keeps nothing for
// longer. When the clock is set back to a time whose ids are gone, new ids of that
// time are refused: nobody can tell any more whether they were used.
type Memory struct {
	limit, share int           // in all, and for one subject
	window, span clock.Instant // how long ids are kept, and how coarsely

	mu     sync.Mutex
	watch  clock.Stopwatch
	spans  map[clock.Instant]*replaySpan // by the number of the span of the wall clock at whose begin they are over
	length int
	gone   spanRanges // of the ids that are forgotten
}

// replayDigest is half of a SHA-256 digest. Two that collide by accident would
// refuse a proof, never accept one twice, and 128 bits do not collide by accident.
type replayDigest [16]byte

// replaySpan holds the ids that are forgotten together. It counts per subject, so
// that the counts go with them: there are never more subjects than ids.
type replaySpan struct {
	until    clock.Instant // by the stopwatch
	ids      map[replayDigest]struct{}
	subjects map[replayDigest]int
}

// NewMemory makes a memory for ids that are to be kept for window at most.
func NewMemory(limit int, window time.Duration, c *clock.Clock) *Memory {
	span := clock.Instant(window.Microseconds()/replaySpans + 1)
	return &Memory{limit: limit, share: max(1, limit/subjectShare), window: clock.Instant(window.Microseconds()), span: span,
		watch: clock.NewStopwatch(c), spans: make(map[clock.Instant]*replaySpan)}
}

// Claim stores p.ID until p.Until or longer, and reports whether it was not stored
// yet: of concurrent calls with one ID exactly one is the first.
func (m *Memory) Claim(_ context.Context, p Claimed) (bool, error) {
	id, subject := replayDigest(p.ID[:16]), replayDigest(p.Subject[:16])
	end := clock.Of(p.Until)/m.span + 1
	m.mu.Lock()
	defer m.mu.Unlock()
	now, passed := m.watch.Read()
	held := 0 // by the subject
	for e, span := range m.spans {
		if span.until <= passed {
			m.length -= len(span.ids)
			delete(m.spans, e)
			m.gone.add(e)
		} else if _, used := span.ids[id]; used {
			return false, nil
		} else {
			held += span.subjects[subject]
		}
	}
	switch {
	case m.gone.has(end):
		return false, errReplaysLost
	case held >= m.share:
		return false, errSubjectsFull
	case m.length >= m.limit:
		return false, errReplaysFull
	}
	span := m.spans[end]
	if span == nil {
		span = &replaySpan{ids: make(map[replayDigest]struct{}), subjects: make(map[replayDigest]int)}
		m.spans[end] = span
	}
	span.until = max(span.until, passed+min(max(end*m.span-now, 0), m.window+m.span))
	span.ids[id] = struct{}{}
	span.subjects[subject]++
	m.length++
	return true, nil
}

// spanRanges are numbers of spans, in ranges that do not touch each other, in
// order. There is one range until the clock is set or no proofs come for a while.
type spanRanges []spanRange

type spanRange struct{ from, to clock.Instant }

// maxSpanRanges bounds them: then the two that are closest become one, with all
// that is between them.
const maxSpanRanges = 8

func (r spanRanges) has(n clock.Instant) bool {
	return slices.ContainsFunc(r, func(one spanRange) bool { return one.from <= n && n <= one.to })
}

func (r *spanRanges) add(n clock.Instant) {
	all := append(*r, spanRange{n, n})
	slices.SortFunc(all, func(a, b spanRange) int { return cmp.Compare(a.from, b.from) })
	for i := len(all) - 1; i > 0; i-- {
		if all[i].from <= all[i-1].to+1 {
			all = all.join(i)
		}
	}
	if len(all) > maxSpanRanges {
		closest := 1
		for i := range all[1:] {
			if all[i+1].from-all[i].to < all[closest].from-all[closest-1].to {
				closest = i + 1
			}
		}
		all = all.join(closest)
	}
	*r = all
}

// join makes one of a range and the one before it.
func (r spanRanges) join(i int) spanRanges {
	r[i-1].to = max(r[i-1].to, r[i].to)
	return slices.Delete(r, i, i+1)
}
