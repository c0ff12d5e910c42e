package main

// persauth verify --ndjson: a pipeline of one reader, a worker for each core, and
// one writer. A fixed number of batches goes round in it, so memory does not
// grow with the input.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
)

// maxBatch bounds the lines of a batch. Its bytes are bounded by readSize.
const maxBatch = 256

// batch is some lines that came together, and their answers.
type batch struct {
	lines  []line
	out    []byte
	status exitStatus
	bad    int           // answers that are not "valid"
	ready  chan struct{} // gets a value when out is complete
}

// verify fills in the answers.
func (b *batch) verify(ctx context.Context, c checker) {
	b.out, b.status, b.bad = b.out[:0], exitValid, 0
	for _, l := range b.lines {
		if strings.HasSuffix(l.token, "\r") {
			l.refused = &persauth.Error{Check: "form", Want: "a token, and a line feed at once",
				Got: "a carriage return between them: a file from Windows, perhaps", Err: persauth.ErrMalformed}
		}
		l, members := l.object()
		a := c.check(ctx, l)
		if a.status() != exitValid {
			b.bad++
		}
		b.status = b.status.and(a.status())
		start := len(b.out)
		b.out = a.appendJSON(b.out, nil)
		if len(members) > 0 {
			b.out = slices.Insert(b.out, start+1, append(members, ',')...)
		}
		b.out = append(b.out, '\n')
	}
	b.ready <- struct{}{}
}

// pipeline is what the batches go round in.
type pipeline struct {
	free    chan *batch
	work    chan *batch // to the first worker that is free
	ordered chan *batch // to the writer, in order
}

func newPipeline(workers int) *pipeline {
	n := 4 * workers
	p := &pipeline{free: make(chan *batch, n), work: make(chan *batch, n), ordered: make(chan *batch, n)}
	for range n {
		p.free <- &batch{ready: make(chan struct{}, 1)}
	}
	return p
}

// stream verifies each line of standard input.
func (sh *shell) stream(ctx context.Context, c checker, watch bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	p := newPipeline(workers)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for b := range p.work {
				b.verify(ctx, c)
			}
		})
	}
	var readErr error
	in := newLines(ctx, sh.in)
	running.Go(func() { readErr = p.read(ctx, in) })

	var done progress
	if watch && sh.watched {
		defer done.show(sh.err)()
	}
	status := exitStatus(exitValid)
	for b := range p.ordered {
		<-b.ready
		// Once the input is cut short, what was verified last may say so.
		if ctx.Err() == nil {
			status = status.and(b.status)
			if _, err := sh.out.Write(b.out); err != nil {
				cancel() // no reader is left for the answers
			}
			done.tokens.Add(int64(len(b.lines)))
			done.bad.Add(int64(b.bad))
		}
		p.free <- b
	}
	running.Wait()
	if readErr != nil {
		return fmt.Errorf("standard input cannot be read: %w", readErr)
	}
	if in.number == 0 {
		return errNoInput
	}
	return status.asError()
}

// read fills batches until the input ends. A batch goes on its way when it is
// full, or when there is no more input to be had without waiting.
func (p *pipeline) read(ctx context.Context, in *lines) error {
	defer close(p.work)
	defer close(p.ordered)
	for {
		b := <-p.free
		b.lines = b.lines[:0]
		var err error
		for more := true; more && err == nil; more = len(b.lines) < maxBatch && in.ready() {
			var l line
			if l, err = in.next(); err == nil {
				b.lines = append(b.lines, l)
			}
		}
		if len(b.lines) > 0 {
			p.work <- b
			p.ordered <- b
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// progress counts tokens for a person who waits.
type progress struct{ tokens, bad atomic.Int64 }

// show writes the count, the speed and the share of bad ones to w, again and
// again, until the function that it returns is called.
func (p *progress) show(w io.Writer) (end func()) {
	start := time.Now()
	write := func(end string) {
		took := time.Since(start)
		n, bad := p.tokens.Load(), p.bad.Load()
		// The spaces cover what a longer line left.
		fmt.Fprintf(w, "\r%d tokens in %v, %.0f/s, %.1f %% not valid    %s", n, took.Round(time.Second), float64(n)/max(took.Seconds(), 1e-3),
			100*float64(bad)/float64(max(n, 1)), end)
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				write("")
			case <-stop:
				write("\n")
				return
			}
		}
	})
	return func() {
		close(stop)
		running.Wait()
	}
}
