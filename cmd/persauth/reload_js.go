package main

import "os"

// reloadSignals is empty: js has no such signal.
var reloadSignals []os.Signal
