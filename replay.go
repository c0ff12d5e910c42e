package persauth

// Proofs that were used (RFC 9449 §11.1).

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayStore remembers which proofs were used. Several instances that share one
// take each proof once between them; verifiers that one request passes in turn
// must not. It must be safe for concurrent use, and should not take long: a
// request waits for it.
type ReplayStore interface {
	// Claim notes id, which is 43 characters of base64url, until a time or
	// longer, and reports whether it had not been noted before: of any number
	// of callers at once exactly one is the first. An error refuses the proof
	// with ErrUnavailable.
	Claim(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// replaySpans is in how many parts ids are forgotten.
const replaySpans = 8

// memoryReplays is a ReplayStore for one instance. When it is full it refuses
// new ids: to forget one before its time would let its proof be used again.
type memoryReplays struct {
	limit int
	span  instant // how coarsely ids are forgotten
	now   func() time.Time

	mu     sync.Mutex
	spans  map[instant]map[string]struct{} // by the span at whose begin they go
	length int
}

// newMemoryReplays makes a memory for ids that are to be kept for window at most.
func newMemoryReplays(limit int, window time.Duration, now func() time.Time) *memoryReplays {
	span := instant(window.Microseconds()/replaySpans + 1)
	return &memoryReplays{limit: limit, span: span, now: now, spans: make(map[instant]map[string]struct{})}
}

func (m *memoryReplays) Claim(_ context.Context, id string, until time.Time) (bool, error) {
	end := instantOf(until)/m.span + 1
	now := instantOf(m.now()) / m.span
	m.mu.Lock()
	defer m.mu.Unlock()
	for e, ids := range m.spans {
		if e <= now {
			m.length -= len(ids)
			delete(m.spans, e)
		} else if _, used := ids[id]; used {
			return false, nil
		}
	}
	if m.length >= m.limit {
		return false, errors.New("the memory of used proofs is full: DPoP.MaxReplays")
	}
	if m.spans[end] == nil {
		m.spans[end] = make(map[string]struct{})
	}
	m.spans[end][id] = struct{}{}
	m.length++
	return true, nil
}
