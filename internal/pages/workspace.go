package pages

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// CheckAllCode fails the test for each block of Go code, on any page below root, whose
// lines do not stand one after the other in a Go file that is compiled.
func CheckAllCode(t testing.TB, root string) {
	t.Helper()
	sources := make(map[string]string)
	for _, name := range find(t, root, ".go") {
		if content := read(t, name); !strings.Contains(content, "//go:build ignore") {
			sources[name] = trimmed(content)
		}
	}
	shown := 0
	for _, page := range Find(t, root) {
		for _, block := range goBlock.FindAllStringSubmatch(read(t, page), -1) {
			shown++
			want := trimmed(block[1])
			if !slices.ContainsFunc(values(sources), func(source string) bool { return strings.Contains(source, want) }) {
				t.Errorf("%s shows code that is in no Go file:\n%s", page, block[1])
			}
		}
	}
	if shown == 0 {
		t.Errorf("no page below %s shows code", root)
	}
}

// Find returns the pages below root: all Markdown files of the project.
func Find(t testing.TB, root string) []string {
	t.Helper()
	return find(t, root, ".md")
}

// find returns the files of the project with a suffix, without those of tools and of
// other projects.
func find(t testing.TB, root, suffix string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			if strings.HasSuffix(name, suffix) {
				names = append(names, name)
			}
		case name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "testdata"):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func values(m map[string]string) []string {
	all := make([]string, 0, len(m))
	for _, value := range m {
		all = append(all, value)
	}
	return all
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
