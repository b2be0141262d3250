package tests

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads the file as `docker compose` does: with .env, and with the profiles given on the command line, if any.
func load(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "docker-compose.yml")},
		cli.WithWorkingDirectory(folder), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles(profiles...))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("the loader refuses docker-compose.yml: %v", err)
	}
	return project
}

func all(t *testing.T) *types.Project { return load(t, "embedded", "couchbase", "tls") }

func names(services types.Services) []string { return slices.Sorted(maps.Keys(services)) }

func TestUpAloneStartsTheRealOneAndEachProfileWhatItSays(t *testing.T) {
	couchbase := []string{"couchbase", "couchbase-init", "sync-gateway", "zerocloud"}
	for _, test := range []struct{ profiles, services []string }{
		{nil, couchbase},
		{[]string{"couchbase"}, couchbase},
		{[]string{"embedded"}, []string{"zerocloud-embedded"}},
		{[]string{"embedded", "tls"}, []string{"proxy", "zerocloud-embedded"}},
		{[]string{"couchbase", "tls"}, append([]string{"proxy"}, couchbase...)},
	} {
		found := names(load(t, test.profiles...).Services)
		slices.Sort(test.services)
		if !slices.Equal(found, test.services) {
			t.Errorf("profiles %v start %v, not %v", test.profiles, found, test.services)
		}
	}
}

var version = regexp.MustCompile(`\d+\.\d+\.\d+`)

func TestEveryImageIsPinnedToAReleaseOrBuiltHere(t *testing.T) {
	for name, service := range all(t).Services {
		if service.Build == nil && !version.MatchString(service.Image) {
			t.Errorf("%s: image %q names no release", name, service.Image)
		}
	}
	services := all(t).Services
	for name, pattern := range map[string]string{
		"couchbase":      `^couchbase:community-7\.6\.\d+$`,
		"sync-gateway":   `^couchbase/sync-gateway:3\.3\.\d+-community$`,
		"couchbase-init": `^couchbase/sync-gateway:3\.3\.\d+-community$`,
	} {
		if image := services[name].Image; !regexp.MustCompile(pattern).MatchString(image) {
			t.Errorf("%s: image %q is not %s", name, image, pattern)
		}
	}
}

func TestEveryServiceHasAHealthCheckAndTheOneShotHasAnEnd(t *testing.T) {
	for name, service := range all(t).Services {
		if name == "couchbase-init" {
			if service.Restart != "no" || !service.HealthCheck.Disable {
				t.Errorf("%s runs once: no restart, no health check", name)
			}
			continue
		}
		check := service.HealthCheck
		if check == nil || len(check.Test) < 2 || check.Interval == nil || check.Timeout == nil || check.StartPeriod == nil {
			t.Errorf("%s has no whole health check: %+v", name, check)
		}
		if service.Restart != "unless-stopped" {
			t.Errorf("%s would stay down after a crash", name)
		}
	}
}

func TestNoAdminPortAndNoDatabasePortIsPublished(t *testing.T) {
	published := map[string][]uint32{}
	for name, service := range all(t).Services {
		for _, port := range service.Ports {
			published[name] = append(published[name], port.Target)
		}
		if service.NetworkMode != "" {
			t.Errorf("%s uses network mode %s", name, service.NetworkMode)
		}
	}
	expected := map[string][]uint32{
		"zerocloud": {8080}, "zerocloud-embedded": {8080, 4984}, "sync-gateway": {4984}, "proxy": {80, 443, 443},
	}
	if !maps.EqualFunc(published, expected, slices.Equal) {
		t.Errorf("published: %v, expected: %v", published, expected)
	}
}

func TestOnlyWhoNeedsItReachesTheAdminPortAndTheDatabase(t *testing.T) {
	project := all(t)
	members := map[string][]string{}
	for name, service := range project.Services {
		for network := range service.Networks {
			members[network] = append(members[network], name)
		}
	}
	for network, expected := range map[string][]string{
		"gateway":  {"sync-gateway", "zerocloud"},
		"database": {"couchbase", "couchbase-init", "sync-gateway"},
	} {
		slices.Sort(members[network])
		if !slices.Equal(members[network], expected) || !project.Networks[network].Internal {
			t.Errorf("network %s must be internal and of %v, has %v", network, expected, members[network])
		}
	}
	admin := *project.Services["zerocloud-embedded"].Environment["ZEROCLOUD_STORE_ADMIN"]
	if !strings.HasPrefix(admin, "127.0.0.1:") {
		t.Errorf("the embedded gateway's admin port listens on %s", admin)
	}
}

func TestEveryMountedFileExistsAndIsReadOnly(t *testing.T) {
	for name, service := range all(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if !volume.ReadOnly || volume.Bind == nil || bool(volume.Bind.CreateHostPath) {
				t.Errorf("%s: %s must be read only, and never be made as a folder", name, volume.Target)
			}
			path := volume.Source
			// The one file that the user writes; this is what they copy.
			if filepath.Base(path) == "config.yml" {
				path = filepath.Join(filepath.Dir(path), "config.example.yml")
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s: %s does not exist", name, path)
			}
		}
	}
}

func TestEveryVariableIsASettingAndNoneHoldsASecret(t *testing.T) {
	known := settings(t)
	for name, service := range all(t).Services {
		for variable, value := range service.Environment {
			if strings.HasPrefix(service.Image, "zerocloud") && !known[variable] {
				t.Errorf("%s: %s is no setting of src/config.rs", name, variable)
			}
			secret := regexp.MustCompile(`(?i)password|secret|key|token`).MatchString(variable)
			if secret && (value == nil || !strings.HasPrefix(*value, "/")) {
				t.Errorf("%s: %s should name a file or a folder", name, variable)
			}
		}
	}
	script := read(t, "docker/init.sh")
	for variable := range all(t).Services["couchbase-init"].Environment {
		if !strings.Contains(script, "${"+variable+":?}") {
			t.Errorf("docker/init.sh does not ask for %s", variable)
		}
	}
}

func TestEveryVolumeIsDeclaredAndASecretIsWrittenByTheInitialiserAlone(t *testing.T) {
	project := all(t)
	used := map[string]bool{}
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeVolume {
				used[volume.Source] = true
				if strings.HasSuffix(volume.Source, "-secret") && name != "couchbase-init" && !volume.ReadOnly {
					t.Errorf("%s may write %s", name, volume.Source)
				}
			}
		}
	}
	if declared := slices.Sorted(maps.Keys(project.Volumes)); !slices.Equal(declared, slices.Sorted(maps.Keys(used))) {
		t.Errorf("declared: %v, used: %v", declared, used)
	}
}

func TestStartsInOrder(t *testing.T) {
	services := load(t, "couchbase").Services
	for _, edge := range [][3]string{
		{"zerocloud", "sync-gateway", types.ServiceConditionHealthy},
		{"sync-gateway", "couchbase-init", types.ServiceConditionCompletedSuccessfully},
		{"couchbase-init", "couchbase", types.ServiceConditionHealthy},
	} {
		if found := services[edge[0]].DependsOn[edge[1]].Condition; found != edge[2] {
			t.Errorf("%s waits for %s until %q, not %q", edge[0], edge[1], found, edge[2])
		}
	}
}

func TestContainersOfZerocloudMayNotDoMoreThanTheyNeed(t *testing.T) {
	for name, service := range all(t).Services {
		if name == "couchbase" {
			continue // its image starts as root and steps down by itself
		}
		if !slices.Contains(service.CapDrop, "ALL") || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s keeps privileges", name)
		}
		if strings.HasPrefix(service.Image, "zerocloud") && (!service.ReadOnly || service.User != "") {
			t.Errorf("%s: read only, and as the user of the image", name)
		}
	}
}

func TestTheHealthCheckOfZerocloudIsACommandOfIts(t *testing.T) {
	for name, service := range all(t).Services {
		if check := service.HealthCheck; strings.HasPrefix(service.Image, "zerocloud") {
			if !slices.Equal(check.Test, types.HealthCheckTest{"CMD", "zerocloud", "health"}) {
				t.Errorf("%s: %v", name, check.Test)
			}
		}
	}
	knows(t, "health")
}
