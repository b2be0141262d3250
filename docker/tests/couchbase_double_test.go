package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// couchbase answers as Couchbase Server Community 7.6 does on its REST port, as far as an initialiser sees: before there
// is a cluster every login passes and /pools/default is 404; afterwards logins are checked. It refuses what Community
// Edition refuses, and every parameter that it does not know.
type couchbase struct {
	*httptest.Server
	sync.Mutex
	silent  int // requests whose connection it closes without an answer, from now on
	warming int // how often a bucket is shown as not yet healthy
	admin   [2]string
	quota   int
	buckets map[string]url.Values
	users   map[string]account
	writes  []string
}

type account struct {
	password string
	roles    []string
}

func newCouchbase(t *testing.T) *couchbase {
	double := &couchbase{buckets: map[string]url.Values{}, users: map[string]account{}, warming: 2}
	double.Server = httptest.NewServer(double)
	t.Cleanup(double.Close)
	return double
}

func (c *couchbase) ServeHTTP(to http.ResponseWriter, request *http.Request) {
	c.Lock()
	defer c.Unlock()
	if c.silent > 0 {
		c.silent--
		panic(http.ErrAbortHandler)
	}
	user, password, _ := request.BasicAuth()
	if c.admin[0] != "" && !c.passes(user, password) {
		to.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := request.ParseForm(); err != nil {
		answer(to, http.StatusBadRequest, err.Error())
		return
	}
	path := request.URL.Path
	if request.Method != http.MethodGet {
		c.writes = append(c.writes, request.Method+" "+path)
		if c.admin[0] != "" && user != c.admin[0] {
			answer(to, http.StatusForbidden, "admin only")
			return
		}
	}
	bucket, isBucket := strings.CutPrefix(path, "/pools/default/buckets/")
	name, isUser := strings.CutPrefix(path, "/settings/rbac/users/local/")
	switch key := request.Method + " " + path; {
	case key == "GET /whoami":
		c.whoami(to, user)
	case key == "GET /pools/default" && c.admin[0] == "":
		answer(to, http.StatusNotFound, "unknown pool")
	case key == "GET /pools/default":
		answer(to, http.StatusOK, map[string]string{"name": "default"})
	case key == "POST /clusterInit":
		c.initialise(to, request.PostForm)
	case key == "POST /pools/default/buckets":
		c.makeBucket(to, request.PostForm)
	case request.Method == http.MethodGet && isBucket:
		c.showBucket(to, bucket)
	case request.Method == http.MethodPut && isUser:
		c.putUser(to, name, request.PostForm)
	default:
		answer(to, http.StatusNotFound, "Not found.")
	}
}

func (c *couchbase) passes(user, password string) bool {
	return [2]string{user, password} == c.admin || c.users[user].password != "" && c.users[user].password == password
}

func (c *couchbase) initialise(to http.ResponseWriter, form url.Values) {
	services := strings.Split(form.Get("services"), ",")
	slices.Sort(services)
	together := strings.Join(services, ",")
	data, index := number(form, "memoryQuota"), number(form, "indexMemoryQuota")
	switch {
	case unknown(form, "username password port clusterName services indexerStorageMode memoryQuota indexMemoryQuota") != "":
		answer(to, http.StatusBadRequest, "Unsupported key")
	case c.admin[0] != "":
		answer(to, http.StatusBadRequest, "already provisioned")
	case form.Get("username") == "" || len(form.Get("password")) < 6 || form.Get("port") != "SAME":
		answer(to, http.StatusBadRequest, "username, password of at least 6 characters, port")
	case !slices.Contains([]string{"kv", "index,kv,n1ql", "fts,index,kv,n1ql"}, together):
		answer(to, http.StatusBadRequest, "Unsupported service combination")
	case form.Get("indexerStorageMode") != "forestdb":
		answer(to, http.StatusBadRequest, "restricted to enterprise edition")
	case data < 256 || index < 256:
		answer(to, http.StatusBadRequest, "quotas start at 256 MB")
	default:
		c.admin, c.quota = [2]string{form.Get("username"), form.Get("password")}, data
		c.silent = 1 // its web server restarts
		answer(to, http.StatusOK, map[string]string{"newBaseUri": c.URL + "/"})
	}
}

func (c *couchbase) makeBucket(to http.ResponseWriter, form url.Values) {
	switch size := number(form, "ramQuota"); {
	case unknown(form, "name bucketType storageBackend ramQuota replicaNumber flushEnabled") != "":
		answer(to, http.StatusBadRequest, "Unsupported key")
	case form.Get("storageBackend") == "magma":
		answer(to, http.StatusBadRequest, "Magma is supported in enterprise edition only")
	case size < 100 || size > c.quota:
		answer(to, http.StatusBadRequest, "RAM quota specified is too large or too small")
	case c.buckets[form.Get("name")] != nil:
		answer(to, http.StatusBadRequest, "Bucket with given name already exists")
	default:
		c.buckets[form.Get("name")] = form
		to.WriteHeader(http.StatusAccepted)
	}
}

func (c *couchbase) showBucket(to http.ResponseWriter, name string) {
	bucket := c.buckets[name]
	if bucket == nil {
		answer(to, http.StatusNotFound, "Requested resource not found.\r\n")
		return
	}
	status := "healthy"
	if c.warming > 0 {
		c.warming, status = c.warming-1, "warmup"
	}
	nodes := []map[string]string{{"hostname": "127.0.0.1:8091", "status": status}}
	answer(to, http.StatusOK, map[string]any{"name": name, "storageBackend": bucket.Get("storageBackend"), "nodes": nodes})
}

func (c *couchbase) putUser(to http.ResponseWriter, name string, form url.Values) {
	roles := strings.Split(form.Get("roles"), ",")
	for _, role := range roles {
		bucket, inBucket := strings.CutPrefix(role, "bucket_full_access[")
		known := role == "admin" || role == "ro_admin" || inBucket && c.buckets[strings.TrimSuffix(bucket, "]")] != nil
		if !known {
			answer(to, http.StatusBadRequest, "Cannot assign roles to user because the following roles are unknown: "+role)
			return
		}
	}
	if len(form.Get("password")) < 6 || unknown(form, "password roles") != "" {
		answer(to, http.StatusBadRequest, "The password must be at least 6 characters long.")
		return
	}
	c.users[name] = account{form.Get("password"), roles}
	answer(to, http.StatusOK, "")
}

func (c *couchbase) whoami(to http.ResponseWriter, user string) {
	roles := []map[string]string{}
	for _, role := range c.users[user].roles {
		name, bucket, _ := strings.Cut(strings.TrimSuffix(role, "]"), "[")
		shown := map[string]string{"role": name}
		if bucket != "" {
			shown["bucket_name"] = bucket
		}
		roles = append(roles, shown)
	}
	answer(to, http.StatusOK, map[string]any{"id": user, "domain": "local", "roles": roles})
}

func answer(to http.ResponseWriter, status int, body any) {
	to.Header().Set("Content-Type", "application/json")
	to.WriteHeader(status)
	_ = json.NewEncoder(to).Encode(body)
}

func number(form url.Values, name string) int {
	value, _ := strconv.Atoi(form.Get(name))
	return value
}

func unknown(form url.Values, known string) string {
	for name, values := range form {
		if !slices.Contains(strings.Fields(known), name) || len(values) != 1 {
			return fmt.Sprint(name, values)
		}
	}
	return ""
}
