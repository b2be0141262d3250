// Package otto runs the access rules on the JavaScript engine that Sync Gateway itself uses.
package otto

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/robertkrimen/otto"
	"github.com/robertkrimen/otto/parser"
)

type object = map[string]any

type person struct {
	Name     string
	Channels []string
}

type row struct {
	Name, Who, Expect string
	Old, Doc          any
	Set               object
	Unset             []string
}

type route struct {
	Doc, Expiry   string
	Channels      []string
	Access, Roles map[string][]string
}

type table struct {
	People map[string]person
	Bases  map[string]object
	Rows   []row
	Routes []route
}

// What Sync Gateway offers to a sync function, as far as its answers matter here.
const harness = `
var out = {channels: [], access: {}, roles: {}, expiry: null};
function each(x, f) { if (x === null || x === undefined) { return; } if (typeof x === "string") { f(x); return; } for (var i = 0; i < x.length; i++) { f(x[i]); } }
function channel() { for (var i = 0; i < arguments.length; i++) { each(arguments[i], function (c) { if (c === "" || c.indexOf(",") >= 0) { throw "bad channel " + c; } out.channels.push(c); }); } }
function grant(into, who, what) { each(who, function (n) { each(what, function (c) { if (/[,:\/]/.test(n)) { throw "bad name " + n; } (into[n] = into[n] || []).push(c); }); }); }
function access(who, what) { grant(out.access, who, what); }
function role(who, what) { each(what, function (r) { if (r.indexOf("role:") !== 0) { throw "bad role " + r; } }); grant(out.roles, who, what); }
function expiry(at) { out.expiry = at; }
function requireAdmin() { if (caller) { throw {forbidden: "sg admin required"}; } }
function requireUser(names) { if (!caller) { return; } var ok = false; each(names, function (n) { if (n === caller.Name) { ok = true; } }); if (!ok) { throw {forbidden: "sg wrong user"}; } }
function requireAccess(names) { if (!caller) { return; } var ok = false; each(names, function (n) { if (caller.Channels.indexOf(n) >= 0) { ok = true; } }); if (!ok) { throw {forbidden: "sg missing channel access"}; } }
function requireRole() { throw "not used"; }
function run(f, doc, old) {
  try { f(doc, old, {xattrs: {}}); return JSON.stringify({ok: out}); }
  catch (e) { return JSON.stringify({refused: e && e.forbidden ? e.forbidden : "exception: " + e}); }
}`

type answer struct {
	Refused string
	OK      *struct {
		Channels      []string
		Access, Roles map[string][]string
		Expiry        string
	}
}

func load(t *testing.T) table {
	t.Helper()
	text, err := os.ReadFile("../table.json")
	if err != nil {
		t.Fatal(err)
	}
	var all table
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../sync.js")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A document is nothing, the name of a base, a base with changes, or written out.
func (all table) document(it any) object {
	switch it := it.(type) {
	case string:
		return all.patched(all.Bases[it], nil, nil)
	case object:
		if base, ok := it["base"].(string); ok {
			set, _ := it["set"].(object)
			var unset []string
			names, _ := it["unset"].([]any)
			for _, name := range names {
				unset = append(unset, name.(string))
			}
			return all.patched(all.Bases[base], set, unset)
		}
		return all.patched(it, nil, nil)
	}
	return nil
}

func (all table) patched(base, set object, unset []string) object {
	copied := object{}
	for key, value := range base {
		copied[key] = value
	}
	for key, value := range set {
		copied[key] = value
	}
	for _, key := range unset {
		delete(copied, key)
	}
	return copied
}

// Each call gets an engine of its own, so that no row sees what another left behind.
func run(t *testing.T, function string, caller *person, doc, old object) answer {
	t.Helper()
	vm := otto.New()
	text := func(value any) string {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	oldText := "null"
	if old != nil {
		oldText = text(old)
	}
	program := "var caller = " + text(caller) + ";" + harness + "\nrun(" + function + ", " + text(doc) + ", " + oldText + ");"
	value, err := vm.Run(program)
	if err != nil {
		t.Fatalf("the engine refused the function: %v", err)
	}
	var said answer
	if err := json.Unmarshal([]byte(value.String()), &said); err != nil {
		t.Fatal(err)
	}
	return said
}

func (all table) outcome(t *testing.T, function string, r row) string {
	var caller *person
	if r.Who != "service" {
		who, known := all.People[r.Who]
		if !known {
			t.Fatalf("%s: nobody is called %q", r.Name, r.Who)
		}
		caller = &who
	}
	said := run(t, function, caller, all.patched(all.document(r.Doc), r.Set, r.Unset), all.document(r.Old))
	if said.OK != nil {
		return "ok"
	}
	return said.Refused
}

// comment lines before the function are not part of an expression.
func function(text string) string {
	return "(" + strings.TrimSpace(text[strings.Index(text, "function (doc"):]) + ")"
}

func TestEveryRow(t *testing.T) {
	all, code := load(t), function(source(t))
	if len(all.Rows) < 80 {
		t.Fatalf("the table has %d rows, at least 80 are promised", len(all.Rows))
	}
	for _, r := range all.Rows {
		if got := all.outcome(t, code, r); got != r.Expect {
			t.Errorf("%s: got %q, want %q", r.Name, got, r.Expect)
		}
	}
}

func TestRoutes(t *testing.T) {
	all, code := load(t), function(source(t))
	for _, r := range all.Routes {
		said := run(t, code, nil, all.document(r.Doc), nil)
		if said.OK == nil {
			t.Errorf("%s: refused %q", r.Doc, said.Refused)
			continue
		}
		sort.Strings(said.OK.Channels)
		for _, list := range said.OK.Access {
			sort.Strings(list)
		}
		if r.Expiry == "" {
			r.Expiry = "2999-01-01T00:00:00Z"
		}
		same := len(said.OK.Channels) == len(r.Channels) && (len(r.Channels) == 0 || reflect.DeepEqual(said.OK.Channels, r.Channels))
		if !same || said.OK.Expiry != r.Expiry {
			t.Errorf("%s: got %v until %s", r.Doc, said.OK.Channels, said.OK.Expiry)
		}
		if len(said.OK.Access)+len(r.Access) > 0 && !reflect.DeepEqual(said.OK.Access, r.Access) {
			t.Errorf("%s: grants %v", r.Doc, said.OK.Access)
		}
		if len(said.OK.Roles)+len(r.Roles) > 0 && !reflect.DeepEqual(said.OK.Roles, r.Roles) {
			t.Errorf("%s: roles %v", r.Doc, said.OK.Roles)
		}
	}
}

// A guard is a statement that starts with refuse, requireUser or requireAccess.
var guard = regexp.MustCompile(`(?m)^ +(refuse|requireUser|requireAccess)\((?s:.*?)\);$`)

func TestEveryGuardIsNeeded(t *testing.T) {
	all, text := load(t), source(t)
	body := strings.Index(text, "function judgeAccount")
	found := 0
	for _, at := range guard.FindAllStringIndex(text, -1) {
		if at[0] < body || strings.Contains(text[at[0]:at[1]], "requireAccess(name)") {
			continue
		}
		found++
		without := function(text[:at[0]] + text[at[1]:])
		noticed := false
		for _, r := range all.Rows {
			if all.outcome(t, without, r) != r.Expect {
				noticed = true
				break
			}
		}
		if !noticed {
			t.Errorf("no row fails without %s", strings.TrimSpace(text[at[0]:at[1]]))
		}
	}
	if found < 40 {
		t.Fatalf("only %d guards were found", found)
	}
}

func TestEverythingIsES5(t *testing.T) {
	maps, err := filepath.Glob("../../../views/*/*.js")
	if err != nil || len(maps) == 0 {
		t.Fatalf("no views were found: %v", err)
	}
	for _, path := range append(maps, "../../sync.js") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code := string(text)
		if _, err := parser.ParseFile(nil, path, "("+strings.TrimSpace(code[strings.Index(code, "function"):])+")", 0); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
