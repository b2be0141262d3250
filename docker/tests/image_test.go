package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// instructions are the lines of the Dockerfile: continued ones joined, comments left out.
func instructions(t *testing.T) [][2]string {
	t.Helper()
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	var found [][2]string
	for line := range strings.Lines(text) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(word, "#") {
			found = append(found, [2]string{word, strings.TrimSpace(rest)})
		}
	}
	return found
}

func only(t *testing.T, word string) []string {
	t.Helper()
	var found []string
	for _, line := range instructions(t) {
		if line[0] == word {
			found = append(found, line[1])
		}
	}
	return found
}

func TestTheImageIsBuiltInStagesWithTheCompilerOfTheRepository(t *testing.T) {
	stages := only(t, "FROM")
	channel := regexp.MustCompile(`channel = "(.+)"`).FindStringSubmatch(read(t, "rust-toolchain.toml"))[1]
	if len(stages) != 2 || stages[0] != "rust:"+channel+"-slim-bookworm AS build" {
		t.Errorf("stages: %v; the compiler is %s", stages, channel)
	}
	if !regexp.MustCompile(`^debian:12\.\d+-slim$`).MatchString(stages[1]) {
		t.Errorf("the last stage %q is not a small release of the same Debian", stages[1])
	}
}

func TestTheImageRunsAsNobodySpecialAndCanBeAskedHowItIs(t *testing.T) {
	if users := only(t, "USER"); !slices.Equal(users, []string{"10001:10001"}) {
		t.Errorf("users: %v", users)
	}
	if check := only(t, "HEALTHCHECK"); len(check) != 1 || !strings.HasSuffix(check[0], `CMD ["zerocloud", "health"]`) {
		t.Errorf("health checks: %v", check)
	}
	var entry, command []string
	if json.Unmarshal([]byte(only(t, "ENTRYPOINT")[0]), &entry) != nil || !slices.Equal(entry, []string{"zerocloud"}) {
		t.Errorf("entry point: %v", only(t, "ENTRYPOINT"))
	}
	if json.Unmarshal([]byte(only(t, "CMD")[0]), &command) != nil || len(command) != 1 {
		t.Fatalf("command: %v", only(t, "CMD"))
	}
	knows(t, command[0])
	if stop := only(t, "STOPSIGNAL"); !slices.Equal(stop, []string{"SIGTERM"}) {
		t.Errorf("stop signals: %v", stop)
	}
}

func TestTheImageHoldsSettingsThatExistAndNoSecret(t *testing.T) {
	known := settings(t)
	values := map[string]string{}
	for _, pair := range strings.Fields(strings.Join(only(t, "ENV"), " ")) {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
		if !known[name] {
			t.Errorf("%s is no setting of src/config.rs", name)
		}
	}
	if data := values["ZEROCLOUD_STORE_DATA"]; !slices.Equal(only(t, "VOLUME"), []string{data}) {
		t.Errorf("data goes to %s, the volume is %v", data, only(t, "VOLUME"))
	}
	_, pages, _ := strings.Cut(values["ZEROCLOUD_WEB_LISTEN"], ":")
	_, public, _ := strings.Cut(values["ZEROCLOUD_STORE_PUBLIC"], ":")
	exposed := strings.Fields(strings.Join(only(t, "EXPOSE"), " "))
	if ports := []string{pages, public}; !slices.Equal(exposed, ports) {
		t.Errorf("listens on %v, exposes %v", ports, exposed)
	}
	for _, mount := range all(t).Services["zerocloud-embedded"].Volumes {
		if mount.Target != values["ZEROCLOUD_STORE_DATA"] && mount.Target != only(t, "WORKDIR")[1]+"/config.yml" {
			t.Errorf("the image looks neither for data nor for config.yml at %s", mount.Target)
		}
	}
	for _, argument := range only(t, "ARG") {
		if argument != "PROFILE=release" {
			t.Errorf("argument %s", argument)
		}
	}
}

func ignored(t *testing.T, path string) bool {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	out, err := matcher.MatchesOrParentMatches(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sent are the folders and files that the first stage copies.
func sent(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, line := range only(t, "COPY") {
		if !strings.HasPrefix(line, "--from") {
			words := strings.Fields(line)
			found = append(found, words[:len(words)-1]...)
		}
	}
	return found
}

func TestTheBuildGetsWhatItNeeds(t *testing.T) {
	copied := sent(t)
	for _, path := range copied {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil || ignored(t, path) {
			t.Errorf("%s is copied, but absent or ignored", path)
		}
	}
	covered := func(path string) bool {
		return !ignored(t, path) && slices.ContainsFunc(copied, func(folder string) bool {
			return path == folder || strings.HasPrefix(path, folder+"/")
		})
	}
	members := regexp.MustCompile(`members = \[(.*?)\]`).FindStringSubmatch(read(t, "Cargo.toml"))[1]
	for _, member := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(members, -1) {
		if manifest := filepath.Join(member[1], "Cargo.toml"); !covered(manifest) {
			t.Errorf("cargo needs %s, which does not reach the build", manifest)
		}
	}
	include := regexp.MustCompile(`include_(?:str|bytes|dir)!\(\s*"([^"]+)"`)
	for _, folder := range []string{"src", "gateway/src"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry os.DirEntry, err error) error {
			// A tests.rs is compiled for the tests alone, as what follows #[cfg(test)] is.
			if err != nil || filepath.Ext(path) != ".rs" || entry.Name() == "tests.rs" {
				return err
			}
			text, err := os.ReadFile(path)
			code, _, _ := strings.Cut(string(text), "#[cfg(test)]")
			for _, name := range include.FindAllStringSubmatch(code, -1) {
				file, _ := filepath.Rel(root, filepath.Join(filepath.Dir(path), name[1]))
				if !covered(file) {
					t.Errorf("%s includes %s, which does not reach the build", path, file)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBuildGetsNothingPrivate(t *testing.T) {
	for _, path := range []string{
		".git/config", ".env", "config.yml", "zerocloud.env", "couchbase.env", "target/debug/zerocloud", "gateway/target/x",
		"zerocloud-data/zerocloud.db", "gateway/zerocloud.db", "docker/init.sh", "README.md", "rust-toolchain.toml",
	} {
		if !ignored(t, path) {
			t.Errorf("%s is sent to the builder", path)
		}
	}
}
