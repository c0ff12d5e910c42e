package dpop

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With the system's clocks ids are kept by the one that nobody sets: used proofs
// stay used, and new ones are not refused, when the wall clock goes away and comes
// back.
func TestReplaysFollowTheSystem(t *testing.T) {
	const window, perSecond = 2 * time.Minute, 4
	wall, elapsed := time.Unix(1_900_000_000, 0), 5*time.Minute
	m := NewMemory(perSecond*150, window, &clock.Clock{
		Wall:    func() time.Time { return wall },
		Elapsed: func() time.Duration { return elapsed },
	})
	pass := func(d time.Duration) { wall, elapsed = wall.Add(d), elapsed+d }
	serial := 0
	use := func() Claimed {
		serial++
		p := Claimed{ID: sha256.Sum256([]byte{byte(serial >> 8), byte(serial)}), Subject: [32]byte{byte(serial)}, Until: wall.Add(90 * time.Second)}
		first, err := m.Claim(t.Context(), p)
		require.NoError(t, err)
		require.True(t, first)
		return p
	}
	again := func(p Claimed) (first bool, err error) { return m.Claim(t.Context(), p) }

	for _, step := range []time.Duration{24 * time.Hour, -24 * time.Hour, 24 * time.Hour, 365 * 24 * time.Hour, -time.Hour} {
		before := use()
		wall = wall.Add(step)
		during := use()
		pass(time.Second)
		wall = wall.Add(-step)
		for _, p := range []Claimed{before, during} {
			first, err := again(p)
			require.NoError(t, err, "it is remembered")
			require.False(t, first)
		}
	}
	for range 600 { // far more than fits at once
		for range perSecond {
			use()
		}
		pass(time.Second)
	}
	assert.Len(t, m.gone, 5, "of the present, and of each other time")

	// Two minutes after its use an id is gone; by a clock that is set back, its
	// proof would be good again.
	old := use()
	pass(2 * time.Minute)
	use()
	wall = wall.Add(-90 * time.Second)
	_, err := again(old)
	require.ErrorIs(t, err, errReplaysLost)
	pass(20 * time.Second)
	use()
}

// However spans come, each that was added is in, and few ranges hold them.
func TestSpanRanges(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var ranges spanRanges
		var added []clock.Instant
		at := clock.Instant(r.IntN(1000))
		for range 100 {
			if r.IntN(10) == 0 {
				at = clock.Instant(r.IntN(2000) - 500) // the clock is set
			}
			at += clock.Instant(r.IntN(3))
			ranges.add(at)
			added = append(added, at)
			require.LessOrEqual(t, len(ranges), maxSpanRanges)
		}
		for _, n := range added {
			require.True(t, ranges.has(n))
		}
		for i, one := range ranges {
			require.LessOrEqual(t, one.from, one.to)
			require.True(t, i == 0 || ranges[i-1].to+1 < one.from, "in order, and apart")
		}
		require.False(t, ranges.has(slices.Min(added)-1) || ranges.has(slices.Max(added)+1))
	}
	var far spanRanges
	for i := range clock.Instant(5) {
		far.add(i)
		far.add(1_000_000 + i)
	}
	assert.Equal(t, spanRanges{{0, 4}, {1_000_000, 1_000_004}}, far)
}
