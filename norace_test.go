//go:build !race

package persauth_test

const (
	floodSize   = 100_000 // strangers' tokens that cost PERS nothing
	floodTokens = 200_000 // those about which it is asked
)
