package persauthtest

import "syscall"

// Plan 9 has no error numbers: its errors are texts.
const errRefused, errReset = syscall.ErrorString("connection refused"), syscall.ErrorString("connection reset")
