package persauthlambda_test

import (
	"testing"

	"github.com/persauth/persauth/internal/pages"
)

func TestPage(t *testing.T) {
	pages.CheckCode(t, "../docs/lambda.md", "example/main.go", "example_test.go")
}
