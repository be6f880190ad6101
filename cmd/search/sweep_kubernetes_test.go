package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	kubernetesyaml "sigs.k8s.io/yaml"
)

// readJob decodes a manifest into Kubernetes' own types, and refuses every field that they do not have.
func readJob(t *testing.T, path string) *batchv1.Job {
	t.Helper()
	job := new(batchv1.Job)
	if err := kubernetesyaml.UnmarshalStrict([]byte(read(t, path)), job); err != nil {
		t.Fatal(err)
	}
	return job
}

// Whatever pods run is run here: their command, with the number of one of them, where the volume has been moved.
func TestKubernetesRunsTheSweepInPods(t *testing.T) {
	f := smallFiles(t)
	volume := filepath.Dir(f.space)
	folder := filepath.Join(volume, "sweeps", "first")
	mounted := filepath.Join(t.TempDir(), "mounted")
	out, _ := succeed(t, f.sweepArgs(t, folder, "--kubernetes", "--image", "registry.example/densenas:1", "--claim", "pictures", "--volume-folder", volume,
		"--mount-path", filepath.ToSlash(mounted), "--parallelism", "2", "--pod-cpus", "4", "--pod-memory", "8Gi", "--pod-gpus", "1")...)
	if !strings.HasPrefix(out, filepath.Join(folder, jobFile)+": 4 searches") {
		t.Errorf("printed %q", out)
	}
	job := readJob(t, filepath.Join(folder, jobFile))
	if job.APIVersion != batchv1.SchemeGroupVersion.String() || job.Kind != "Job" || job.Name != "densenas-sweep" {
		t.Errorf("%+v %+v", job.TypeMeta, job.ObjectMeta)
	}
	spec := job.Spec
	if *spec.CompletionMode != batchv1.IndexedCompletion || *spec.Completions != 4 || *spec.Parallelism != 2 || *spec.BackoffLimitPerIndex != retries {
		t.Errorf("%+v", spec)
	}
	// What the interface requires of these together.
	pod := spec.Template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever || *spec.MaxFailedIndexes > *spec.Completions {
		t.Errorf("%+v", pod)
	}
	for _, rule := range spec.PodFailurePolicy.Rules {
		switch rule.Action {
		case batchv1.PodFailurePolicyActionFailIndex:
			if *rule.OnExitCodes.ContainerName != pod.Containers[0].Name || rule.OnExitCodes.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn {
				t.Errorf("%+v", rule.OnExitCodes)
			}
		case batchv1.PodFailurePolicyActionIgnore:
			if c := rule.OnPodConditions[0]; c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
				t.Errorf("%+v", c)
			}
		default:
			t.Errorf("%+v", rule)
		}
	}
	container := pod.Containers[0]
	if container.Image != "registry.example/densenas:1" || pod.Volumes[0].PersistentVolumeClaim.ClaimName != "pictures" ||
		container.VolumeMounts[0].Name != pod.Volumes[0].Name || container.VolumeMounts[0].MountPath != filepath.ToSlash(mounted) {
		t.Errorf("%+v %+v", container, pod.Volumes)
	}
	limits := container.Resources.Limits
	if q := limits["nvidia.com/gpu"]; container.Resources.Requests.Cpu().Value() != 4 || limits.Memory().Value() != 8<<30 || q.Value() != 1 {
		t.Errorf("%+v", container.Resources)
	}
	if env := container.Env[0]; env.ValueFrom.FieldRef.FieldPath != "metadata.annotations['"+batchv1.JobCompletionIndexAnnotation+"']" {
		t.Errorf("%+v", env.ValueFrom.FieldRef)
	}

	if err := os.Rename(volume, mounted); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(mounted, "sweeps", "first")
	for index := range 2 {
		var args []string
		for _, word := range container.Command[1:] {
			args = append(args, strings.ReplaceAll(word, "$("+container.Env[0].Name+")", strconv.Itoa(2*index)))
		}
		if out, _ := succeed(t, args...); !strings.HasPrefix(out, filepath.Join(there, sweepNames[2*index])) {
			t.Errorf("pod %d: %q printed %q", 2*index, args, out)
		}
	}
	if got := states(collected(t, there)); strings.Join(got, " ") != "finished missing finished missing" {
		t.Errorf("%q", got)
	}
}

func TestKubernetesByDefault(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(filepath.Dir(f.space), "sweep")
	succeed(t, f.sweepArgs(t, folder, "--kubernetes")...)
	job := readJob(t, filepath.Join(folder, jobFile))
	container := job.Spec.Template.Spec.Containers[0]
	if got := strings.Join(container.Command, " "); got != "search sweep resume /densenas/sweep --run $(DENSENAS_RUN)" {
		t.Errorf("the command is %q", got)
	}
	if *job.Spec.Parallelism != *job.Spec.Completions || container.Image != "densenas:latest" || len(container.Resources.Requests)+len(container.Resources.Limits) > 0 {
		t.Errorf("%+v", job.Spec)
	}
}

func TestKubernetesRefuses(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(filepath.Dir(f.space), "sweep")
	for _, c := range []struct{ more, messages []string }{
		{[]string{"--job-name", "My Job"}, []string{`--job-name is "My Job"`}},
		{[]string{"--job-name", strings.Repeat("j", 58)}, []string{"--job-name is"}},
		{[]string{"--image", "a b"}, []string{`--image is "a b"`}},
		{[]string{"--claim", "A"}, []string{`--claim is "A"`}},
		{[]string{"--mount-path", "volume"}, []string{`--mount-path is "volume"`}},
		{[]string{"--mount-path", "/a/../b"}, []string{`--mount-path is "/a/../b"`}},
		{[]string{"--parallelism", "-1"}, []string{"--parallelism is -1"}},
		{[]string{"--pod-cpus", "four"}, []string{`--pod-cpus is "four"`}},
		{[]string{"--pod-memory", "8 GB"}, []string{`--pod-memory is "8 GB"`}},
		{[]string{"--pod-gpus", "-1"}, []string{"--pod-gpus is -1"}},
		{[]string{"--volume-folder", f.data}, []string{"is not in the folder of the volume", "--volume-folder"}},
		{[]string{"--volume-folder", folder}, []string{f.space + " is not in the folder of the volume", "pods would not find it"}},
	} {
		refused(t, f.sweepArgs(t, folder, append([]string{"--kubernetes"}, c.more...)...), c.messages...)
		if _, err := os.Stat(folder); err == nil {
			t.Fatalf("%q left a folder", c.more)
		}
	}
}
