package main

// Servers as processes, and what the system counts for them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errMissing is for a program that is not on this machine.
var errMissing = errors.New("the program is not installed")

// server is one that runs.
type server struct {
	peer peer
	addr string
	cmd  *exec.Cmd
	stop func()
}

// start runs a server, and makes sure that it accepts the tokens, and not others.
func start(ctx context.Context, p peer, s settings, folder string, w *world) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd, err := p.command(ctx, launchArgs{addr: addr, folder: folder, persauth: s.persauth, world: w})
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &server{peer: p, addr: addr, cmd: cmd, stop: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}}
	status := 0
	for range 200 {
		if status, err = ask(addr, request(p.path, w.tokens[0])); err == nil && status/100 == 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err == nil && status/100 == 2 && !p.bare {
		if status, err = ask(addr, request(p.path, w.bad)); err == nil && status/100 == 4 {
			return r, nil
		}
		err = errors.Join(err, errors.New("it accepts a forged token"))
	}
	if err == nil && status/100 == 2 {
		return r, nil
	}
	r.stop()
	return nil, fmt.Errorf("it answers %d, %w: %s", status, cmpErr(err), said.String())
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("and not as it should")
	}
	return err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tick is the unit of times in /proc: 100 a second wherever Linux runs Go.
const tick = 10 * time.Millisecond

// cpuTime is what a process and its children have taken so far.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in brackets, with whatever in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has another form")
	}
	var total time.Duration
	for _, field := range fields[11:13] { // utime, stime
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * tick
	}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that ended
		}
		for _, child := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				return 0, err
			}
			took, err := cpuTime(pid)
			if err != nil {
				return 0, err
			}
			total += took
		}
	}
	return total, nil
}

// peakMemory is the most that a process had in memory so far, in bytes.
func peakMemory(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			return kib << 10
		}
	}
	return 0
}
