//go:build !unix

package sidecar

// maxOpenConns is how many connections the system lets the process have open.
func maxOpenConns() int { return 1 << 30 }
