package persauthconnect_test

import (
	"testing"

	"github.com/persauth/persauth/internal/pages"
)

func TestPage(t *testing.T) { pages.CheckCode(t, "../docs/connect.md", "example_test.go") }
