package main

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/search/rundir"
)

// clusterOptions say how a cluster runs the searches of a sweep.
type clusterOptions struct {
	JobName      string
	Image        string
	Claim        string
	VolumeFolder string
	MountPath    string
	Parallelism  int
	CPUs         string
	Memory       string
	GPUs         int
}

// jobFile is the manifest's name in the folder of a sweep.
const jobFile = "job.yaml"

func (o *clusterOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.JobName, "job-name", "densenas-sweep", "name of the Job")
	f.StringVar(&o.Image, "image", "densenas:latest", "image of the pods, with search on its path")
	f.StringVar(&o.Claim, "claim", "densenas", "persistent volume claim with tables, images and the sweep's folder")
	f.StringVar(&o.VolumeFolder, "volume-folder", "", "folder of this host that the volume holds, or will hold (default: the one that the sweep's folder is in)")
	f.StringVar(&o.MountPath, "mount-path", "/densenas", "where pods see the volume")
	f.IntVar(&o.Parallelism, "parallelism", 0, "pods at once (default: all)")
	f.StringVar(&o.CPUs, "pod-cpus", "", "processors that a pod asks for, such as 4 or 500m (default: none)")
	f.StringVar(&o.Memory, "pod-memory", "", "memory that a pod asks for and is held to, such as 8Gi (default: none)")
	f.IntVar(&o.GPUs, "pod-gpus", 0, "GPUs of a pod, as nvidia.com/gpu")
}

// names of the flags, which count only with --kubernetes.
var clusterFlags = []string{"job-name", "image", "claim", "volume-folder", "mount-path", "parallelism", "pod-cpus", "pod-memory", "pod-gpus"}

// unused refuses flags of a cluster where there is none.
func (o *clusterOptions) unused(f *pflag.FlagSet) error {
	for _, name := range clusterFlags {
		if f.Changed(name) {
			return exit.BadInput("--%s is for a cluster: add --kubernetes, or leave it out", name)
		}
	}
	return nil
}

var (
	// objectName is what Kubernetes calls a DNS label, with room for the number of a pod.
	objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,55}[a-z0-9])?$`)
	// claimName is a DNS subdomain.
	claimName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	// quantity is a number of Kubernetes with a suffix for thousands or thousandths.
	quantity = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`)
	// imageName is a registry's name for an image; the registry says the rest.
	imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$`)
)

func (o *clusterOptions) Validate() error {
	switch {
	case !objectName.MatchString(o.JobName):
		return exit.BadInput("--job-name is %q, allowed are up to 57 lower-case letters, digits and inner hyphens", o.JobName)
	case !imageName.MatchString(o.Image):
		return exit.BadInput("--image is %q, which is no name of an image, such as registry.example/densenas:1", o.Image)
	case !claimName.MatchString(o.Claim):
		return exit.BadInput("--claim is %q, allowed are up to 253 lower-case letters, digits, inner hyphens and dots", o.Claim)
	case !path.IsAbs(o.MountPath) || path.Clean(o.MountPath) != o.MountPath || o.MountPath == "/" || strings.ContainsAny(o.MountPath, ":$"):
		return exit.BadInput("--mount-path is %q, allowed is an absolute path such as /densenas, without colon and dollar sign", o.MountPath)
	case o.Parallelism < 0:
		return exit.BadInput("--parallelism is %d, allowed is from 1", o.Parallelism)
	case o.CPUs != "" && !quantity.MatchString(o.CPUs):
		return exit.BadInput("--pod-cpus is %q, allowed is a number such as 4 or 500m", o.CPUs)
	case o.Memory != "" && !quantity.MatchString(o.Memory):
		return exit.BadInput("--pod-memory is %q, allowed is a number such as 8Gi", o.Memory)
	case o.GPUs < 0 || o.GPUs > 64:
		return exit.BadInput("--pod-gpus is %d, allowed is 0 to 64", o.GPUs)
	}
	return nil
}

// The parts of a Kubernetes Job, batch/v1, that are written. A test decodes the result into Kubernetes' own types.
type (
	jobManifest struct {
		APIVersion string      `yaml:"apiVersion"`
		Kind       string      `yaml:"kind"`
		Metadata   jobMetadata `yaml:"metadata"`
		Spec       jobSpec     `yaml:"spec"`
	}
	jobMetadata struct {
		Name   string            `yaml:"name,omitempty"`
		Labels map[string]string `yaml:"labels,omitempty"`
	}
	jobSpec struct {
		CompletionMode       string           `yaml:"completionMode"`
		Completions          int              `yaml:"completions"`
		Parallelism          int              `yaml:"parallelism"`
		BackoffLimitPerIndex int              `yaml:"backoffLimitPerIndex"`
		MaxFailedIndexes     int              `yaml:"maxFailedIndexes"`
		PodFailurePolicy     podFailurePolicy `yaml:"podFailurePolicy"`
		Template             podTemplate      `yaml:"template"`
	}
	podFailurePolicy struct {
		Rules []podFailureRule `yaml:"rules"`
	}
	podFailureRule struct {
		Action          string         `yaml:"action"`
		OnExitCodes     *podExitCodes  `yaml:"onExitCodes,omitempty"`
		OnPodConditions []podCondition `yaml:"onPodConditions,omitempty"`
	}
	podExitCodes struct {
		ContainerName string `yaml:"containerName"`
		Operator      string `yaml:"operator"`
		Values        []int  `yaml:"values"`
	}
	podCondition struct {
		Type   string `yaml:"type"`
		Status string `yaml:"status"`
	}
	podTemplate struct {
		Metadata jobMetadata `yaml:"metadata"`
		Spec     podSpec     `yaml:"spec"`
	}
	podSpec struct {
		RestartPolicy                 string      `yaml:"restartPolicy"`
		AutomountServiceAccountToken  bool        `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int         `yaml:"terminationGracePeriodSeconds"`
		Containers                    []container `yaml:"containers"`
		Volumes                       []podVolume `yaml:"volumes"`
	}
	container struct {
		Name         string        `yaml:"name"`
		Image        string        `yaml:"image"`
		Command      []string      `yaml:"command"`
		Env          []environment `yaml:"env"`
		Resources    *resources    `yaml:"resources,omitempty"`
		VolumeMounts []volumeMount `yaml:"volumeMounts"`
	}
	environment struct {
		Name      string `yaml:"name"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	resources struct {
		Requests map[string]string `yaml:"requests,omitempty"`
		Limits   map[string]string `yaml:"limits,omitempty"`
	}
	volumeMount struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
	}
	podVolume struct {
		Name  string `yaml:"name"`
		Claim struct {
			ClaimName string `yaml:"claimName"`
		} `yaml:"persistentVolumeClaim"`
	}
)

const (
	containerName = "search"
	volumeName    = "volume"
	// indexVariable has the number of a pod's search.
	indexVariable = "DENSENAS_RUN"
	// graceSeconds is how long a pod may take to end its step and save.
	graceSeconds = 300
	// retries of a search whose pod failed; it goes on from its last checkpoint.
	retries = 3
)

// job is the Job that runs the sweep of a folder. Whatever the plan names must lie in the volume, under the same folder.
func (o *clusterOptions) job(folder string, plan *rundir.Sweep) (*jobManifest, error) {
	at, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	volume := filepath.Dir(at)
	if o.VolumeFolder != "" {
		if volume, err = filepath.Abs(o.VolumeFolder); err != nil {
			return nil, err
		}
	}
	within, err := filepath.Rel(volume, at)
	if err != nil || !filepath.IsLocal(within) {
		return nil, exit.BadInput("-o %s is not in the folder of the volume, %s; name it by --volume-folder, or another -o", folder, volume)
	}
	if strings.Contains(within, "$") {
		return nil, exit.BadInput("-o %s has a dollar sign, which pods would replace; name another folder", folder)
	}
	runs := plan.Runs()
	for _, run := range runs {
		c, err := plan.ConfigOf(folder, run)
		if err != nil {
			return nil, err
		}
		_, data, named := strings.Cut(c.Data, ":")
		if !named || filepath.IsAbs(c.Data) {
			data = c.Data
		}
		for _, input := range []string{c.Space, data, c.LUT.Path} {
			if inner, err := filepath.Rel(volume, input); filepath.IsAbs(input) && (err != nil || !filepath.IsLocal(inner)) {
				return nil, exit.BadInput("%s is not in the folder of the volume, %s, so pods would not find it; put it there, or name another --volume-folder", input, volume)
			}
		}
	}
	c := container{
		Name: containerName, Image: o.Image,
		Command:      []string{"search", "sweep", "resume", path.Join(o.MountPath, filepath.ToSlash(within)), "--run", "$(" + indexVariable + ")"},
		Env:          []environment{{Name: indexVariable}},
		VolumeMounts: []volumeMount{{volumeName, o.MountPath}},
		Resources:    o.resources(),
	}
	c.Env[0].ValueFrom.FieldRef.FieldPath = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
	claimed := podVolume{Name: volumeName}
	claimed.Claim.ClaimName = o.Claim
	labels := map[string]string{"app.kubernetes.io/name": "densenas", "app.kubernetes.io/component": "sweep"}
	parallelism := o.Parallelism
	if parallelism == 0 || parallelism > len(runs) {
		parallelism = len(runs)
	}
	return &jobManifest{
		APIVersion: "batch/v1", Kind: "Job", Metadata: jobMetadata{Name: o.JobName, Labels: labels},
		Spec: jobSpec{
			CompletionMode: "Indexed", Completions: len(runs), Parallelism: parallelism,
			// One search that fails for good does not end the others.
			BackoffLimitPerIndex: retries, MaxFailedIndexes: len(runs),
			PodFailurePolicy: podFailurePolicy{Rules: []podFailureRule{
				{Action: "FailIndex", OnExitCodes: &podExitCodes{containerName, "In", []int{exit.CodeBadInput}}},
				{Action: "Ignore", OnPodConditions: []podCondition{{"DisruptionTarget", "True"}}},
			}},
			Template: podTemplate{Metadata: jobMetadata{Labels: labels}, Spec: podSpec{
				RestartPolicy: "Never", TerminationGracePeriodSeconds: graceSeconds, Containers: []container{c}, Volumes: []podVolume{claimed},
			}},
		},
	}, nil
}

func (o *clusterOptions) resources() *resources {
	r := resources{Requests: map[string]string{}, Limits: map[string]string{}}
	if o.CPUs != "" {
		r.Requests["cpu"] = o.CPUs
	}
	if o.Memory != "" {
		r.Requests["memory"], r.Limits["memory"] = o.Memory, o.Memory
	}
	if o.GPUs > 0 {
		r.Limits["nvidia.com/gpu"] = strconv.Itoa(o.GPUs)
	}
	if len(r.Requests)+len(r.Limits) == 0 {
		return nil
	}
	return &r
}

// write writes the manifest into the folder of the sweep.
func (o *clusterOptions) write(folder string, job *jobManifest, stdout io.Writer) error {
	data, err := yaml.Marshal(job)
	if err != nil {
		return err
	}
	file := filepath.Join(folder, jobFile)
	if err := files.WriteBytes(file, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d searches in pods that see the volume %s at %s\n", file, job.Spec.Completions, o.Claim, o.MountPath)
	return err
}
