package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failing is a test that notes what it is failed for.
type failing struct {
	testing.TB
	errors []string
}

func (f *failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	return root
}

func TestLinks(t *testing.T) {
	for name, c := range map[string]struct {
		readme string
		broken int
	}{
		"a page":                          {"[a](docs/a.md)", 0},
		"a heading":                       {"[a](docs/a.md#the-first-one)", 0},
		"a heading with signs":            {"[a](docs/a.md#aws-lambda-persauthlambda)", 0},
		"the second of the same name":     {"[a](docs/a.md#the-first-one-1)", 0},
		"a heading of its own":            {"# Here\n[a](#here)", 0},
		"a folder":                        {"[a](docs)", 0},
		"another site":                    {"[a](https://example.com/nothing)", 0},
		"code":                            {"`[a](nothing)`\n```go\nx[i](nothing)\n```\n", 0},
		"no such page":                    {"[a](docs/b.md)", 1},
		"no such heading":                 {"[a](docs/a.md#third)", 1},
		"a heading in code is none":       {"[a](docs/a.md#not-a-heading)", 1},
		"out of the repository":           {"[a](../other)", 1},
		"no such picture":                 {`<source srcset="docs/a.png"><img src="docs/a.md">`, 1},
		"two on a line, one of them good": {"[a](docs/a.md) and [b](docs/b.md)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			root := folder(t, map[string]string{
				"README.md":     c.readme + "\n[good](docs/a.md)\n",
				"docs/a.md":     "# The first one\n## The first one\n## AWS Lambda: `persauthlambda`\n```sh\n# Not a heading\n```\n",
				".git/x.md":     "[a](nothing)",
				"testdata/x.md": "[a](nothing)",
			})
			f := &failing{TB: t}
			CheckLinks(f, root)
			assert.Len(t, f.errors, c.broken, "%v", f.errors)
		})
	}
}

func TestNames(t *testing.T) {
	root := folder(t, map[string]string{
		"docs/a.md": "[`a.go`](../a.go) `known`, [`a.go`](../a.go) `Method`, [`a.go`](../a.go) `gone`, [`a.go`](../a.go) and `whatever`",
		"a.go":      "package a\n// gone\nfunc known() {}\nfunc (t *T) Method() {}\n",
	})
	f := &failing{TB: t}
	CheckNames(f, filepath.Join(root, "docs/a.md"))
	assert.Len(t, f.errors, 1, "%v", f.errors)
}

func TestAllCode(t *testing.T) {
	page := "```go\nif x {\n    y()\n}\n```\n"
	for name, c := range map[string]struct {
		source string
		wrong  int
	}{
		"compiled":                   {"package a\nfunc f() {\n\tif x {\n\n\t\ty()\n\t}\n}\n", 0},
		"another line between":       {"package a\nfunc f() {\n\tif x {\n\t\tz()\n\t\ty()\n\t}\n}\n", 1},
		"in a comment":               {"package a\n// if x {\n// y()\n// }\n", 1},
		"in a file that is left out": {"//go:build ignore\n\npackage a\nfunc f() {\n\tif x {\n\t\ty()\n\t}\n}\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{TB: t}
			CheckAllCode(f, folder(t, map[string]string{"docs/a.md": page, "a.go": c.source}))
			assert.Len(t, f.errors, c.wrong, "%v", f.errors)
		})
	}
}
