package persauth

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Times at the ends of what can be said neither wrap around nor come alive.
func TestKeySetTimes(t *testing.T) {
	times := keyTimes{soft: time.Minute, hard: time.Hour}
	for _, loaded := range []instant{instantOf(time.Unix(0, 0)), instantOf(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))} {
		s := times.set(nil, "remote", loaded, 0)
		assert.False(t, s.overdue(loaded))
		assert.False(t, s.overdue(loaded-instant(time.Second.Microseconds())))
		assert.True(t, s.overdue(s.soft))
		assert.True(t, s.stale(s.soft))
		assert.True(t, s.usable(s.hard-1))
		assert.False(t, s.usable(s.hard))
		assert.True(t, s.overdue(loaded.add(-2*clockSlack)), "the clock was put back")
	}
	var none *keySet
	assert.False(t, none.usable(0))
	fixed := keyTimes{soft: time.Second}.set(nil, "file", 0, 0)
	assert.False(t, fixed.stale(never-1))
	assert.False(t, fixed.stale(noInstant/2))
	assert.True(t, fixed.usable(never-1))

	assert.False(t, noInstant.ahead(0, time.Hour))
	assert.False(t, instant(5).ahead(5, time.Hour))
	assert.True(t, instant(5).ahead(4, time.Hour))
	assert.False(t, instantOf(time.Unix(7200, 0)).ahead(0, time.Hour))
}

// A request that saw the keys overdue, and then took its time, does not ask at
// once again what just failed.
func TestNoRefreshRightAfterFailure(t *testing.T) {
	now := instantOf(time.Unix(1<<30, 0))
	times := keyTimes{soft: time.Minute, hard: time.Hour, timeout: time.Minute, maxBackoff: time.Minute}
	k := newKeyring(fileOrigin("/missing"), times, now.time, slog.New(slog.DiscardHandler))
	defer k.close()
	set := times.set(&keyIndex{}, "remote", now.add(-2*time.Minute), 0)
	k.install(set)
	first := k.ask(set, now)
	require.NotNil(t, first)
	<-first.done
	assert.Nil(t, k.ask(set, now))
	assert.True(t, k.resting(now))
	assert.NotNil(t, k.ask(set, now.add(time.Second)))
}
