package main

// What some platforms lack.

import (
	"fmt"
	"runtime"
)

// needsNetwork refuses a command where Go has no sockets: in a browser, in
// Node.js, and in a WASI preview 1 runtime. Without this the error would be that
// of some call deep inside.
func needsNetwork(command string) error { return networkOn(runtime.GOOS, command) }

func networkOn(goos, command string) error {
	if goos == "js" || goos == "wasip1" {
		return fmt.Errorf("%s needs a network, which Go does not have on %s; verify, explain and inspect with --jwks work here", command, goos)
	}
	return nil
}
