// Package serve is what the programs beside it share: they are services that
// inherit the socket they listen on, as from a service manager.
package serve

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// Forever answers requests whose bearer token check takes with 204, and others with
// 401. It never returns.
func Forever(check func(token string) error) {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		Fail(err)
	}
	Fail(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})))
}

// Fail ends the program.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
