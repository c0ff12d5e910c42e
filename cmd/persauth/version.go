package main

// persauth version: which one this is, and what it was built with.

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// about is what persauth version tells.
type about struct {
	Version string `json:"version"` // "devel" for one built from a clone
	Commit  string `json:"commit,omitempty"`
	Changed bool   `json:"changed,omitempty"` // the clone had changes
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Modules are those that are linked in, with their versions.
	Modules map[string]string `json:"modules"`
}

// readAbout reads what the Go tool wrote into the program.
func readAbout(info *debug.BuildInfo) about {
	a := about{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Modules: make(map[string]string)}
	if info == nil {
		return a
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		a.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			a.Commit = s.Value
		case "vcs.modified":
			a.Changed = s.Value == "true"
		}
	}
	for _, dep := range info.Deps {
		a.Modules[dep.Path] = dep.Version
	}
	return a
}

func (a about) String() string {
	text := fmt.Sprintf("persauth %s\n%s %s/%s\n", a.Version, a.Go, a.OS, a.Arch)
	if a.Commit != "" {
		text += "commit " + a.Commit
		if a.Changed {
			text += ", changed"
		}
		text += "\n"
	}
	return text
}

func (sh *shell) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Say which version this is",
		Long: `Says which version this is, and which Go and commit it was built from. With
--json it also lists the modules that are linked in.

Exit status: 0.`,
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			a := readAbout(info)
			if !asJSON {
				_, err := fmt.Fprint(sh.out, a)
				return err
			}
			body, err := json.MarshalIndent(a, "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(sh.out, "%s\n", body)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object")
	return cmd
}
