// Command bench measures what it costs to verify a token with persauth and with
// the other Go libraries that a service might take, with the same checks on the
// same tokens, and writes tables (Markdown, JSON) and charts (SVG).
//
// All times are told beside a reference that is measured in the same process,
// round by round, and what counts is the median of the ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	short := flag.Bool("short", false, "a quick look with few rounds: do not quote its figures")
	out := flag.String("out", "bench/out", "the folder for the tables and charts, from where you are")
	only := flag.String("only", "", "the parts to run, with commas between: "+strings.Join(partNames(), ","))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the part that runs is waited for; who does not want that asks twice
	if err := run(ctx, *short, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// effort is how much is done.
type effort struct {
	freshRounds, refusedRounds, startRounds int
	// freshBatch is how many tokens that were never seen are verified between two
	// looks at the clock: so many that garbage is collected meanwhile.
	freshBatch int
	live       []live
	tokens     int // for memory and pauses
}

// live is how many tokens are remembered at a time, and how often look-ups among
// them are timed.
type live struct{ tokens, rounds int }

var (
	full = effort{freshRounds: 20, freshBatch: 2048, refusedRounds: 15, startRounds: 300,
		live: []live{{100, 240}, {10_000, 240}, {1_000_000, 60}}, tokens: 100_000}
	quick = effort{freshRounds: 3, freshBatch: 256, refusedRounds: 2, startRounds: 2,
		live: []live{{100, 3}, {2_000, 3}}, tokens: 3_000}
)

// part is a part of the report.
type part struct {
	name, about string
	run         func(ctx context.Context, e effort, r *report) error
}

var parts = []part{
	{"fresh", "tokens that were never seen", func(ctx context.Context, e effort, r *report) error {
		for _, algorithm := range algorithms {
			progress("  %s", algorithm)
			results, err := fresh(ctx, algorithm, e.freshRounds, e.freshBatch)
			if err != nil {
				return err
			}
			r.Fresh = append(r.Fresh, results...)
		}
		return nil
	}},
	{"seen", "tokens that were seen before", func(ctx context.Context, e effort, r *report) error {
		for _, l := range e.live {
			progress("  %d live tokens", l.tokens)
			result, together, err := seen(ctx, l.tokens, l.rounds)
			if err != nil {
				return err
			}
			r.Seen, r.Scaling = append(r.Seen, result), append(r.Scaling, together)
			runtime.GC()
		}
		return nil
	}},
	{"refused", "tokens that are refused", func(ctx context.Context, e effort, r *report) (err error) {
		r.Refused, err = refused(ctx, e.refusedRounds)
		return err
	}},
	{"memory", "memory for each remembered token", func(ctx context.Context, e effort, r *report) (err error) {
		r.Memory, err = memory(ctx, e.tokens)
		return err
	}},
	{"pause", "the longest waits while tokens come and go", func(ctx context.Context, e effort, r *report) (err error) {
		r.Pause, err = pause(ctx, e.tokens)
		return err
	}},
	{"start", "from the start of a service to its first verified token", func(ctx context.Context, e effort, r *report) (err error) {
		r.Start, err = start(ctx, e.startRounds)
		return err
	}},
}

func partNames() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return names
}

func run(ctx context.Context, short bool, only, out string) error {
	e := full
	if short {
		e = quick
	}
	wanted := partNames()
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	r := newReport(short)
	var failed error
	for _, p := range parts {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		if failed = ctx.Err(); failed != nil {
			break
		}
		progress("%s: %s", p.name, p.about)
		begin := time.Now()
		if failed = p.run(ctx, e, r); failed != nil {
			failed = fmt.Errorf("%s: %w", p.name, failed)
			break
		}
		progress("  %.0f s", time.Since(begin).Seconds())
	}
	// What was measured is kept, whatever came after it.
	files, err := r.write(out)
	fmt.Print(r.markdown())
	progress("written: %s", strings.Join(files, ", "))
	return errors.Join(failed, err)
}

// progress tells people what is going on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
