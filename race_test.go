//go:build race

package persauth_test

// These are smaller where everything takes ten times as long.
const (
	floodSize   = 20_000 // strangers' tokens that cost PERS nothing
	floodTokens = 20_000 // those about which it is asked
)
