// Command release makes a release out of a commit, and says what it does to the
// API. It publishes nothing.
//
//	go run ./deploy/release --version v1.2.3 --out dist           # everything but tags
//	go run ./deploy/release --version v1.2.3 --out dist --tag     # and the tags, to be pushed
//	go run ./deploy/release --api                                 # changes of the API since the last tag
//
// A release has a commit of its own, off the branch: the modules of this
// repository require each other by its version there, nothing is replaced, and
// the inspector page is built. Each module gets a tag. The folder has a module
// proxy of them, the command for each platform, a bill of materials and checksums.
// The same commit, version and Go make the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// allPlatforms are those that the command is built for.
const allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// options say what to release, and how.
type options struct {
	repo, version, out string
	platforms          []string
	tag                bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	var o options
	flag.StringVar(&o.repo, "repo", ".", "the repository is in `DIR`")
	flag.StringVar(&o.version, "version", "", "release `VERSION`, as in v1.2.3")
	flag.StringVar(&o.out, "out", "dist", "write to the folder `DIR`, which must not exist")
	flag.BoolVar(&o.tag, "tag", false, "make the tags")
	platforms := flag.String("platforms", allPlatforms, "build the command for each platform of `LIST`")
	api := flag.Bool("api", false, "only say what changed in the API")
	base := flag.String("base", "", "with --api: since `REVISION` (default: the newest tag)")
	flag.Parse()
	o.platforms = strings.Split(*platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *api {
		err = o.compare(ctx, *base, os.Stdout)
	} else {
		err = o.release(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// release does everything but to push.
func (o *options) release(ctx context.Context) (err error) {
	if !semver.IsValid(o.version) || semver.Canonical(o.version) != o.version {
		return fmt.Errorf("--version is %q: want one as in v1.2.3", o.version)
	}
	if semver.Major(o.version) > "v1" {
		return errors.New("a second major version needs other module paths: see semantic import versioning")
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if _, err := os.Stat(o.out); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already", o.out)
	}
	if changed, err := git(ctx, o.repo, "status", "--porcelain"); err != nil || changed != "" {
		return errors.Join(err, fmt.Errorf("there are changes that are not committed:\n%s", changed))
	}
	tree, drop, err := worktree(ctx, o.repo, "HEAD")
	if err != nil {
		return err
	}
	defer drop()
	when, err := commitTime(ctx, tree)
	if err != nil {
		return err
	}
	modules, err := ownModules(ctx, tree)
	if err != nil {
		return err
	}
	if err := changelog(filepath.Join(tree, "CHANGELOG.md"), o.version, when); err != nil {
		return err
	}
	if err := page(ctx, tree); err != nil {
		return err
	}
	// It says where on this machine the repository is, and would be packed, too.
	link, hidden := filepath.Join(tree, ".git"), tree+".git"
	if err := os.Rename(link, hidden); err != nil {
		return err
	}
	proxy := filepath.Join(o.out, "proxy")
	for _, m := range modules {
		if err := m.release(proxy, o.version, when, modules); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	if err := workspace(tree, o.version, modules); err != nil {
		return err
	}
	if err := o.commands(ctx, proxy); err != nil {
		return err
	}
	if err := checksums(o.out); err != nil {
		return err
	}
	if err := os.Rename(hidden, link); err != nil {
		return err
	}
	commit, err := commit(ctx, tree, o.version, when)
	if err != nil {
		return err
	}
	fmt.Printf("commit %s\n", commit)
	for _, m := range modules {
		name := m.tag(o.version)
		if o.tag {
			if _, err := git(ctx, o.repo, "tag", "-a", "-m", m.path+" "+o.version, name, commit); err != nil {
				return err
			}
		}
		fmt.Printf("tag    %s\n", name)
	}
	return nil
}

// git runs git in a folder and returns what it says.
func git(ctx context.Context, folder string, args ...string) (string, error) {
	return output(ctx, folder, nil, "git", args...)
}

// output runs a program and returns its standard output.
func output(ctx context.Context, folder string, env []string, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = folder
	c.Env = append(os.Environ(), env...)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// worktree checks a revision out into a folder of its own.
func worktree(ctx context.Context, repo, revision string) (folder string, drop func(), err error) {
	parent, err := os.MkdirTemp("", "persauth-release-*")
	if err != nil {
		return "", nil, err
	}
	folder = filepath.Join(parent, "tree")
	drop = func() {
		_, _ = git(context.WithoutCancel(ctx), repo, "worktree", "remove", "--force", folder)
		_ = os.RemoveAll(parent)
		_, _ = git(context.WithoutCancel(ctx), repo, "worktree", "prune") // where it was left half made
	}
	if _, err := git(ctx, repo, "worktree", "add", "--detach", folder, revision); err != nil {
		drop()
		return "", nil, err
	}
	return folder, drop, nil
}
