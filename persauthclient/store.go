package persauthclient

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Store keeps a session between the runs of a program, and for several programs
// that share it. What it keeps is a secret: anyone who reads it can act for the user.
//
// The stores here are [MemoryStore] and [FileStore].
type Store interface {
	// Load returns what is kept, or nil.
	Load(ctx context.Context) ([]byte, error)
	// Update calls change with what is kept, or nil, and keeps what it returns;
	// nil removes it. Meanwhile no other Update of the same session runs, in this
	// process or in any other: change may refresh the session, and a refresh token
	// is good once. On an error of change, which Update returns, nothing is
	// changed. change takes as long as PERS does.
	Update(ctx context.Context, change func(kept []byte) ([]byte, error)) error
}

// MemoryStore keeps a session for as long as the process lives. Its zero value is
// ready for use, and safe for concurrent use.
type MemoryStore struct {
	once sync.Once
	turn chan struct{} // holds one value while somebody updates

	mu   sync.Mutex
	kept []byte
}

// Format writes nothing of what is kept, for every verb.
func (m *MemoryStore) Format(f fmt.State, _ rune) { fmt.Fprint(f, "a session in memory") }

// Load returns what is kept.
func (m *MemoryStore) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.kept), nil
}

// Update changes what is kept.
func (m *MemoryStore) Update(ctx context.Context, change func([]byte) ([]byte, error)) error {
	m.once.Do(func() { m.turn = make(chan struct{}, 1) })
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	kept, _ := m.Load(ctx)
	next, err := change(kept)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = bytes.Clone(next)
	return nil
}
