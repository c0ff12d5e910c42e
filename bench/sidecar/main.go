// Command sidecar measures what a decision costs at a proxy's side: the CPU time
// that the server process takes for a request, of persauth serve and of other
// programs that verify the same tokens. All of them run on this machine, one after
// the other in each round, beside a server that only answers.
//
// CPU time is what the system counted for the process, so that the client's own
// work and that of neighbours on the machine count little. What is told is the
// median of the ratios to the bare server in the same round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	s := settings{}
	flag.IntVar(&s.rounds, "rounds", 9, "how often each server is measured")
	flag.DurationVar(&s.each, "each", 3*time.Second, "how long, each time")
	flag.IntVar(&s.conns, "connections", 32, "how many connections ask at a time")
	flag.IntVar(&s.tokens, "tokens", 40_000, "how many tokens take turns where none is remembered")
	flag.StringVar(&s.persauth, "persauth", "", "the command persauth to measure; by default it is built")
	flag.StringVar(&s.out, "out", "bench/out", "the folder for the table and the charts, from where you are")
	flag.StringVar(&s.without, "without", "", "names, or parts of names, of servers to leave out, with commas between")
	short := flag.Bool("short", false, "a quick look with few rounds: do not quote its figures")
	serve := flag.String("serve", "", "for this command itself: be the server of this name")
	addr := flag.String("addr", "", "for this command itself: where to serve")
	jwks := flag.String("jwks", "", "for this command itself: the keys")
	flag.Parse()
	if *short {
		s.rounds, s.each, s.tokens, s.short = 2, 200*time.Millisecond, 2_000, true
	}
	var err error
	if *serve != "" {
		err = serveSelf(*serve, *addr, *jwks) // ends when it is interrupted
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/sidecar:", err)
		os.Exit(1)
	}
}

// settings say how much is measured, and of what.
type settings struct {
	rounds, conns, tokens int
	each                  time.Duration
	persauth, out         string
	without               string
	short                 bool
}

func run(ctx context.Context, s settings) (err error) {
	if runtime.GOOS != "linux" {
		return errors.New("CPU time of other processes is read from /proc, which only Linux has")
	}
	folder, err := os.MkdirTemp("", "persauth-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	w, err := newWorld(s.tokens)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "jwks.json"), w.jwks(), 0o644); err != nil {
		return err
	}
	var running []*server
	defer func() {
		for _, r := range running {
			r.stop()
		}
	}()
	for _, p := range peers {
		if p.leftOut(s.without) {
			continue
		}
		r, err := start(ctx, p, s, folder, w)
		if errors.Is(err, errMissing) {
			progress("%s is left out: %v", p.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		running = append(running, r)
	}
	results, err := measure(ctx, s, w, running)
	if err != nil {
		return err
	}
	return newReport(s, results).write(s.out)
}

// progress tells people what is going on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
