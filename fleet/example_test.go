package fleet_test

import (
	"fmt"
	"strings"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
)

// Neither Open nor New opens a connection.
func Example() {
	secret, key := []byte(strings.Repeat("0123456789abcdef", 4)), "project-key"
	store, err := fleet.Open(fleet.Options{URL: "rediss://cache.example.com:6379", Secret: secret}) // at least 32 bytes, the same everywhere
	if err != nil {
		panic(err)
	}
	defer store.Close()
	v, err := persauth.New(persauth.Config{ProjectKey: key, Fleet: store})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	fmt.Println(v.Status().Fleet != nil)
	// Output: true
}
