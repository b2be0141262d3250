// Package tests proves what can be proved of the containers without an engine that runs them: the compose file under the
// specification's own loader, the image's recipe against the repository, the initialiser and zerocloud against doubles.
package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// root is the repository.
const root = "../.."

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settings are the environment variables that src/config.rs reads.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	list := regexp.MustCompile(`(?s)const SETTINGS: .*?= \[(.*?)\];`).FindStringSubmatch(read(t, "src/config.rs"))
	if list == nil {
		t.Fatal("src/config.rs has no list SETTINGS")
	}
	found := map[string]bool{}
	for _, quoted := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list[1], -1) {
		name := "ZEROCLOUD_" + strings.ToUpper(strings.ReplaceAll(quoted[1], ".", "_"))
		found[name], found[name+"_FILE"] = true, true
	}
	return found
}

var built = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("ZEROCLOUD_BIN"); given != "" {
		return given, nil
	}
	build := exec.Command("cargo", "build", "--workspace", "--locked", "--message-format=short")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return "", err
	}
	target := os.Getenv("CARGO_TARGET_DIR")
	if target == "" {
		target = filepath.Join(root, "target")
	}
	return filepath.Abs(filepath.Join(target, "debug", "zerocloud"))
})

// zerocloud is the program: ZEROCLOUD_BIN, or built from here.
func zerocloud(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("zerocloud could not be built: %v", err)
	}
	return path
}

// knows says whether the program has a command.
func knows(t *testing.T, command string) {
	t.Helper()
	if said, err := exec.Command(zerocloud(t), command, "--help").CombinedOutput(); err != nil {
		t.Errorf("zerocloud has no command %q: %s", command, said)
	}
}
