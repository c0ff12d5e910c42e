package persauth

// Proofs that were used (RFC 9449 §11.1).

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// ReplayStore remembers which proofs were used. Instances that share one accept
// each proof once between them; verifiers that the same request passes one after
// the other must not share one. It must be safe for concurrent use, and fast: a
// request waits for it.
type ReplayStore interface {
	// Claim stores p.ID until p.Until or longer, and reports whether it was not
	// stored yet: of concurrent calls with one ID exactly one is the first. An
	// error refuses the proof with ErrUnavailable.
	Claim(ctx context.Context, p UsedProof) (first bool, err error)
}

// UsedProof is what a [ReplayStore] stores of a proof that passed all other checks.
type UsedProof struct {
	// ID is the SHA-256 digest of the client's key and the proof's "jti".
	ID [sha256.Size]byte
	// Subject is the SHA-256 digest of the token's tenant and "sub", or of its
	// tenant and "cnf.jkt" where there is no "sub". A store should bound how much
	// one subject stores: a client can make any number of keys and get tokens for
	// them, but not as many accounts. The digest hides neither of the two from
	// someone who can guess them.
	Subject [sha256.Size]byte
	// Until is the time after which no instance accepts the proof any more.
	Until time.Time
}

const (
	// replaySpans is in how many parts ids are forgotten.
	replaySpans = 8
	// subjectShare is the part of the memory that one subject may fill.
	subjectShare = 16
)

var (
	errReplaysFull  = errors.New("the memory of used proofs is full: DPoP.MaxReplays")
	errSubjectsFull = errors.New("the token's subject has its share of the memory of used proofs: a sixteenth of DPoP.MaxReplays")
)

// memoryReplays is a ReplayStore for one instance. When it is full it refuses
// new ids: to forget one before its time would let its proof be used again. One
// subject cannot fill it.
type memoryReplays struct {
	limit, share int     // in all, and for one subject
	span         instant // how coarsely ids are forgotten
	now          func() time.Time

	mu     sync.Mutex
	spans  map[instant]*replaySpan // by the span at whose begin they go
	length int
}

// replayDigest is half of a SHA-256 digest. Two that collide by accident would
// refuse a proof, never accept one twice, and 128 bits do not collide by accident.
type replayDigest [16]byte

// replaySpan holds the ids that are forgotten together. It counts per subject, so
// that the counts go with them: there are never more subjects than ids.
type replaySpan struct {
	ids      map[replayDigest]struct{}
	subjects map[replayDigest]int
}

// newMemoryReplays makes a memory for ids that are to be kept for window at most.
func newMemoryReplays(limit int, window time.Duration, now func() time.Time) *memoryReplays {
	span := instant(window.Microseconds()/replaySpans + 1)
	return &memoryReplays{limit: limit, share: max(1, limit/subjectShare), span: span, now: now,
		spans: make(map[instant]*replaySpan)}
}

func (m *memoryReplays) Claim(_ context.Context, p UsedProof) (bool, error) {
	id, subject := replayDigest(p.ID[:16]), replayDigest(p.Subject[:16])
	end := instantOf(p.Until)/m.span + 1
	now := instantOf(m.now()) / m.span
	m.mu.Lock()
	defer m.mu.Unlock()
	held := 0 // by the subject
	for e, span := range m.spans {
		if e <= now {
			m.length -= len(span.ids)
			delete(m.spans, e)
		} else if _, used := span.ids[id]; used {
			return false, nil
		} else {
			held += span.subjects[subject]
		}
	}
	switch {
	case held >= m.share:
		return false, errSubjectsFull
	case m.length >= m.limit:
		return false, errReplaysFull
	}
	span := m.spans[end]
	if span == nil {
		span = &replaySpan{make(map[replayDigest]struct{}), make(map[replayDigest]int)}
		m.spans[end] = span
	}
	span.ids[id] = struct{}{}
	span.subjects[subject]++
	m.length++
	return true, nil
}
