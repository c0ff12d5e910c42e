package persauth

// Proofs that were used (RFC 9449 §11.1), and the nonces that keep proofs from
// being made in advance (§9).

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// ReplayStore remembers which proofs were used. Several instances that share one
// take each proof once between them. It must be safe for concurrent use.
type ReplayStore interface {
	// Claim notes id, which is 43 characters of base64url, until a time, and
	// reports whether it had not been noted before: of any number of callers
	// at once exactly one is the first. An error refuses the proof.
	Claim(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// replaySpan is how coarsely ids are forgotten.
const replaySpan = 15 * time.Second

// memoryReplays is a ReplayStore for one instance. When it is full it refuses
// new ids: to forget one before its time would let its proof be used again.
type memoryReplays struct {
	limit int
	now   func() time.Time

	mu     sync.Mutex
	spans  map[int64]map[string]struct{} // by the end of the span they expire in
	length int
}

func newMemoryReplays(limit int, now func() time.Time) *memoryReplays {
	return &memoryReplays{limit: limit, now: now, spans: make(map[int64]map[string]struct{})}
}

func (m *memoryReplays) Claim(_ context.Context, id string, until time.Time) (bool, error) {
	span := int64(replaySpan / time.Microsecond)
	end := int64(instantOf(until))/span + 1
	m.mu.Lock()
	defer m.mu.Unlock()
	now := int64(instantOf(m.now())) / span
	for e, ids := range m.spans {
		if _, used := ids[id]; used {
			return false, nil
		}
		if e < now {
			m.length -= len(ids)
			delete(m.spans, e)
		}
	}
	if m.length >= m.limit {
		return false, errors.New("the memory of used proofs is full")
	}
	if m.spans[end] == nil {
		m.spans[end] = make(map[string]struct{})
	}
	m.spans[end][id] = struct{}{}
	m.length++
	return true, nil
}

// nonces are made and recognised without being stored: a time, and a MAC.
type nonces struct{ secret []byte }

// nonceSpan is how long one nonce is handed out. It is good for twice as long.
const nonceSpan = 5 * time.Minute

func (n *nonces) current(now time.Time) string {
	return n.at(now.Unix() / int64(nonceSpan/time.Second))
}

func (n *nonces) good(nonce string, now time.Time) bool {
	span := now.Unix() / int64(nonceSpan/time.Second)
	return hmac.Equal([]byte(nonce), []byte(n.at(span))) || hmac.Equal([]byte(nonce), []byte(n.at(span-1)))
}

func (n *nonces) at(span int64) string {
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], uint64(span))
	mac := hmac.New(sha256.New, n.secret)
	mac.Write([]byte("persauth dpop nonce\x00"))
	mac.Write(text[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
