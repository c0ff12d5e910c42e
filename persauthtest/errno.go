//go:build !plan9

package persauthtest

import "syscall"

// What the network says of a connection that nobody takes, and of one that breaks.
const errRefused, errReset = syscall.ECONNREFUSED, syscall.ECONNRESET
