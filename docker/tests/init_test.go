package tests

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// volumes are the folders that the initialiser writes, as the compose file mounts them.
type volumes struct{ admin, gateway, zerocloud string }

func newVolumes(t *testing.T) volumes {
	folder := t.TempDir()
	made := volumes{filepath.Join(folder, "admin"), filepath.Join(folder, "gateway"), filepath.Join(folder, "zerocloud")}
	for _, path := range []string{made.admin, made.gateway, made.zerocloud} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func (v volumes) read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// initialise runs the script with the variables of the compose file, here and there set to this machine's.
func initialise(t *testing.T, server string, to volumes, more ...string) (said string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	script, err := filepath.Abs(filepath.Join(root, "docker", "init.sh"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, "sh", script)
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "COUCHBASE_URL=" + server, "ADMIN_SECRET=" + to.admin, "GATEWAY_SECRET=" + to.gateway,
		"ZEROCLOUD_SECRET=" + to.zerocloud, "INIT_PAUSE_SECONDS=0.05", "INIT_PATIENCE_SECONDS=20",
		"BOOTSTRAP_TEMPLATE=" + filepath.Join(filepath.Dir(script), "sync-gateway.json"),
	}, more...)
	out, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("init.sh did not end: %s", out)
	}
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func TestTheScriptIsPlainPosixShell(t *testing.T) {
	parser := syntax.NewParser(syntax.Variant(syntax.LangPOSIX))
	if _, err := parser.Parse(strings.NewReader(read(t, "docker", "init.sh")), "init.sh"); err != nil {
		t.Error(err)
	}
}

func TestTheFirstRunMakesEverythingAndTheSecondNothing(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	server.silent = 3 // not up yet
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Fatalf("the first run failed: %s", said)
	}
	made := []string{
		"POST /clusterInit", "POST /pools/default/buckets", "PUT /settings/rbac/users/local/sync_gateway",
		"PUT /settings/rbac/users/local/zerocloud",
	}
	if !slices.Equal(server.writes, made) {
		t.Errorf("written: %v", server.writes)
	}
	if roles := server.users["sync_gateway"].roles; !slices.Equal(roles, []string{"bucket_full_access[zerocloud]", "ro_admin"}) {
		t.Errorf("sync_gateway has %v", roles)
	}
	if roles := server.users["zerocloud"].roles; !slices.Equal(roles, []string{"bucket_full_access[zerocloud]"}) {
		t.Errorf("zerocloud has %v", roles)
	}
	passwords := []string{
		to.read(t, to.admin, "password"), to.read(t, to.gateway, "password"), to.read(t, to.zerocloud, "password"),
	}
	taken := []string{server.admin[1], server.users["sync_gateway"].password, server.users["zerocloud"].password}
	if !slices.Equal(passwords, taken) || len(passwords[0]) != 48 || passwords[0] == passwords[1] || passwords[1] == passwords[2] {
		t.Error("three long and different passwords should be stored as the server has them")
	}
	bootstrap := to.read(t, to.gateway, "bootstrap.json")
	server.writes = nil
	said, code := initialise(t, server.URL, to)
	if code != 0 || len(server.writes) != 0 || said != "init: ready\n" {
		t.Errorf("the second run: code %d, wrote %v, said %s", code, server.writes, said)
	}
	if again := to.read(t, to.gateway, "bootstrap.json"); again != bootstrap {
		t.Error("the second run changed Sync Gateway's configuration")
	}
	for _, password := range passwords {
		if strings.Contains(said, password) {
			t.Error("a password was printed")
		}
	}
}

func TestSyncGatewayCanUseWhatIsWrittenForIt(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	hard := `p|a&s/s $w'o%rd`
	if said, code := initialise(t, server.URL, to, "SYNC_GATEWAY_PASSWORD="+hard); code != 0 {
		t.Fatal(said)
	}
	// The keys of https://docs.couchbase.com/sync-gateway/3.3/configuration-schema-bootstrap.html; Sync Gateway refuses others.
	var bootstrap struct {
		Bootstrap struct {
			Server   string `json:"server"`
			Username string `json:"username"`
			Password string `json:"password"`
			TLS      bool   `json:"use_tls_server"`
		} `json:"bootstrap"`
		API struct {
			Public      string `json:"public_interface"`
			Admin       string `json:"admin_interface"`
			AdminAuth   bool   `json:"admin_interface_authentication"`
			Metrics     string `json:"metrics_interface"`
			MetricsAuth bool   `json:"metrics_interface_authentication"`
		} `json:"api"`
		Logging struct {
			Console struct {
				Enabled bool     `json:"enabled"`
				Level   string   `json:"log_level"`
				Keys    []string `json:"log_keys"`
			} `json:"console"`
		} `json:"logging"`
	}
	decoder := json.NewDecoder(strings.NewReader(to.read(t, to.gateway, "bootstrap.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&bootstrap); err != nil {
		t.Fatal(err)
	}
	if login := bootstrap.Bootstrap; login.Password != hard || !server.passes(login.Username, login.Password) {
		t.Errorf("Couchbase Server refuses %+v", login)
	}
	services := load(t, "couchbase").Services
	scheme, host, _ := strings.Cut(bootstrap.Bootstrap.Server, "://")
	if _, there := services[host]; !there || bootstrap.Bootstrap.TLS != (scheme == "couchbases") {
		t.Errorf("server %s with use_tls_server %t", bootstrap.Bootstrap.Server, bootstrap.Bootstrap.TLS)
	}
	if !bootstrap.API.AdminAuth || !bootstrap.API.MetricsAuth || !strings.HasPrefix(bootstrap.API.Metrics, "127.0.0.1:") {
		t.Errorf("interfaces are open: %+v", bootstrap.API)
	}
	environment := services["zerocloud"].Environment
	for variable, port := range map[string]string{
		"ZEROCLOUD_STORE_PUBLIC_URL": bootstrap.API.Public, "ZEROCLOUD_STORE_ADMIN_URL": bootstrap.API.Admin,
	} {
		if url := *environment[variable]; url != "http://sync-gateway"+port {
			t.Errorf("%s is %s, but Sync Gateway listens on %s", variable, url, port)
		}
	}
	if command := services["sync-gateway"].Command; len(command) != 1 || filepath.Base(command[0]) != "bootstrap.json" {
		t.Errorf("Sync Gateway reads %v", command)
	}
	if user := *environment["ZEROCLOUD_STORE_ADMIN_USER"]; server.users[user].password == "" {
		t.Errorf("there is no user %s", user)
	}
	if file := *environment["ZEROCLOUD_STORE_ADMIN_PASSWORD_FILE"]; filepath.Base(file) != "password" {
		t.Errorf("zerocloud reads its password from %s", file)
	}
}

func TestOthersMayReadTheirOwnFilesAndNobodyTheAdministratorsPassword(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Fatal(said)
	}
	for path, mode := range map[string]os.FileMode{
		filepath.Join(to.admin, "password"): 0o600, filepath.Join(to.gateway, "bootstrap.json"): 0o444,
		filepath.Join(to.zerocloud, "password"): 0o444,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, not %v", path, info.Mode(), err, mode)
		}
	}
}

func TestWhatIsMissingOrWrongIsPutRightAndNothingElse(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Fatal(said)
	}
	for name, spoil := range map[string]func(){
		"sync_gateway": func() {
			server.users["sync_gateway"] = account{server.users["sync_gateway"].password, []string{"ro_admin"}}
		},
		"zerocloud": func() { server.users["zerocloud"] = account{"another one", server.users["zerocloud"].roles} },
	} {
		before := server.users[name]
		spoil()
		server.writes = nil
		said, code := initialise(t, server.URL, to)
		if code != 0 || !slices.Equal(server.writes, []string{"PUT /settings/rbac/users/local/" + name}) {
			t.Errorf("%s: code %d, wrote %v, said %s", name, code, server.writes, said)
		}
		if after := server.users[name]; after.password != before.password || !slices.Equal(after.roles, before.roles) {
			t.Errorf("%s is %v, was %v", name, after, before)
		}
	}
}

func TestChosenPasswordsAreUsed(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	said, code := initialise(t, server.URL, to, "COUCHBASE_ADMIN_PASSWORD=correct horse", "ZEROCLOUD_PASSWORD=a&b=c+d %41")
	if code != 0 || server.admin[1] != "correct horse" || server.users["zerocloud"].password != "a&b=c+d %41" {
		t.Errorf("code %d, admin %q, zerocloud %q: %s", code, server.admin[1], server.users["zerocloud"].password, said)
	}
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Errorf("a chosen password is not remembered: %s", said)
	}
}

func TestAWrongPasswordIsToldAtOnceAndSpoilsNothing(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Fatal(said)
	}
	server.writes = nil
	said, code := initialise(t, server.URL, to, "COUCHBASE_ADMIN_PASSWORD=mistaken")
	if code != 1 || !strings.Contains(said, "does not accept the password of Administrator") || len(server.writes) != 0 {
		t.Errorf("code %d, wrote %v, said %s", code, server.writes, said)
	}
	if said, code := initialise(t, server.URL, to); code != 0 {
		t.Errorf("the right password was lost: %s", said)
	}
}

func TestAServerThatNeverComesUpIsGivenUpWithItsLastAnswer(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	server.Close()
	said, code := initialise(t, server.URL, to, "INIT_PATIENCE_SECONDS=1")
	if code != 1 || !strings.Contains(said, "waiting for Couchbase Server") || !strings.Contains(said, "gave up after 1 s") {
		t.Errorf("code %d, said %s", code, said)
	}
}

func TestARefusalIsShownInTheServersWords(t *testing.T) {
	server, to := newCouchbase(t), newVolumes(t)
	said, code := initialise(t, server.URL, to, "COUCHBASE_BUCKET_MB=9000")
	if code != 1 || !strings.Contains(said, "the bucket was not made: 400") || !strings.Contains(said, "RAM quota") {
		t.Errorf("code %d, said %s", code, said)
	}
	said, code = initialise(t, server.URL, to)
	if code != 0 {
		t.Errorf("it does not go on where it stopped: %s", said)
	}
	said, code = initialise(t, server.URL, to, `ZEROCLOUD_PASSWORD=a"b`)
	if code != 1 || !strings.Contains(said, "must not hold a quote") {
		t.Errorf("code %d, said %s", code, said)
	}
}
