//go:build js && wasm

// Command wasm is the library in a browser: it gives the inspector page one
// function, persauthExplain(request, done), and waits to be called. Request and
// answer are JSON texts.
package main

import (
	"syscall/js"

	"github.com/persauth/persauth/cmd/persauth/inspector/report"
)

func main() {
	js.Global().Set("persauthExplain", js.FuncOf(func(_ js.Value, args []js.Value) any {
		request, done := args[0].String(), args[1]
		// A function called from JavaScript must not block the event loop.
		go func() { done.Invoke(report.JSON(request)) }()
		return nil
	}))
	select {}
}
