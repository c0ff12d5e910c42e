package fleet_test

// The models in models/ are explored exhaustively, and each mutant that a model
// names must be found: a check that cannot fail proves nothing.

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModels(t *testing.T) {
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(tool + " is not installed")
			}
			t.Skip(tool + " is not installed")
		}
	}
	models, err := filepath.Glob("models/*.pml")
	require.NoError(t, err)
	require.Len(t, models, 3)
	for _, model := range models {
		source, err := os.ReadFile(model)
		require.NoError(t, err)
		absolute, err := filepath.Abs(model)
		require.NoError(t, err)
		mutants := regexp.MustCompile(`(?m)^     -D([A-Z]+)`).FindAllStringSubmatch(string(source), -1)
		require.GreaterOrEqual(t, len(mutants), 3)
		t.Run(filepath.Base(model), func(t *testing.T) {
			out := explore(t, absolute)
			require.Contains(t, out, "errors: 0")
			require.NotContains(t, out, "max search depth too small")
			require.NotContains(t, out, "Search not completed")
			for _, m := range mutants {
				t.Run(m[1], func(t *testing.T) {
					require.Contains(t, explore(t, absolute, "-D"+m[1]), "assertion violated")
				})
			}
		})
	}
}

// explore returns what spin says of a model.
func explore(t *testing.T, model string, defines ...string) string {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run("spin", append(defines, "-a", model)...)
	run("gcc", "-O1", "-w", "-DSAFETY", "-DMEMLIM=2048", "-o", "pan", "pan.c")
	out := run("./pan", "-m1000000")
	require.True(t, strings.Contains(out, "Full statespace search"), out)
	return out
}
