package main

// How long callers with a remembered token wait while other tokens come and go.

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/patrickmn/go-cache"

	"github.com/persauth/persauth"
)

// pauseResult says how long calls took at the most. A shared machine stops every
// program now and then, so what a caller waited is told beside what somebody
// waited who only asks for the time, in the same loop.
type pauseResult struct {
	Tokens   int   `json:"tokens"` // that came and went
	Persauth waits `json:"persauth"`
	Machine  waits `json:"machine"`
	// Sweep is the same for callers of a go-cache that holds as many entries and
	// cleans up. Its stretch is one clean-up.
	Sweep waits `json:"sweep"`
}

// waits are the longest calls, in milliseconds.
type waits struct {
	Calls   int     `json:"calls"`
	Usual   float64 `json:"usual"` // the longest of a stretch, in the median of all stretches
	Longest float64 `json:"longest"`
	Over    int     `json:"over"` // how many took longer than a millisecond

	stretch float64
	all     []float64
}

// pauseStretch is how many tokens come in a stretch.
const pauseStretch = 1000

// note adds the time of a call.
func (w *waits) note(took time.Duration) {
	ms := float64(took) / float64(time.Millisecond)
	w.Calls++
	w.stretch = max(w.stretch, ms)
	if took > time.Millisecond {
		w.Over++
	}
}

// next ends a stretch.
func (w *waits) next() {
	w.all = append(w.all, w.stretch)
	w.Longest = max(w.Longest, w.stretch)
	w.Usual, w.stretch = quantile(w.all, 0.5), 0
}

// pause measures while n tokens come and go.
func pause(ctx context.Context, n int) (pauseResult, error) {
	w, err := newWorld("EdDSA")
	if err != nil {
		return pauseResult{}, err
	}
	known, tokens := w.token(n, padded), w.tokens(n, padded)
	v, err := persauth.New(strict(w, n*2/5)) // so that most are forgotten on the way
	if err != nil {
		return pauseResult{}, err
	}
	defer v.Close()
	if _, err := v.Verify(ctx, known); err != nil {
		return pauseResult{}, err
	}
	r := pauseResult{Tokens: n}
	var came atomic.Int64
	done := make(chan error, 1)
	go func() {
		for _, token := range tokens {
			if _, err := v.Verify(ctx, token); err != nil {
				done <- err
				break
			}
			came.Add(1)
		}
		close(done)
	}()
	defer func() {
		for range done { // whatever became of us, until it has ended
		}
	}()
	for stretch := int64(0); stretch < int64(n)/pauseStretch; {
		begin := time.Now()
		if _, err := v.Verify(ctx, known); err != nil {
			return pauseResult{}, err
		}
		r.Persauth.note(time.Since(begin))
		begin = time.Now()
		time.Since(begin)
		r.Machine.note(time.Since(begin))
		if came.Load()/pauseStretch == stretch && len(done) == 0 {
			continue
		}
		stretch++
		r.Persauth.next()
		r.Machine.next()
	}
	r.Sweep = sweep(known, tokens)
	return r, <-done
}

// sweep measures the waits for a go-cache while it cleans up.
func sweep(known string, tokens []string) (w waits) {
	c := cache.New(time.Hour, 0)
	for _, token := range tokens {
		c.SetDefault(token, nil)
	}
	c.SetDefault(known, nil)
	for range 20 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.DeleteExpired()
		}()
		for running := true; running; {
			begin := time.Now()
			if _, ok := c.Get(known); !ok {
				panic("go-cache lost a token")
			}
			w.note(time.Since(begin))
			select {
			case <-done:
				running = false
			default:
			}
		}
		w.next()
	}
	return w
}
