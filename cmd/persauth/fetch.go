package main

// persauth jwks fetch: a copy of the key set that PERS has.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/persauth/persauth"
	"github.com/spf13/cobra"
)

func (sh *shell) fetchCommand() *cobra.Command {
	var projectKey, baseURL, out text
	cmd := &cobra.Command{
		Use:   "fetch [flags]",
		Short: "Write the key set that PERS has now",
		Long: `Fetches the key set of PERS, and writes the keys that can be used. The result is
a JWK Set: to be embedded in a program, for --jwks, or as the snapshot that a
service starts with. Its member "persauth" says when it was fetched; other readers
of JWK Sets ignore it, and a service that has both these keys and a project key
takes note when they are too old. A file is replaced as a whole, or not at all.

The better place for the project key is the variable PERS_PROJECT_KEY: other
users of the machine can see arguments.

Exit status: 0, 2 wrong usage or configuration, 3 PERS cannot be reached.`,
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().Var(&projectKey, "project-key", "use project key `KEY` (better: PERS_PROJECT_KEY)")
	cmd.Flags().Var(&baseURL, "base-url", "the PERS API is at `URL` (or PERS_BASE_URL; default https://api.pers.ninja/v2)")
	cmd.Flags().Var(&out, "out", "write to `FILE`, not to standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needsNetwork(cmd.CommandPath()); err != nil {
			return err
		}
		key, base := sh.account(projectKey, baseURL)
		if key == "" {
			return errors.New("a project key is needed, in " + envProjectKey)
		}
		return sh.fetch(cmd, persauth.Config{ProjectKey: key, BaseURL: base}, string(out))
	}
	return cmd
}

// noArgument takes none. The error does not repeat it: it may be a project key.
func noArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("want no argument\nsee: %s --help", cmd.CommandPath())
	}
	return nil
}

// fetch lets a verifier write its snapshot to a folder of its own, so that what
// is there already can neither be taken for an answer nor be lost.
func (sh *shell) fetch(cmd *cobra.Command, cfg persauth.Config, out string) error {
	beside := ""
	if out != "" {
		var err error
		if out, err = replaceable(out); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		beside = filepath.Dir(out)
	}
	dir, err := os.MkdirTemp(beside, ".persauth-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg.Snapshot = filepath.Join(dir, "jwks.json")
	cfg.Logger = slog.New(slog.DiscardHandler) // the error says what is wrong
	v, err := persauth.New(cfg)
	if err != nil {
		return err
	}
	err = v.Warm(cmd.Context())
	v.Close() // and waits until the snapshot is written
	if err != nil {
		fmt.Fprintf(sh.err, "persauth: %s\n", printable(strings.Join(reasons(err), "; ")))
		return answer{err: err}.status()
	}
	keys := v.Status().Keys
	if keys.SnapshotError != "" {
		return errors.New(keys.SnapshotError)
	}
	for _, k := range keys.Skipped {
		fmt.Fprintf(sh.err, "persauth: key %d, kid %s, is left out: %s\n", k.Position, orNone(k.KeyID), printable(k.Problem))
	}
	if out == "" {
		body, err := os.ReadFile(cfg.Snapshot)
		if err != nil {
			return err
		}
		fmt.Fprint(sh.err, keyTable(keys.Keys))
		_, err = sh.out.Write(body)
		return err
	}
	if err := os.Rename(cfg.Snapshot, out); err != nil {
		return err
	}
	fmt.Fprint(sh.out, keyTable(keys.Keys))
	fmt.Fprintf(sh.out, "written to %s\n", out)
	return nil
}

// replaceable returns the path of the file that writing to path would change,
// and refuses what is there and is no file: it would be lost.
func replaceable(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
