//go:build unix

package sidecar

import "syscall"

// maxOpenConns is how many connections the system lets the process have open, with
// some files left for all else.
func maxOpenConns() int {
	const rest = 64
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > 1<<30 {
		return 1 << 30
	}
	return max(int(limit.Cur)-rest, 8)
}
