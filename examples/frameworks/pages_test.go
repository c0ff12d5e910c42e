package frameworks_test

import (
	"testing"

	"github.com/persauth/persauth/internal/pages"
)

func TestPage(t *testing.T) {
	pages.CheckCode(t, "../../docs/frameworks.md", "chishop/chi.go", "ginshop/gin.go", "echoshop/echo.go", "fibershop/fiber.go", "live/live.go")
}
