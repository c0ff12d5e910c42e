package fleet_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/stretchr/testify/require"
)

func TestPrintedSettingsShowNoSecret(t *testing.T) {
	o := fleet.Options{URL: "rediss://user:open-sesame@127.0.0.1:1", Secret: secret, OldSecret: []byte("oooooooooooooooooooooooooooooooo"), NameSecret: []byte("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"), Name: "acme"}
	s, err := fleet.Open(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for _, value := range []any{o, &o, s, persauth.Config{Fleet: s}} {
		texts := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
		if out, err := json.Marshal(value); err == nil {
			texts = append(texts, string(out))
		}
		for _, text := range texts {
			for _, hidden := range []string{"open-sesame", string(secret), "oooooooo", "nnnnnnnn", "73737373", "115 115 115", "6f6f6f6f", "6e6e6e6e", "c3NzcHN"} {
				require.NotContains(t, text, hidden)
			}
		}
	}
	require.Contains(t, fmt.Sprint(o), "acme")
}
