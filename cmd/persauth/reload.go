//go:build !js

package main

import (
	"os"
	"syscall"
)

// reloadSignals make serve read its configuration again.
var reloadSignals = []os.Signal{syscall.SIGHUP}
