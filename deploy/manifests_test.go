// Package deploy_test holds what is in this folder against what will read it:
// the types of Kubernetes, systemd, the sidecar and nginx.
package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects decodes a manifest. Unknown fields, fields given twice and kinds that
// are not known are errors.
func objects(t *testing.T, path string) (all []runtime.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(body)))
	for {
		chunk := make([]byte, len(body))
		n, err := documents.Read(chunk)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		object, _, err := decoder.Decode(chunk[:n], nil, nil)
		require.NoError(t, err, "%s", chunk[:n])
		all = append(all, object)
	}
}

// pod is a pod template, with what belongs to it.
type pod struct {
	name     string
	labels   map[string]string
	selector map[string]string
	spec     corev1.PodSpec
}

func pods(all []runtime.Object) (found []pod) {
	for _, object := range all {
		switch o := object.(type) {
		case *appsv1.Deployment:
			found = append(found, pod{o.Name, o.Spec.Template.Labels, o.Spec.Selector.MatchLabels, o.Spec.Template.Spec})
		case *appsv1.StatefulSet:
			found = append(found, pod{o.Name, o.Spec.Template.Labels, o.Spec.Selector.MatchLabels, o.Spec.Template.Spec})
		}
	}
	return found
}

// Every container is locked down, is probed, and gets what it mounts.
func TestPods(t *testing.T) {
	for _, file := range []string{"sidecar.yaml", "fleet-store.yaml"} {
		t.Run(file, func(t *testing.T) {
			all := objects(t, filepath.Join("kubernetes", file))
			found := pods(all)
			require.Len(t, found, 1)
			p := found[0]
			assert.Equal(t, p.selector, p.labels)
			assert.False(t, *p.spec.AutomountServiceAccountToken)
			assert.True(t, *p.spec.SecurityContext.RunAsNonRoot)
			assert.NotZero(t, *p.spec.SecurityContext.RunAsUser)
			assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, p.spec.SecurityContext.SeccompProfile.Type)
			volumes := make(map[string]bool)
			for _, v := range p.spec.Volumes {
				volumes[v.Name] = true
				assert.Nil(t, v.HostPath, "nothing of the node")
				if v.EmptyDir != nil {
					assert.False(t, v.EmptyDir.SizeLimit.IsZero(), v.Name)
				}
			}
			for _, object := range all {
				if set, ok := object.(*appsv1.StatefulSet); ok {
					for _, claim := range set.Spec.VolumeClaimTemplates {
						volumes[claim.Name] = true
					}
				}
			}
			for _, c := range append(p.spec.InitContainers, p.spec.Containers...) {
				assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, c.Name)
				assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation, c.Name)
				assert.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, c.Name)
				assert.Empty(t, c.SecurityContext.Capabilities.Add, c.Name)
				assert.False(t, c.Resources.Requests.Memory().IsZero(), c.Name)
				for _, m := range c.VolumeMounts {
					assert.True(t, volumes[m.Name], "%s mounts %s, which there is not", c.Name, m.Name)
				}
				ports := make(map[string]bool)
				for _, port := range c.Ports {
					ports[port.Name] = true
				}
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					if probe == nil {
						continue
					}
					at := intstr.IntOrString{}
					if probe.HTTPGet != nil {
						at = probe.HTTPGet.Port
					} else if probe.TCPSocket != nil {
						at = probe.TCPSocket.Port
					}
					assert.True(t, ports[at.StrVal], "%s is probed at %s, which it does not serve", c.Name, at.StrVal)
				}
			}
			served := make(map[string]bool)
			for _, c := range append(p.spec.InitContainers, p.spec.Containers...) {
				for _, port := range c.Ports {
					served[port.Name] = true
				}
			}
			policies := 0
			for _, object := range all {
				switch o := object.(type) {
				case *corev1.Service:
					assert.Equal(t, p.labels, o.Spec.Selector)
					for _, port := range o.Spec.Ports {
						assert.True(t, served[port.TargetPort.StrVal], port.TargetPort.StrVal)
						assert.NotEqual(t, "metrics", port.TargetPort.StrVal)
					}
				case *networkingv1.NetworkPolicy:
					policies++
					assert.Equal(t, p.labels, o.Spec.PodSelector.MatchLabels)
					for _, rule := range o.Spec.Ingress {
						for _, port := range rule.Ports {
							assert.True(t, served[port.Port.StrVal], port.Port.StrVal)
						}
					}
				case *policyv1.PodDisruptionBudget:
					assert.Equal(t, p.labels, o.Spec.Selector.MatchLabels)
				}
			}
			assert.Equal(t, 1, policies)
		})
	}
}

// The sidecar's container is one that the image can run, with the user, the
// paths and the ports of it; and its configuration is one that the sidecar takes.
func TestSidecarPod(t *testing.T) {
	all := objects(t, "kubernetes/sidecar.yaml")
	spec := pods(all)[0].spec
	require.Len(t, spec.InitContainers, 1)
	c := spec.InitContainers[0]
	assert.Equal(t, corev1.ContainerRestartPolicyAlways, *c.RestartPolicy, "a sidecar, and no init container")
	assert.Equal(t, int64(65532), *spec.SecurityContext.RunAsUser)
	assert.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
	assert.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
	assert.NotNil(t, c.StartupProbe)
	var config *corev1.ConfigMap
	for _, object := range all {
		if m, ok := object.(*corev1.ConfigMap); ok {
			config = m
		}
	}
	require.NotNil(t, config)

	// As in the pod, with the secret in a folder of the test.
	folder := t.TempDir()
	text := config.Data["sidecar.yaml"]
	require.Contains(t, text, "metricsAddr: 0.0.0.0:9181")
	require.Contains(t, text, "addr: 127.0.0.1:9180")
	require.Contains(t, text, "/run/secrets/persauth/project.key")
	require.Contains(t, text, "/var/cache/persauth/")
	text = strings.NewReplacer("/run/secrets/persauth", folder, "/var/cache/persauth", folder).Replace(text)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "project.key"), []byte("pk_test_0\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "sidecar.yaml"), []byte(text), 0o600))
	check := exec.CommandContext(t.Context(), command(t), "serve", "--config", filepath.Join(folder, "sidecar.yaml"), "--check")
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)

	// nginx itself says whether its part holds.
	nginx := program(t, "nginx")
	conf := filepath.Join(folder, "nginx.conf")
	own := strings.ReplaceAll(config.Data["nginx.conf"], "/tmp/", folder+"/")
	require.NoError(t, os.WriteFile(conf, []byte(own), 0o600))
	out, err = exec.CommandContext(t.Context(), nginx, "-t", "-e", "stderr", "-c", conf).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Nothing that a manifest says twice or misspells gets through: the test above
// would otherwise hold nothing.
func TestStrict(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, corev1.AddToScheme(scheme))
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, text := range map[string]string{
		"unknown field": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {selektor: {a: b}}\n",
		"twice":         "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {type: ClusterIP, type: NodePort}\n",
		"unknown kind":  "apiVersion: v1\nkind: Serviec\nmetadata: {name: x}\n",
	} {
		_, _, err := decoder.Decode([]byte(text), nil, nil)
		assert.Error(t, err, name)
	}
}

// program finds a program. In CI, where it is there on purpose, a missing one
// fails the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and this is CI", name)
	}
	t.Skipf("SKIPPED: %s is not installed", name)
	return ""
}

// command builds the command.
func command(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "persauth")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/persauth")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// What systemd itself says of the unit: 0 is sealed, 10 wide open.
func TestSystemdUnit(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", "systemd/persauth.service").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "Overall exposure level for persauth.service")

	// The unit as it stands, with the program where it was built.
	body, err := os.ReadFile("systemd/persauth.service")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(body), "/usr/local/bin/persauth", command(t))
	unit := filepath.Join(t.TempDir(), "persauth.service")
	require.NoError(t, os.WriteFile(unit, []byte(text), 0o600))
	out, err = exec.CommandContext(t.Context(), analyze, "verify", unit).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.NotContains(t, string(out), "persauth.service:", "systemd has something to say of it")
}
