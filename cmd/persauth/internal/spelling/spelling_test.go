package spelling

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"issuer", "audience", "tenant", "jwks"}
	for got, want := range map[string]string{"isuer": "issuer", "ISSUER": "issuer", "jwsk": "jwks", "audiance": "audience", "frobnicate": "", "": "", "x": "",
		"a very long word that is nothing like any of those, and longer than what is looked at": ""} {
		if meant := Nearest(got, known); meant != want {
			t.Errorf("%q: want %q, got %q", got, want, meant)
		}
	}
}
