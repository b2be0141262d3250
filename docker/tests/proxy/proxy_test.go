// Package proxy runs docker/Caddyfile in Caddy itself, of the release that docker-compose.yml names.
package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	// The parts of Caddy that the file asks for.
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/zstd"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheProxyIsTestedInTheReleaseThatRuns(t *testing.T) {
	image := regexp.MustCompile(`image: caddy:(\S+)-alpine`).FindStringSubmatch(read(t, "docker-compose.yml"))
	if image == nil || !strings.Contains(read(t, "docker/tests/proxy/go.mod"), "caddy/v2 v"+image[1]+"\n") {
		t.Errorf("docker-compose.yml runs %v, go.mod tests another one", image)
	}
}

// freePorts were free a moment ago.
func freePorts(t *testing.T) (ports [3]string) {
	t.Helper()
	for n := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, ports[n], _ = net.SplitHostPort(listener.Addr().String())
	}
	return ports
}

// start runs the file with the upstreams, the ports and the home of this test in place of the container's.
func start(t *testing.T, pages, gateway string) (site, health string) {
	t.Helper()
	ports := freePorts(t)
	text := read(t, "docker/Caddyfile")
	for from, to := range map[string]string{
		"pages:8080": pages, "public-gateway:4984": gateway, ":2020": ":" + ports[2],
		"\tadmin off\n": "\tadmin off\n\thttps_port " + ports[0] + "\n\thttp_port " + ports[1] +
			"\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\tpersist_config off\n",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("docker/Caddyfile has no %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SITE_ADDRESS", "localhost")
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "not formatted") {
			t.Error(warning)
		}
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return "https://localhost:" + ports[0], "http://127.0.0.1:" + ports[2]
}

func client() *http.Client {
	// The certificate of Caddy's own authority, made a moment ago; its name is checked below.
	trust := &tls.Config{InsecureSkipVerify: true}
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DialContext: dial}, Timeout: 30 * time.Second}
}

func TestPeopleReachPagesAndGatewayOverTLSAndFeedsFlow(t *testing.T) {
	next := make(chan struct{})
	gateway := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, request *http.Request) {
		for line := range 2 {
			fmt.Fprintf(to, "line %d\n", line)
			to.(http.Flusher).Flush()
			<-next
		}
	}))
	defer gateway.Close()
	pages := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, request *http.Request) {
		fmt.Fprint(to, request.Host, " ", request.Header.Get("X-Forwarded-Proto"))
	}))
	defer pages.Close()
	site, health := start(t, pages.Listener.Addr().String(), gateway.Listener.Addr().String())
	people := client()
	reply, err := people.Get(health)
	if err != nil || reply.StatusCode != 200 {
		t.Fatalf("the health check: %v %v", reply, err)
	}
	// The certificate is made in the background.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if reply, err = people.Get(site + "/"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	body, _ := io.ReadAll(reply.Body)
	if host := strings.TrimPrefix(site, "https://"); string(body) != host+" https" || reply.TLS.PeerCertificates[0].VerifyHostname("localhost") != nil {
		t.Errorf("the pages were asked as %s", body)
	}
	reply, err = people.Get(site + "/zerocloud/_changes")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	lines := bufio.NewScanner(reply.Body)
	for line := range 2 {
		// The second line is only written once the first has come through.
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", line) {
			t.Fatalf("line %d: %q %v", line, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}
