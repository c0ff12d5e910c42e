package clock

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The wall clock is looked at once a millisecond, however it jumps meanwhile.
func TestClockFollowsTheWall(t *testing.T) {
	wall, elapsed, looks := time.Unix(1_800_000_000, 0), 5*time.Minute, 0
	c := &Clock{
		Wall:    func() time.Time { looks++; return wall },
		Elapsed: func() time.Duration { return elapsed },
	}
	after := func(d time.Duration) Instant {
		elapsed, wall = elapsed+d, wall.Add(d)
		return c.Instant()
	}
	for range 10 {
		assert.Equal(t, Of(wall)+100, after(100*time.Microsecond))
	}
	assert.Equal(t, 1, looks)
	after(100 * time.Microsecond)
	assert.Equal(t, 2, looks)

	for _, jump := range []time.Duration{365 * 24 * time.Hour, -time.Hour, time.Microsecond} {
		before := Of(wall)
		wall = wall.Add(jump) // the machine slept, or its clock was set
		assert.Equal(t, before+999, after(999*time.Microsecond))
		assert.Equal(t, Of(wall)+1, after(time.Microsecond))
	}
	assert.Equal(t, 5, looks)
	elapsed = 0 // another bubble of testing/synctest
	assert.Equal(t, Of(wall), c.Instant())
}

// The first reading is right, and so is every other, whoever else reads.
func TestClockOfTheSystem(t *testing.T) {
	c := New(nil)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20_000 {
				before := Of(time.Now())
				now := c.Instant()
				after := Of(time.Now())
				// The system's clock may be set while this runs, by little.
				if slack := Instant(100_000); now < before-slack || now > after+slack {
					t.Errorf("it is %v between %v and %v", now, before, after)
					return
				}
			}
		})
	}
	readers.Wait()
}
