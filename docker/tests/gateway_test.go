package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = time.Minute

// run starts zerocloud and stops it when the test ends; what it logs is shown when the test failed.
func run(t *testing.T, environment []string, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(zerocloud(t), arguments...)
	var log bytes.Buffer
	command.Env, command.Stdout, command.Stderr = environment, &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("zerocloud %v did not end well: %v", arguments, err)
		}
		if t.Failed() {
			t.Logf("zerocloud %v:\n%s", arguments, log.String())
		}
	})
	return command
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func answers(address string) func() bool {
	return func() bool {
		reply, err := http.Get("http://" + address + "/")
		if err != nil {
			return false
		}
		return reply.Body.Close() == nil && reply.StatusCode == http.StatusOK
	}
}

// guard stands before an admin port and asks for a login as Sync Gateway Community does with admin authentication on:
// 401 for a login that Couchbase Server does not know; 403 where there is no database, so that nobody learns which there
// are; 403 without bucket_full_access on the database's bucket.
func guard(t *testing.T, server *couchbase, admin string) *httptest.Server {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: admin})
	proxy.ModifyResponse = func(reply *http.Response) error {
		if reply.StatusCode == http.StatusNotFound && strings.Count(reply.Request.URL.Path, "/") == 2 &&
			strings.HasSuffix(reply.Request.URL.Path, "/") {
			reply.StatusCode, reply.Status = http.StatusForbidden, "403 Forbidden"
		}
		return nil
	}
	guarded := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		server.Lock()
		known, roles := server.passes(user, password), server.users[user].roles
		server.Unlock()
		database, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
		switch {
		case !known:
			answer(to, http.StatusUnauthorized, map[string]string{"error": "Unauthorized", "reason": "Invalid login"})
		case !slices.Contains(roles, "bucket_full_access["+database+"]"):
			answer(to, http.StatusForbidden, map[string]string{"error": "Forbidden", "reason": ""})
		default:
			request.Header.Del("Authorization")
			proxy.ServeHTTP(to, request)
		}
	}))
	t.Cleanup(guarded.Close)
	return guarded
}

// config writes a config.yml that asks nothing of AWS.
func config(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	nowhere := "http://127.0.0.1:9"
	text := fmt.Sprintf("aws: {access_key_id: a, secret_access_key: b, endpoints: {ec2: %q, sts: %q, ses: %q}}\n"+
		"mail: {from: zerocloud@bigdb.example, send: log}\nleader_ttl: 2s\n", nowhere, nowhere, nowhere)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment is what the compose file gives a service, with these values in place of its own.
func environment(t *testing.T, service string, here map[string]string) []string {
	t.Helper()
	var found []string
	for variable, value := range all(t).Services[service].Environment {
		if mine, ok := here[variable]; ok {
			value = &mine
			delete(here, variable)
		}
		found = append(found, variable+"="+*value)
	}
	if len(here) != 0 {
		t.Errorf("%s has no %v", service, here)
	}
	return found
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	reply, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

func healthy(t *testing.T, environment []string, config string) func() bool {
	return func() bool {
		command := exec.Command(zerocloud(t), "--config", config, "health")
		command.Env = environment
		return command.Run() == nil
	}
}

// inPlace says what a database must have before people may sign in: no guest, the access function, every view.
func inPlace(t *testing.T, admin string) {
	t.Helper()
	status, stored := get(t, admin+"/zerocloud/_config")
	var settings struct {
		Bucket string         `json:"bucket"`
		Guest  map[string]any `json:"guest"`
		Import bool           `json:"import_docs"`
	}
	if err := json.Unmarshal([]byte(stored), &settings); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if settings.Bucket != "zerocloud" || settings.Guest["disabled"] != true || !settings.Import {
		t.Errorf("the database is %+v, not as sync-gateway/database.json says", settings)
	}
	if _, function := get(t, admin+"/zerocloud/_config/sync"); function != read(t, "sync-gateway", "sync.js") {
		t.Error("the access function is not sync-gateway/sync.js")
	}
	designs, err := os.ReadDir(filepath.Join(root, "views"))
	if err != nil || len(designs) == 0 {
		t.Fatal(designs, err)
	}
	for _, design := range designs {
		if !design.IsDir() {
			continue
		}
		if status, _ := get(t, admin+"/zerocloud/_design/"+design.Name()); status != http.StatusOK {
			t.Errorf("design document %s: %d", design.Name(), status)
		}
	}
}

func TestZerocloudSetsUpTheDatabaseWithWhatTheInitialiserLeft(t *testing.T) {
	server, to, config := newCouchbase(t), newVolumes(t), config(t)
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Fatal(said)
	}
	public, admin := freePort(t), freePort(t)
	run(t, nil, "gateway", "--data", t.TempDir(), "--public", public, "--admin", admin)
	until(t, "the gateway answers", answers(admin))
	guarded := guard(t, server, admin)
	environment := environment(t, "zerocloud", map[string]string{
		"ZEROCLOUD_STORE_PUBLIC_URL": "http://" + public, "ZEROCLOUD_STORE_ADMIN_URL": guarded.URL,
		"ZEROCLOUD_STORE_ADMIN_PASSWORD_FILE": filepath.Join(to.zerocloud, "password"),
	})
	if healthy(t, environment, config)() {
		t.Error("healthy before anything runs")
	}
	run(t, environment, "--config", config, "serve")
	until(t, "the health check passes", healthy(t, environment, config))
	inPlace(t, "http://"+admin)
}

func TestTheEmbeddedContainerNeedsNothingElse(t *testing.T) {
	config, public, admin := config(t), freePort(t), freePort(t)
	environment := environment(t, "zerocloud-embedded", map[string]string{
		"ZEROCLOUD_STORE_DATA": t.TempDir(), "ZEROCLOUD_STORE_PUBLIC": public, "ZEROCLOUD_STORE_ADMIN": admin,
	})
	run(t, environment, "--config", config, "serve")
	until(t, "the health check passes", healthy(t, environment, config))
	until(t, "people's port answers", answers(public))
	inPlace(t, "http://"+admin)
}
