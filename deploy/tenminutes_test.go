package deploy_test

// docs/ten-minutes.md, run as it stands with each of the four proxies.

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocks are the commands of the page: those for everybody by their order, those
// for one proxy by its name.
func blocks(t *testing.T) (all []string, proxies map[string]string) {
	t.Helper()
	page, err := os.ReadFile("../docs/ten-minutes.md")
	require.NoError(t, err)
	proxies = make(map[string]string)
	for _, m := range regexp.MustCompile("(?ms)^```sh *(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if m[1] != "" {
			proxies[m[1]] = m[2]
			continue
		}
		all = append(all, m[2])
	}
	require.Len(t, all, 6)
	require.Len(t, proxies, 4)
	return all, proxies
}

// freePorts are some that are free now, each another.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		ports = append(ports, port)
	}
	return ports
}

func TestTenMinutes(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this starts proxies")
	}
	page, proxies := blocks(t)
	install, mock, service, choose, sidecar, try := page[0], page[1], page[2], page[3], page[4], page[5]
	for _, name := range []string{"bash", "curl", "python3"} {
		program(t, name)
	}
	bin := t.TempDir()
	run := exec.CommandContext(t.Context(), "bash", "-ec", install)
	run.Dir = ".."
	run.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, choose, "PROXY=nginx")

	standard := []string{"8000", "8080", "9180", "9181", "8787"}
	free := freePorts(t, len(proxies)*len(standard))
	for proxy, start := range proxies {
		var ports []string
		for _, port := range standard {
			ports, free = append(ports, port, free[0]), free[1:]
		}
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			program(t, proxy)
			// The same, at ports that are free: other tests run beside this one.
			replace := []string{"PROXY=nginx", "PROXY=" + proxy, "persauth mock &", "persauth mock --addr 127.0.0.1:8787 &",
				".sidecar.yaml &", ".sidecar.yaml --addr 127.0.0.1:9180 --metrics-addr 127.0.0.1:9181 &"}
			script := strings.NewReplacer(replace...).Replace(strings.Join([]string{mock, service, choose, sidecar, start, try}, "\n"))
			if os.Getuid() == 0 {
				script = strings.ReplaceAll(script, `"daemon off;`, `"daemon off; user root;`) // the folder is root's
			}
			moved := strings.NewReplacer(ports...)
			folder := t.TempDir()
			require.NoError(t, os.CopyFS(filepath.Join(folder, "examples"), os.DirFS("../examples")))
			require.NoError(t, filepath.WalkDir(filepath.Join(folder, "examples", "proxies"), func(path string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				body, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, []byte(moved.Replace(string(body))), 0o600)
				}
				return err
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			shell := exec.CommandContext(ctx, "bash", "-c", moved.Replace(script))
			shell.Dir = folder
			shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
			shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			// Appended to: programs may open it again as /dev/stderr.
			log, err := os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			require.NoError(t, err)
			defer log.Close()
			shell.Stdout, shell.Stderr = log, log
			// All that the page left running ends with it.
			shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
			require.NoError(t, shell.Start())
			ended := shell.Wait()
			_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
			said, err := os.ReadFile(log.Name())
			require.NoError(t, err)
			require.NoError(t, ended, "%s", said)
			var want, got []string
			for _, m := range regexp.MustCompile(`(?m) # (\d{3})$`).FindAllStringSubmatch(script, -1) {
				want = append(want, m[1])
			}
			require.Len(t, want, 9)
			got = regexp.MustCompile(`(?m)^\d{3}$`).FindAllString(string(said), -1)
			assert.Equal(t, want, got, "%s", said)
		})
	}
}
