package persauth_test

import (
	"os"
	"strings"
	"testing"

	"github.com/persauth/persauth/internal/pages"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every relative link of every page leads somewhere, to the heading that it names.
func TestLinksOfPages(t *testing.T) { pages.CheckLinks(t, ".") }

// Every block of Go code on a page stands in a file that is compiled.
func TestCodeOfPages(t *testing.T) { pages.CheckAllCode(t, ".") }

// Every function that docs/internals.md names stands in the file that it links to.
func TestNamesOfPages(t *testing.T) { pages.CheckNames(t, "docs/internals.md") }

// The README is what a newcomer reads: it stays short, and leads to every other page.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.LessOrEqual(t, len(strings.Fields(string(text))), 1000, "words")
}
