package tests

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// blocks are the indented parts of docs/docker.md.
func blocks(t *testing.T) []string {
	t.Helper()
	var found []string
	inside := false
	for line := range strings.Lines(read(t, "docs/docker.md")) {
		code, indented := strings.CutPrefix(line, "    ")
		listed := strings.HasPrefix(line, "      ")
		switch {
		case (indented || listed) && !inside:
			found = append(found, "")
			fallthrough
		case indented || listed:
			found[len(found)-1] += code
		}
		inside = indented || listed
	}
	return found
}

func TestTheOverridesInTheManualLoad(t *testing.T) {
	tried := 0
	for _, block := range blocks(t) {
		if !strings.HasPrefix(strings.TrimSpace(block), "services:") {
			continue
		}
		tried++
		override := filepath.Join(t.TempDir(), "override.yml")
		if err := os.WriteFile(override, []byte(dedent(block)), 0o600); err != nil {
			t.Fatal(err)
		}
		folder, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "docker-compose.yml"), override},
			cli.WithWorkingDirectory(folder), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles())
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(context.Background())
		if err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		for name, service := range project.Services {
			for variable := range service.Environment {
				if strings.HasPrefix(service.Image, "zerocloud") && !settings(t)[variable] {
					t.Errorf("%s: %s is no setting", name, variable)
				}
			}
		}
	}
	if tried != 2 {
		t.Errorf("%d overrides were found, not 2", tried)
	}
}

func dedent(block string) string {
	first := strings.Split(block, "\n")[0]
	margin := first[:len(first)-len(strings.TrimLeft(first, " "))]
	return strings.ReplaceAll("\n"+block, "\n"+margin, "\n")
}

func TestTheManualNamesServicesVolumesAndVariablesThatExist(t *testing.T) {
	project, text := all(t), read(t, "docs/docker.md")
	code := strings.Join(blocks(t), "\n")
	for _, volume := range regexp.MustCompile(`\bzerocloud_([a-z-]+):`).FindAllStringSubmatch(code, -1) {
		if _, there := project.Volumes[volume[1]]; !there {
			t.Errorf("there is no volume %s", volume[1])
		}
	}
	for _, service := range regexp.MustCompile(`docker compose (?:exec|restart|logs -f) (\S+)`).FindAllStringSubmatch(code, -1) {
		if _, there := project.Services[service[1]]; !there {
			t.Errorf("there is no service %s", service[1])
		}
	}
	script, compose := read(t, "docker/init.sh"), read(t, "docker-compose.yml")
	for _, name := range regexp.MustCompile("`([A-Z_]+_(?:PASSWORD|MB))`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(script, "${"+name[1]+":-") {
			t.Errorf("docker/init.sh knows no %s", name[1])
		}
	}
	for _, name := range []string{"PUBLIC_BIND", "PUBLIC_PORT", "WEB_PORT", "SITE_ADDRESS"} {
		if !strings.Contains(compose, "${"+name+":-") || !strings.Contains(text, name) {
			t.Errorf("%s should stand in the manual and in docker-compose.yml", name)
		}
	}
}
