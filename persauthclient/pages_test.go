package persauthclient_test

import (
	"testing"

	"github.com/persauth/persauth/internal/pages"
)

func TestPage(t *testing.T) { pages.CheckCode(t, "../docs/client.md", "example_test.go") }
