package keyring

import (
	"log/slog"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Times at the ends of what can be said neither wrap around nor come alive.
func TestKeySetTimes(t *testing.T) {
	times := Times{Soft: time.Minute, Hard: time.Hour}
	for _, loaded := range []clock.Instant{clock.Of(time.Unix(0, 0)), clock.Of(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))} {
		s := times.set(nil, "remote", loaded, 0)
		assert.False(t, s.overdue(loaded))
		assert.False(t, s.overdue(loaded-clock.Instant(time.Second.Microseconds())))
		assert.True(t, s.overdue(s.Soft))
		assert.True(t, s.Stale(s.Soft))
		assert.True(t, s.usable(s.Hard-1))
		assert.False(t, s.usable(s.Hard))
		assert.True(t, s.overdue(loaded.Add(-2*clock.Slack)), "the clock was put back")
	}
	var none *Set
	assert.False(t, none.usable(0))
	fixed := Times{Soft: time.Second}.set(nil, "file", 0, 0)
	assert.False(t, fixed.Stale(clock.Never-1))
	assert.False(t, fixed.Stale(clock.None/2))
	assert.True(t, fixed.usable(clock.Never-1))

	assert.False(t, clock.None.Ahead(0, time.Hour))
	assert.False(t, clock.Instant(5).Ahead(5, time.Hour))
	assert.True(t, clock.Instant(5).Ahead(4, time.Hour))
	assert.False(t, clock.Of(time.Unix(7200, 0)).Ahead(0, time.Hour))
}

// A request that saw the keys overdue, and then took its time, does not ask at
// once again what just failed.
func TestNoRefreshRightAfterFailure(t *testing.T) {
	now := clock.Of(time.Unix(1<<30, 0))
	times := Times{Soft: time.Minute, Hard: time.Hour, Timeout: time.Minute, MaxBackoff: time.Minute}
	k := New(Settings{Origin: File("/missing"), Times: times, Now: now.Time, Log: slog.New(slog.DiscardHandler)})
	defer k.Close()
	set := times.set(&jose.KeySet{}, "remote", now.Add(-2*time.Minute), 0)
	k.install(set)
	first := k.ask(set, now)
	require.NotNil(t, first)
	<-first.done
	assert.Nil(t, k.ask(set, now))
	assert.True(t, k.resting(now))
	assert.NotNil(t, k.ask(set, now.Add(time.Second)))
}
