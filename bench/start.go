package main

// How long a service takes from its start to its first verified token: what a
// serverless function makes its first caller wait.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// startResult is how long it takes from the start of a service to its first
// answer. The ratio is to the same service on golang-jwt + keyfunc.
type startResult struct {
	outcome
	BinarySize int64 `json:"binarySize"` // in bytes
}

const startPackages = "github.com/persauth/persauth/bench/start/"

// starts are the services, the reference first; "empty" takes any token.
var starts = []string{"keyfunc", "persauth", "empty"}

// start builds the services and starts each of them rounds times.
func start(ctx context.Context, rounds int) ([]startResult, error) {
	w, err := newWorld("RS256")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "persauth-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	good := w.token(0, nil)
	bad := forged(good, w.token(1, nil))
	var lanes []lane
	var sizes []int64
	for _, name := range starts {
		program := filepath.Join(dir, name)
		build := exec.CommandContext(ctx, "go", "build", "-o", program, startPackages+name)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", build, err, out)
		}
		about, err := os.Stat(program)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, about.Size())
		if _, status, err := firstAnswer(ctx, program, bad); err != nil || name != "empty" && status != http.StatusUnauthorized {
			return nil, fmt.Errorf("%s answers a forged token with %d, %w", name, status, err)
		}
		lanes = append(lanes, lane{name, func(int, int) time.Duration {
			took, status, err := firstAnswer(ctx, program, good)
			if err != nil || status != http.StatusNoContent {
				panic(fmt.Sprintf("%s answers a good token with %d, %v", name, status, err))
			}
			return took
		}})
	}
	var results []startResult
	for i, o := range race(rounds, 1, lanes[0], lanes...) {
		results = append(results, startResult{o, sizes[i]})
	}
	return results, nil
}

// firstAnswer starts a service, and returns how long it took to answer a request
// that waited for it.
func firstAnswer(ctx context.Context, program, token string) (took time.Duration, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // one that ended before it answered
	defer cancel()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		return 0, 0, err
	}
	defer socket.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Close = true
	service := exec.CommandContext(ctx, program)
	service.ExtraFiles, service.Stderr = []*os.File{socket}, os.Stderr
	begin := time.Now()
	if err := service.Start(); err != nil {
		return 0, 0, err
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	took = time.Since(begin)
	_ = service.Process.Kill()
	_ = service.Wait() // it was killed
	if err != nil {
		return 0, 0, err
	}
	return took, answer.StatusCode, answer.Body.Close()
}
